"""One child process that never outlives its parent, and that can be killed like in a power cut.

Start children from the main thread: Linux sends the parent-death signal when the *thread* that
forked the child ends.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT, groundswell_argv

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_POLL_S = 0.02
# What would change how a child behaves without being written anywhere in its settings; the
# model server sets its own library path, and nobody else may inherit one.
_OURS = groundswell_argv()[:-1]
_NOT_INHERITED = ("LD_LIBRARY_PATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute.

    Attributes:
        argv: The program and arguments; no shell is involved.
        env: The variables laid over the inherited environment.
        cwd: The working directory, or None for the parent's.
        inherits: False makes `env` the whole environment.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None
    inherits: bool = True

    def environment(self) -> dict[str, str]:
        """Return the child's whole environment: the parent's less loader and JVM variables."""
        if not self.inherits:
            return dict(self.env)
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        is_at_home = self.cwd is not None and self.cwd.is_relative_to(PROJECT_ROOT)
        if is_at_home or self.argv[: len(_OURS)] == _OURS:
            _keep_bytecode(kept)
        return kept | dict(self.env)


def _keep_bytecode(environment: dict[str, str]) -> None:
    """Where Python is to write no bytecode beside the code, let it write to our own cache.

    Else every start of every process compiles a thousand modules again, which is most of a start.
    """
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment.setdefault("PYTHONPYCACHEPREFIX", str(DEFAULT_PATHS.cache / "bytecode"))


def _die_with_parent(parent_pid: int) -> None:
    """Run in the child between fork and exec; must not allocate much nor take locks."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent died before the request was in place
            os._exit(1)


def run_to_end(command: Command, timeout_s: float) -> tuple[int, str]:
    """Execute a command that ends by itself; return its exit status and all it printed.

    Raises:
        OSError: The program does not exist.
        subprocess.TimeoutExpired: it took longer than `timeout_s` seconds; it was killed.
    """
    outcome = subprocess.run(  # noqa: S603  (our own argv, no shell)
        command.argv,
        env=command.environment(),
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    return outcome.returncode, outcome.stdout


def session_members(session: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the process ids of a session that have not ended; none where there is no `/proc`."""
    found: list[int] = []
    for stat in proc.glob("[0-9]*/stat"):
        try:
            state, _, _, sid = stat.read_text(errors="replace").rpartition(") ")[2].split()[:4]
        except (OSError, ValueError):  # it ended while we looked
            continue
        if int(sid) == session and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def signal_session(session: int, number: signal.Signals) -> bool:
    """Send a signal to all of a session that have not ended; tell whether there were any."""
    members = session_members(session)
    for member in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, number)
    return bool(members)


class Child:
    """A started command: its own session and process group, output appended to a log file."""

    def __init__(self, command: Command, log_path: Path) -> None:
        """Start the command at once.

        Raises:
            OSError: The program or the working directory does not exist.
        """
        self.command = command
        self.log_path = log_path
        self._group_ended = False
        parent_pid = os.getpid()
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603  (our own argv, no shell)
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=command.environment(),
                cwd=command.cwd,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which orders the end
                preexec_fn=lambda: _die_with_parent(parent_pid),
            )

    @property
    def pid(self) -> int:
        """Process id, also the id of the child's process group."""
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; else the exit status, negative if a signal ended it."""
        return self._popen.poll()

    @property
    def is_running(self) -> bool:
        """Tell whether the child has not ended."""
        return self.exit_status is None

    def kill(self) -> None:
        """End the child and all it started with SIGKILL; return when it is gone."""
        if self._group_ended:  # the id may be somebody else's by now
            return
        # Its group and its session can outlive it (Triton has a group of its own in it), so they
        # are signalled even when it is gone; an id is not reused while either exists.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        while signal_session(self.pid, signal.SIGKILL):
            time.sleep(_POLL_S)
        self._popen.wait()
        self._group_ended = True

    def stop(self, grace_s: float) -> None:
        """Ask with SIGTERM, wait up to `grace_s` seconds, then kill what is left."""
        self.ask_to_stop()
        deadline = time.monotonic() + grace_s
        while self.is_running and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self.kill()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the child alone: it ends its own helpers in its own order."""
        if self.is_running:
            self._popen.terminate()
