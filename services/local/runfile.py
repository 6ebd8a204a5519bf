"""`run.json`: what runs where, for every command that wants to find the local stack.

A process is named by its id *and* its start time, so that a stale file never leads to a stranger
who has been given the same id.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec
import psutil

from services.local.paths import DEFAULT_PATHS

_START_TIME_FIELD = 19  # the 22nd of /proc/<pid>/stat, counted after the command's closing bracket
_DEATH_TIMEOUT_S = 5.0
_DEATH_POLL_S = 0.02


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, unmistakably.

    Attributes:
        pid: The process id.
        started: The start time as the system counts it; ticks since boot on Linux.
    """

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Tell whether this very process still runs; an ended one nobody has reaped does not."""
        return start_time_of(self.pid) == self.started


class PartRun(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the running stack.

    Attributes:
        name: As in logs and in the `part` label of Prometheus.
        identity: None while it waits to be started again, or has ended for good.
        state: Starting, ready, waiting (for its next start), ended.
        ports: By use; `metrics` is a Prometheus page at `/metrics`.
        url: Where people or clients reach it, "" if nowhere.
        log: Its log file.
        restarts: How often it was started again.
    """

    name: str
    identity: ProcessIdentity | None
    state: str
    ports: dict[str, int]
    url: str
    log: str
    restarts: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The running stack.

    Attributes:
        supervisor: The process that keeps the parts running.
        state: Starting, ready, stopping.
        started_at: RFC 3339, UTC.
        environment: The `GROUNDSWELL__…` variables that make any command use this stack.
        parts: In the order in which they were started.
    """

    supervisor: ProcessIdentity
    state: str
    started_at: str
    environment: dict[str, str]
    parts: list[PartRun]

    def part(self, name: str) -> PartRun | None:
        """Return the part of this name, or None."""
        return next((part for part in self.parts if part.name == name), None)


def start_time_of(pid: int) -> int | None:
    """Return when a process started, None if there is none or it is a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        try:
            return int(psutil.Process(pid).create_time() * 100)
        except psutil.Error:
            return None
    try:
        # The command's name may hold blanks and brackets; fields are counted from its last one.
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[_START_TIME_FIELD])


def identity_of(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process, None if it has ended."""
    started = start_time_of(pid)
    return None if started is None else ProcessIdentity(pid, started)


def write_run(run: Run, path: Path = DEFAULT_PATHS.runfile) -> None:
    """Replace the run file at once: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2))
    scratch.replace(path)


def load_run(path: Path = DEFAULT_PATHS.runfile) -> Run | None:
    """Return what the file says, alive or stale; None if it is missing or not readable as one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None


def read_run(path: Path = DEFAULT_PATHS.runfile) -> Run | None:
    """Return the running stack, None if none runs (a file left by a crash counts as none)."""
    run = load_run(path)
    return run if run is not None and run.supervisor.is_alive() else None


def end_leftovers(run: Run) -> list[str]:
    """Kill the parts of a crashed run that still live; return their names.

    Only processes whose start time matches are touched, each with its whole process group. Returns
    when they are gone, so that their ports and files are free.
    """
    alive = [part for part in run.parts if part.identity is not None and part.identity.is_alive()]
    for part in alive:
        if part.identity is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(part.identity.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + _DEATH_TIMEOUT_S
    while any(part.identity and part.identity.is_alive() for part in alive):
        if time.monotonic() > give_up_at:  # unkillable sleep in the kernel; the ports tell the rest
            break
        time.sleep(_DEATH_POLL_S)
    return [part.name for part in alive]
