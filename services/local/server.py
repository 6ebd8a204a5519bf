"""What every server of the local stack can do: start, be ready, be killed, start again."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import GroundswellError
from services.local.child import Child, Command
from services.local.ports import is_free, listening_ports
from services.local.probes import http_answers

_READY_POLL_S = 0.05
_LOG_TAIL_LINES = 15
OWN = "groundswell: "
"""Before each line of an error with which one of our commands ends."""
WRONG_USE = 2
"""The exit status of our commands for wrong use and wrong settings."""


class ServerFailed(GroundswellError):
    """A server ended by itself or was not ready in time; the message carries its last output."""


class PortLost(ServerFailed):
    """Another program listens on a port that a server was to have.

    Attributes:
        server: The name of the server.
        port: The number of the port.
    """

    def __init__(self, server: str, port: int) -> None:
        super().__init__(f"port {port} of {server} is taken by another program")
        self.server = server
        self.port = port


class LocalServer(ABC):
    """One server process with a fixed directory and fixed ports across restarts.

    Used as a context manager it is started, waited for, and stopped at the end. `kill` followed
    by `start` is a crash and a recovery: same ports, same stored data. Not thread-safe; start it
    from the main thread (see `services.local.child`).
    """

    name: str
    ready_timeout_s: float = 60.0
    wrong_use_status: int | None = None
    """The exit status by which it says that starting it again would change nothing."""
    stop_grace_s: float = 10.0
    unshown: re.Pattern[str] | None = None
    """How the lines of its log begin that tell a person nothing; they stay in the file."""

    def __init__(self, directory: Path, log_path: Path | None = None) -> None:
        """Only remembers; nothing is started or written yet.

        Args:
            directory: Where the server keeps its files; made when needed, kept at the end.
            log_path: Where its output goes; `<directory>/<name>.log` if None.
        """
        self.directory = directory.resolve()
        self.log_path = (log_path or directory / f"{self.name}.log").resolve()
        self._child: Child | None = None

    @property
    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """Every port the server listens on, by what it is for."""

    @abstractmethod
    def command(self) -> Command:
        """Write the configuration the server needs and return how to execute it."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Really asks the server whether it can serve; False is no error."""

    @property
    def pid(self) -> int:
        """Process id of the running server.

        Raises:
            ServerFailed: It was never started.
        """
        if self._child is None:
            raise ServerFailed(f"{self.name} was not started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process exists; it may not be ready."""
        return self._child is not None and self._child.is_running

    @property
    def exit_status(self) -> int | None:
        """Exit status of the ended process, None while it runs or before it was started."""
        return None if self._child is None else self._child.exit_status

    def start(self) -> None:
        """Start the process and return at once; do nothing if it is running."""
        if self.is_running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child = Child(self.command(), self.log_path)

    def is_up(self) -> bool:
        """Tell whether it is this very process that answers, on all of its ports.

        What answers there may be another's server, which nobody else would notice: clients would
        be told its address for ours.
        """
        if not (self.is_running and self.is_ready()):
            return False
        return self.is_running and set(self.ports.values()) <= listening_ports(self.pid)

    def lost_port(self) -> int | None:
        """Return a port of this server that another program listens on, None if there is none."""
        taken = [port for port in self.ports.values() if not is_free(port)]
        own = listening_ports(self.pid) if taken and self.is_running else set[int]()
        # Asked once more: what ended in between was our own.
        return next((port for port in taken if port not in own and not is_free(port)), None)

    def is_planned_as(self, other: "LocalServer") -> bool:
        """Tell whether it would be started in the same way as another server of its name."""
        return self.ports == other.ports

    def wait_ready(self, deadline_s: float | None = None) -> None:
        """Wait until the server answers.

        Args:
            deadline_s: The seconds to wait at most; the class's `ready_timeout_s` if None.

        Raises:
            ServerFailed: It ended, or did not answer in time.
        """
        limit_s = self.ready_timeout_s if deadline_s is None else deadline_s
        give_up_at = time.monotonic() + limit_s
        while not self.is_up():
            if not self.is_running:
                raise ServerFailed(self.describe(f"ended with status {self.exit_status}"))
            if time.monotonic() > give_up_at:
                raise ServerFailed(self.describe(f"did not answer within {limit_s:g} s"))
            time.sleep(_READY_POLL_S)

    def kill(self) -> None:
        """End the process and all it started with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        """Ask the process to end (SIGTERM), and kill it when the grace has passed."""
        if self._child is not None:
            self._child.stop(self.stop_grace_s)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once; `stop` waits."""
        if self._child is not None:
            self._child.ask_to_stop()

    def restart(self) -> None:
        """Stop, start again on the same ports and directory, and wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready()

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """Return the last lines the server printed, "" if it printed none."""
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def last_words(self) -> str:
        """Return why the server says that it ended: our own lines of errors, else its last ones."""
        said = self.log_tail().splitlines()
        errors = [line.removeprefix(OWN) for line in said if line.startswith(OWN)]
        return "\n".join(f"{self.name}: {line}" for line in errors or said)

    def describe(self, what: str) -> str:
        """Return a message for people: what happened to the server, and its last output."""
        return f"{self.name} {what}; its last output ({self.log_path}):\n{self.log_tail()}"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server; its files stay."""
        self.stop()


class Program(LocalServer):
    """A part without a class of its own: one of Groundswell's processes, or a test's."""

    wrong_use_status = WRONG_USE

    def __init__(
        self,
        name: str,
        command: Command,
        directory: Path,
        *,
        ports: Mapping[str, int] | None = None,
        ready: Callable[[], bool] | None = None,
        log_path: Path | None = None,
        stop_grace_s: float = 10.0,
    ) -> None:
        """Only remember; nothing is started yet.

        Args:
            name: For logs and the run file.
            command: The same at every start.
            directory: Made before the first start.
            ports: What it listens on, by use; a port named `metrics` serves `/metrics`.
            ready: Asks the program; None means: its metrics page answers, or, without such a
                port, that it runs.
            log_path: The file for its output; `<directory>/<name>.log` if None.
            stop_grace_s: How long it may take to end after SIGTERM.
        """
        self.name = name
        super().__init__(directory, log_path)
        self.stop_grace_s = stop_grace_s
        self._command = command
        self._ports = dict(ports or {})
        self._ready = ready

    @property
    def ports(self) -> Mapping[str, int]:
        """As given."""
        return self._ports

    def command(self) -> Command:
        """As given."""
        return self._command

    def is_ready(self) -> bool:
        """Ask the program in the way it was told."""
        if self._ready is not None:
            return self.is_running and self._ready()
        if "metrics" in self._ports:
            return http_answers(self._ports["metrics"], "/metrics")
        return self.is_running

    def is_planned_as(self, other: LocalServer) -> bool:
        """Tell whether the other has the same ports and the same command."""
        same_command = isinstance(other, Program) and other.command() == self.command()
        return same_command and super().is_planned_as(other)
