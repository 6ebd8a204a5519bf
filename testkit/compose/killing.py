"""Every service killed once, as by a crash, and what a worker says without its model server."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from testkit.compose.engine import wait_while
from testkit.compose.stack import Stack

_PATIENCE_S: Final = 180.0
_FIRST: Final = "ingest"


def kill_each(stack: Stack) -> dict[str, float]:
    """Kill the first process of each lasting service; return seconds until it was healthy again.

    By its process, not by `docker kill`, after which the engine takes it for stopped on purpose.
    The source comes first, while it has something to send.

    Raises:
        ComposeTestFailed: One is not started again, or does not become healthy.
    """
    lasting = [name for name, body in stack.services.items() if body.get("restart") != "no"]
    return {name: _kill(stack, name) for name in sorted(lasting, key=lambda one: one != _FIRST)}


def _kill(stack: Stack, name: str) -> float:
    before = stack.container(name)
    began_s = time.monotonic()
    os.kill(before["State"]["Pid"], signal.SIGKILL)

    def lacking() -> str:
        now = stack.container(name)
        health = now["State"].get("Health", {}).get("Status")
        if now["RestartCount"] > before["RestartCount"] and health == "healthy":
            return ""
        return f"{name}: killed, and {now['State']['Status']}, {health}"

    wait_while(lacking, _PATIENCE_S)
    return time.monotonic() - began_s


def check_without_scorer(stack: Stack) -> None:
    """Stop the model server and start it: the worker must say so by its health, and go on.

    Raises:
        ComposeTestFailed: The worker is healthy without its model server, or not healthy with it.
    """
    stack("stop", "triton")
    _wait_for_health(stack, "worker", "unhealthy")
    stack("start", "triton")
    for name in ("triton", "worker"):
        _wait_for_health(stack, name, "healthy")


def _wait_for_health(stack: Stack, name: str, wanted: str) -> None:
    def lacking() -> str:
        health = stack.container(name)["State"]["Health"]["Status"]
        return "" if health == wanted else f"{name}: is {health}, not {wanted}"

    wait_while(lacking, _PATIENCE_S)
