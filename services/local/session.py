"""One run of the local stack, from an empty process table back to one.

Holds a lock for as long as it lives, so that two supervisors never share a folder; the lock goes
with the process, however it ends. The run file describes, it does not decide.
"""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import IO, Self

from core.errors import GroundswellError
from services.local.options import StackOptions
from services.local.paths import RuntimePaths, ensure_author_key
from services.local.runfile import PartRun, Run, end_leftovers, identity_of, load_run, write_run
from services.local.setup import set_up
from services.local.stack import Stack, plan_stack
from services.local.supervisor import PartState, Steps, Supervisor

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUPERVISOR_LOG = "supervisor.log"
"""Where a supervisor in the background writes its messages."""
_RESTARTABLE = {PartState.STARTING, PartState.READY}


class StackAlreadyRuns(GroundswellError):
    """Another supervisor holds this run-time folder."""

    @classmethod
    def in_folder(cls, paths: RuntimePaths) -> Self:
        """Return the error for a folder, with the way out."""
        return cls(f"a stack already runs in {paths.root}: groundswell down stops it")


def prepare(options: StackOptions, say: Callable[[str], None]) -> None:
    """Make what this stack needs and is not there yet; see `services.local.setup.set_up`."""
    set_up(options.paths, say, needs_model=options.scorer in ("triton", "openvino"))


class Session:
    """Start a stack on entry (nothing is ready before `bring_up`), ends all of it on exit.

    While it is open SIGINT, SIGTERM and SIGHUP ask it to stop; a second signal kills.

    Attributes:
        stack: How the parts were laid out; there from entry on, another once a port was lost.
        supervisor: Keeps them running; there from entry on.
        signals_seen: How often it was asked to stop.
    """

    def __init__(
        self,
        options: StackOptions,
        *,
        say: Callable[[str], None],
        on_tick: Callable[[], None] = lambda: None,
        plan: Callable[[StackOptions], Stack] = plan_stack,
        prepare: Callable[[StackOptions, Callable[[str], None]], None] = prepare,
    ) -> None:
        """Only remember; nothing is touched yet.

        Args:
            options: What was asked for.
            say: Takes messages for people.
            on_tick: Called about ten times a second while the stack is up.
            plan: Lays out the parts; called once the folder is cleared.
            prepare: Fetches and builds what the parts need.
        """
        self._options = options
        self._say = say
        self._on_tick = on_tick
        self._plan = plan
        self._prepare = prepare
        self._lock: IO[str] | None = None
        self._former_handlers: dict[signal.Signals, signal._HANDLER] = {}
        self.signals_seen = 0
        self._state = "starting"
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.stack: Stack
        self.supervisor: Supervisor

    def __enter__(self) -> Self:
        """Take the folder, clear what a crash left, fetch and build what is missing.

        Raises:
            StackAlreadyRuns: Another supervisor is at work in this folder.
            JarsUnavailable, ServerFailed: Something could not be fetched or built.
        """
        self._take_lock()
        try:
            self._clear_leftovers()
            ensure_author_key(self._options.paths.author_key)
            self._prepare(self._options, self._say)
            self.stack = self._plan(self._options)
            self.supervisor = Supervisor(
                self.stack.steps,
                replan=self._replan if self.stack.ports else None,
                on_change=self._write_run,
                on_tick=self._on_tick,
                say=self._say,
            )
            self._write_run()
            for number in _STOP_SIGNALS:
                self._former_handlers[number] = signal.signal(number, self._on_signal)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop every part, last started first; remove the run file."""
        self._state = "stopping"
        try:
            self.supervisor.take_down()
        finally:
            if self.stack.ports is not None:
                self.stack.ports.close()
            for number, handler in self._former_handlers.items():
                signal.signal(number, handler)
            self._options.paths.runfile.unlink(missing_ok=True)
            self._release()

    def bring_up(self) -> None:
        """Start all parts and wait until each is ready; see `Supervisor.bring_up`."""
        self.supervisor.bring_up()
        self._state = "ready"
        self._write_run()

    def _replan(self, lost_port: int) -> Steps:
        """Lay the stack out again, without a port that another program listens on."""
        self.stack = self.stack.without(lost_port)
        return self.stack.steps

    def _take_lock(self) -> None:
        paths = self._options.paths
        paths.root.mkdir(parents=True, exist_ok=True)
        self._lock = (paths.root / "up.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise StackAlreadyRuns.in_folder(paths) from error

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _clear_leftovers(self) -> None:
        paths = self._options.paths
        stale = load_run(paths.runfile)
        if stale is not None:
            ended = end_leftovers(stale)
            if ended:
                self._say(f"ended what a crash had left: {', '.join(ended)}")
            paths.runfile.unlink(missing_ok=True)
        if self._options.fresh:
            shutil.rmtree(paths.state, ignore_errors=True)
        paths.logs.mkdir(parents=True, exist_ok=True)
        for log in paths.logs.glob("*.log"):
            if log.name != SUPERVISOR_LOG:  # in use already: it is this process's own output
                log.replace(log.with_suffix(".log.1"))

    def _write_run(self) -> None:
        supervisor = identity_of(os.getpid())
        if supervisor is None:  # cannot be: it is this process
            return
        parts = [
            PartRun(
                name=part.server.name,
                identity=identity_of(part.server.pid) if part.state in _RESTARTABLE else None,
                state=part.state,
                ports=dict(part.server.ports),
                url=self.stack.urls.get(part.server.name, ""),
                log=str(part.server.log_path),
                restarts=part.restarts,
            )
            for part in self.supervisor.parts
        ]
        write_run(
            Run(
                supervisor=supervisor,
                state=self._state,
                started_at=self._started_at,
                environment=self.stack.environment,
                parts=parts,
            ),
            self._options.paths.runfile,
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals_seen += 1
        self.supervisor.request_stop()
        if self.signals_seen > 1:
            sys.stderr.write(f"signal {signal.Signals(number).name} again: killing\n")
            for part in self.supervisor.parts:
                part.server.kill()
