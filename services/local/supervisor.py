"""Brings the parts of a stack up in order, keeps them running, and takes them down in order.

Libraries were looked at first. honcho's own supervision ends everything when one process ends,
which is the opposite of what is needed here; mode supervises asyncio services inside one
process; supervisord wants a configuration file and a server of its own, and knows no readiness.
So starting, readiness, restarts and the end are the small loop below; only the look of the log
lines is honcho's.

One thread, no signals handled here: `request_stop` may be called from a signal handler.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.local.backoff import Backoff
from services.local.child import Command, run_to_end
from services.local.server import LocalServer, ServerFailed

_TICK_S = 0.1
_ASK_AGAIN_S = 0.5


class PartState(StrEnum):
    """Where a part is in its life."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(slots=True)
class Part:
    """A server with its fate.

    Attributes:
        server: what is started.
        may_end: a part that ends with status 0 is done and stays down (a source that is read).
        state: see `PartState`.
        restarts: how often it was started again.
    """

    server: LocalServer
    may_end: bool = False
    state: PartState = PartState.NEW
    restarts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    started_at: float = 0.0
    next_step_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts that may start together once all earlier stages are ready."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A command that must end well before the next stage starts.

    Attributes:
        name: for messages.
        command: what is executed.
        timeout_s: how long it may take.
    """

    name: str
    command: Command
    timeout_s: float = 60.0


class StopRequested(Exception):
    """The stack was asked to stop while it was being brought up."""


class Supervisor:
    """Owns the parts of one stack. Use it from the main thread (see `services.local.child`)."""

    def __init__(
        self,
        steps: Sequence[Stage | Task],
        *,
        on_change: Callable[[], None] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _text: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Only remember; nothing is started yet.

        Args:
            steps: stages and tasks in the order in which they are brought up.
            on_change: called after every start and end of a part, to write the run file.
            on_tick: called in every turn of the loop, to show logs.
            say: takes a message for people.
            clock: seconds, monotonic.
            sleep: waits for seconds.
        """
        self._steps = tuple(steps)
        self.parts = tuple(
            part for step in self._steps if isinstance(step, Stage) for part in step.parts
        )
        self._on_change = on_change
        self._on_tick = on_tick
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self.is_stopping = False

    def request_stop(self) -> None:
        """Make `bring_up` and `watch` end soon; safe in a signal handler."""
        self.is_stopping = True

    def bring_up(self) -> None:
        """Start every stage and wait for it.

        Raises:
            ServerFailed: a part ended or was not ready in time, or a task failed.
            StopRequested: `request_stop` was called meanwhile.
        """
        for step in self._steps:
            if isinstance(step, Task):
                self._perform(step)
                continue
            for part in step.parts:
                self._start(part)
            for part in step.parts:
                self._await_ready(part)

    def watch(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Keep all parts running until `request_stop` is called or `is_done` says so."""
        while not self.is_stopping and not is_done():
            self.look_after()
            self._turn()

    def look_after(self) -> None:
        """One round: notice the dead, start those whose wait is over, ask the starting ones."""
        now = self._clock()
        for part in self.parts:
            if part.state in (PartState.STARTING, PartState.READY) and not part.server.is_running:
                self._note_end(part, now)
            elif part.state is PartState.WAITING and now >= part.next_step_at:
                part.restarts += 1
                self._start_again(part)
            elif part.state is PartState.STARTING and now >= part.next_step_at:
                part.next_step_at = now + _ASK_AGAIN_S
                if part.server.is_up():
                    self._set(part, PartState.READY)

    def stop_parts(self, names: Sequence[str]) -> None:
        """Stop some parts for good, all at once; they are not started again."""
        chosen = [part for part in self.parts if part.server.name in names]
        for part in chosen:
            part.server.ask_to_stop()
        for part in chosen:
            part.server.stop()
            self._set(part, PartState.ENDED)

    def take_down(self) -> None:
        """Stop everything, last stage first; the parts of one stage together."""
        self.is_stopping = True
        for step in reversed(self._steps):
            if isinstance(step, Stage):
                self.stop_parts([part.server.name for part in step.parts])
                self._on_tick()

    def _start(self, part: Part) -> None:
        self._refuse_if_stopping()
        part.server.start()
        part.started_at = self._clock()
        self._set(part, PartState.STARTING)

    def _start_again(self, part: Part) -> None:
        part.server.kill()  # the leader is gone; its process group may not be
        try:
            part.server.start()
        except (ServerFailed, OSError) as error:
            self._say(f"{part.server.name} cannot be started: {error}")
            self._note_end(part, self._clock())
            return
        part.started_at = self._clock()
        part.next_step_at = part.started_at
        self._set(part, PartState.STARTING)

    def _note_end(self, part: Part, now: float) -> None:
        status = part.server.exit_status
        if part.may_end and status == 0:
            self._say(f"{part.server.name} has finished")
            self._set(part, PartState.ENDED)
            return
        wait_s = part.backoff.next_wait_s(now - part.started_at)
        part.next_step_at = now + wait_s
        self._say(f"{part.server.name} ended with status {status}; again in {wait_s:.1f} s")
        self._set(part, PartState.WAITING)

    def _await_ready(self, part: Part) -> None:
        server = part.server
        give_up_at = self._clock() + server.ready_timeout_s
        while not server.is_up():
            self._refuse_if_stopping()
            if not server.is_running:
                if part.may_end and server.exit_status == 0:
                    self._set(part, PartState.ENDED)
                    return
                raise ServerFailed(server.describe(f"ended with status {server.exit_status}"))
            if self._clock() > give_up_at:
                raise ServerFailed(server.describe("did not become ready in time"))
            self._turn()
        took_s = self._clock() - part.started_at
        self._say(f"{server.name} is ready ({took_s:.1f} s)")
        self._set(part, PartState.READY)

    def _perform(self, task: Task) -> None:
        self._refuse_if_stopping()
        status, output = run_to_end(task.command, task.timeout_s)
        if status != 0:
            raise ServerFailed(f"{task.name} failed with status {status}:\n{output}")
        self._say(f"{task.name}: done")

    def _refuse_if_stopping(self) -> None:
        if self.is_stopping:
            raise StopRequested

    def _set(self, part: Part, state: PartState) -> None:
        part.state = state
        self._on_change()

    def _turn(self) -> None:
        self._on_tick()
        self._sleep(_TICK_S)
