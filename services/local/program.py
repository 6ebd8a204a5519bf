"""Any program as a part of the stack, told by its command line and a way to ask it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from services.local.child import Command
from services.local.probes import http_answers
from services.local.server import WRONG_USE, LocalServer


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
            name: for logs and the run file.
            command: the same at every start.
            directory: made before the first start.
            ports: what it listens on, by use; a port named `metrics` serves `/metrics`.
            ready: asks the program; None means: its metrics page answers, or, without such a
                port, that it runs.
            log_path: file for its output; `<directory>/<name>.log` if None.
            stop_grace_s: how long it may take to end after SIGTERM.
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
