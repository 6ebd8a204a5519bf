"""Processes that sleep while something else happens, by SIGSTOP and SIGCONT."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from services.local.child import Child
from services.local.server import LocalServer


@contextmanager
def asleep(processes: Iterable[Child | LocalServer]) -> Iterator[None]:
    """Let processes sleep meanwhile."""
    pids = [process.pid for process in processes]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
