"""The stack in the background: start it apart from the terminal, wait for it, stop it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from core.errors import ConfigError, GroundswellError
from services.local.child import Command
from services.local.paths import RuntimePaths
from services.local.runfile import Run, end_leftovers, load_run, read_run
from services.local.server import OWN, WRONG_USE
from services.local.session import SUPERVISOR_LOG, StackAlreadyRuns

_POLL_S = 0.1
_LOG_TAIL_LINES = 25
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []
"""Supervisors that are to outlive this process; a handle that nobody holds warns of that."""


class NotStarted(GroundswellError):
    """The supervisor in the background ended before the stack was ready."""


def start_in_background(
    command: Command, paths: RuntimePaths, is_up: Callable[[Run], bool], timeout_s: float = 600.0
) -> Run:
    """Start a supervisor that outlives this process; return once the stack is up.

    Args:
        command: the supervisor, in the foreground from its own point of view.
        paths: where it keeps its files; its messages go to `logs/supervisor.log`.
        is_up: what to wait for.
        timeout_s: when to give up; the first start fetches and builds.

    Raises:
        ConfigError: it says that it, or a part of it, is used wrongly.
        StackAlreadyRuns: there is one in this folder; its log is left alone.
        NotStarted: with the last it said.
    """
    if read_run(paths.runfile) is not None:
        raise StackAlreadyRuns.in_folder(paths)
    paths.logs.mkdir(parents=True, exist_ok=True)
    log_path = paths.logs / SUPERVISOR_LOG
    with log_path.open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603  (our own argv, no shell)
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=command.environment(),
            cwd=command.cwd,
            start_new_session=True,
        )
    _LEFT_RUNNING.append(supervisor)
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at:
        if supervisor.poll() is not None:
            lines = log_path.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            refused = [line.removeprefix(OWN) for line in lines if line.startswith(OWN)]
            if supervisor.returncode == WRONG_USE and refused:
                raise ConfigError("\n".join(refused))
            raise NotStarted("\n".join(["the stack did not start; its last words:", *lines]))
        run = read_run(paths.runfile)
        if run is not None and run.supervisor.pid == supervisor.pid and is_up(run):
            return run
        time.sleep(_POLL_S)
    supervisor.terminate()
    raise NotStarted(f"the stack was not up after {timeout_s:g} s; see {log_path}")


def stop_stack(paths: RuntimePaths, timeout_s: float = 60.0) -> Sequence[str]:
    """Stop the running stack, gently first; also clear what a crash left.

    Returns:
        Names of the parts that ran, empty if none did.
    """
    run = load_run(paths.runfile)
    if run is None:
        return []
    if not run.supervisor.is_alive():
        ended = end_leftovers(run)
        paths.runfile.unlink(missing_ok=True)
        _let_go_of_the_ended()
        return ended
    running = [part.name for part in run.parts if part.identity is not None]
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.supervisor.pid, signal.SIGTERM)
    give_up_at = time.monotonic() + timeout_s
    while run.supervisor.is_alive() and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
    if run.supervisor.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.supervisor.pid, signal.SIGKILL)
        end_leftovers(load_run(paths.runfile) or run)
        paths.runfile.unlink(missing_ok=True)
    _let_go_of_the_ended()
    return running


def _let_go_of_the_ended() -> None:
    _LEFT_RUNNING[:] = [supervisor for supervisor in _LEFT_RUNNING if supervisor.poll() is None]
