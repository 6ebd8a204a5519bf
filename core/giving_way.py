"""How a process that may be late gives way to those that must not be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

NICE: Final = 10
"""Counting comes first where processors are short; a tenth of one is left for the rest."""
_GROUP: Final = Path("/proc/self/autogroup")


def give_way(group: Path = _GROUP) -> None:
    """Lower the priority of this process, for good.

    Linux shares processors between sessions first where `kernel.sched_autogroup_enabled` is set, as
    on most desktops and servers, and only then by niceness within a session: a process that was
    started in a session of its own, as all of the local stack are, gives way to none however nice
    it is. So the leader of a session makes its whole session nice. Threads that are there already
    keep the priority that they have.

    Args:
        group: The kernel's file of this process's session.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # other systems, and kernels that know no groups
            group.write_text(str(NICE), encoding="ascii")
