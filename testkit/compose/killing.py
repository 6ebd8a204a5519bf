"""Every service restarted and killed once, and what a worker says without its model server."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from testkit.compose.failures import ComposeTestFailed, wait_while
from testkit.compose.stack import Stack

_PATIENCE_S: Final = 300.0


def kill_each(stack: Stack, *, but: str) -> dict[str, float]:
    """Kill the first process of each lasting service but one.

    By its process, not by `docker kill`, after which the engine takes it for stopped on purpose.

    Returns:
        For each service the seconds until it was healthy again.

    Raises:
        ComposeTestFailed: One is not started again, or does not become healthy.
    """
    return {name: kill(stack, name) for name in _lasting(stack) if name != but}


def restart_each(stack: Stack) -> None:
    """Restart all lasting services at once, as a person does, and wait until they are healthy.

    Raises:
        ComposeTestFailed: One does not become healthy.
    """
    stack("restart", *_lasting(stack))
    stack.wait_until_healthy()


def _lasting(stack: Stack) -> list[str]:
    return sorted(name for name, body in stack.services.items() if body.get("restart") != "no")


def kill(stack: Stack, name: str) -> float:
    """Kill the first process of a service; return the seconds until it was healthy again.

    Raises:
        ComposeTestFailed: It does not run, is not started again, or does not become healthy.
    """
    before = stack.container(name)
    if not before["State"]["Pid"]:  # zero would be a group of this process itself
        raise ComposeTestFailed(f"{name}: is to be killed, and does not run")
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
