"""Commands that must succeed and states that must come, and the errors that say what did not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.errors import GroundswellError


class ComposeTestFailed(GroundswellError):
    """Something of the stack in containers is not as it must be; the message says what."""


class NoEngine(GroundswellError):
    """No engine can be started here; the message says what is missing."""


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        timeout_s: float = 600.0) -> str:  # fmt: skip
    """Run a command to its end and return its standard output.

    It has a session of its own: a key pressed at the terminal ends this process, which then ends
    the command with all that it has started.

    Raises:
        ComposeTestFailed: It failed or did not end in time; with the end of what it said.
    """
    with subprocess.Popen(  # noqa: S603 -- a test's own words
        list(argv), env=None if env is None else dict(env), cwd=cwd, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:  # fmt: skip
        try:
            output, errors = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            os.killpg(child.pid, signal.SIGKILL)
            why = f"{' '.join(argv[:6])}: not done in {timeout_s:.0f} s"
            raise ComposeTestFailed(why) from error
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    if child.returncode:
        said = (output + errors)[-2_000:]
        raise ComposeTestFailed(f"{' '.join(argv[:8])}: status {child.returncode}\n{said}")
    return output


def wait_while(lacking: Callable[[], str], patience_s: float, every_s: float = 0.2) -> None:
    """Return once nothing is lacking.

    Args:
        lacking: Looks, and returns in words what is not yet as it must be; empty when all is.
        patience_s: The seconds after which it will not be.
        every_s: The seconds between two looks.

    Raises:
        ComposeTestFailed: With what is lacking.
    """
    deadline_s = time.monotonic() + patience_s
    while why := lacking():
        if time.monotonic() > deadline_s:
            raise ComposeTestFailed(f"{why}, after {patience_s:.0f} s")
        time.sleep(every_s)
