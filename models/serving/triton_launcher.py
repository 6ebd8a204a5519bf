"""Run `tritonserver` and stop it when the process that holds the model has died.

    python -m models.serving.triton_launcher tritonserver --model-repository=...

The server of the wheel does not start a dead python backend again: it says that it is ready and
refuses every request from then on. Ending the server instead gives whoever supervises it
something to restart. Standard library only. Linux.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

POLL_S: Final = 0.5
GRACE_S: Final = 2.0
MODEL_DIED: Final = 70
"""Exit status when the server was stopped because of a dead model process."""
_STUB: Final = "triton_python_b"
"""A model process as the kernel names it: 15 characters of its program."""
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _die_with_launcher() -> None:
    """In the child before exec: a launcher that is killed takes its server along."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def model_processes(server: int, proc: Path = Path("/proc")) -> dict[int, bool]:
    """Process id of each model process of a server, and whether it lives.

    A dead one is listed as long as the server has not collected it.
    """
    found: dict[int, bool] = {}
    for status in proc.glob("[0-9]*/stat"):
        try:
            # A name is cut to 15 bytes, maybe inside a character.
            name, _, rest = status.read_text(errors="replace").rpartition(") ")
        except OSError:  # it ended while we looked
            continue
        state, parent = rest.split()[:2]
        if int(parent) == server and _STUB in name:
            found[int(status.parent.name)] = state != "Z"
    return found


def _end_models(server: int) -> None:
    """Kill what a server that has ended left behind: its model processes are in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server, signal.SIGKILL)


def main() -> int:
    """Run the command given as arguments; its exit status, or `MODEL_DIED`."""
    server: subprocess.Popen[bytes] | None = None
    is_stopping = False

    def pass_on(number: int, _: FrameType | None) -> None:
        nonlocal is_stopping
        if not is_stopping:
            is_stopping = True
            if server is not None:
                server.send_signal(signal.SIGTERM)

    # Before there is a server: a signal in between would end us, and kill it by our death.
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    # A group of its own: signals to the group of the launcher reach it once, through us.
    server = subprocess.Popen(  # noqa: S603 -- the command line that triton_command made
        sys.argv[1:], preexec_fn=_die_with_launcher, process_group=0
    )
    if is_stopping:  # asked while it was started
        server.send_signal(signal.SIGTERM)
    alive: set[int] = set()
    while (status := server.poll()) is None:
        models = model_processes(server.pid)
        has_lost_one = not all(models.values()) or not alive <= set(models)
        if has_lost_one and not is_stopping:
            sys.stderr.write("a model process died: stopping the server\n")
            server.terminate()
            try:
                server.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            _end_models(server.pid)
            return MODEL_DIED
        alive = set(models)
        time.sleep(POLL_S)
    _end_models(server.pid)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    # Leave at once: nothing here needs cleaning up.
    os._exit(main())
