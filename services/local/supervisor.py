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

from core.errors import ConfigError
from services.local.child import run_to_end
from services.local.parts import UP, PartState, StackPart, StartStage, StartTask, Steps, merged
from services.local.server import PortLost, ServerFailed

_TICK_S = 0.1
_ASK_AGAIN_S = 0.5
_MOST_LOST_PORTS = 20  # more at one start is no bad luck


class PartRefused(ConfigError):
    """A part ended because of wrong use or wrong settings: starting it again changes nothing."""


class StopRequested(Exception):
    """The stack was asked to stop while it was being brought up."""


class Supervisor:
    """Owns the parts of one stack. Use it from the main thread (see `services.local.child`)."""

    def __init__(
        self,
        steps: Steps,
        *,
        replan: Callable[[int], Steps] | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _text: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Only remember; nothing is started yet.

        Args:
            steps: What is brought up, and in which order.
            replan: Lays all parts out again, without a port that another program listens on; with
                None such a port is an error.
            on_change: Called after every start and end of a part, to write the run file.
            on_tick: Called in every turn of the loop, to show logs.
            say: Takes a message for people.
            clock: The seconds, monotonic.
            sleep: Waits for seconds.
        """
        self._take(steps)
        self._replan = replan
        self._on_change = on_change
        self._on_tick = on_tick
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self.is_stopping = False

    def _take(self, steps: Steps) -> None:
        self._steps = tuple(steps)
        self.parts = tuple(
            part for step in self._steps if isinstance(step, StartStage) for part in step.parts
        )

    def request_stop(self) -> None:
        """Make `bring_up` and `watch` end soon; safe in a signal handler."""
        self.is_stopping = True

    def bring_up(self) -> None:
        """Start every stage and wait for it.

        Raises:
            PartRefused: A part says that its options or settings are wrong.
            ServerFailed: A part ended or was not ready in time, or a task failed.
            StopRequested: `request_stop` was called meanwhile.
        """
        for _ in range(_MOST_LOST_PORTS):
            try:
                self._bring_up_once()
            except PortLost as lost:
                self._lay_out_again(lost)
            else:
                return
        raise ServerFailed(f"{_MOST_LOST_PORTS} ports were taken one after the other: giving up")

    def _bring_up_once(self) -> None:
        for step in self._steps:
            if isinstance(step, StartTask):
                self._perform(step)
                continue
            waiting = [part for part in step.parts if part.state not in UP]
            for part in waiting:
                self._start(part)
            for part in waiting:
                self._await_ready(part)

    def _lay_out_again(self, lost: PortLost) -> None:
        """Stop the part that lost its port and all that were told of it; they start elsewhere."""
        if self._replan is None:
            raise lost
        self._say(f"{lost}: it gets another port, and all that use it are told")
        former = {part.server.name: part for part in self.parts}
        steps: list[StartStage | StartTask] = []
        for step in self._replan(lost.port):
            steps.append(
                step if isinstance(step, StartTask) else StartStage(merged(step.parts, former))
            )
        self._stop_all_but(steps)
        self._take(steps)
        self._on_change()

    def _stop_all_but(self, kept: Steps) -> None:
        """Stop what runs and does not go on in the new steps, all at once."""
        go_on = {id(part) for step in kept if isinstance(step, StartStage) for part in step.parts}
        ending = [part.server for part in self.parts if id(part) not in go_on]
        for server in reversed(ending):
            server.ask_to_stop()
        for server in reversed(ending):
            server.stop()

    def watch(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Keep all parts running until `request_stop` is called or `is_done` says so."""
        while not self.is_stopping and not is_done():
            self.turn()

    def turn(self) -> None:
        """Look after all parts once, show their logs, and wait a little."""
        self.check()
        self._turn()

    def check(self) -> None:
        """One round: notice the dead, start those whose wait is over, ask the starting ones.

        Raises:
            PartRefused: A part says that its options or settings are wrong.
        """
        now = self._clock()
        try:
            for part in self.parts:
                self._check_part(part, now)
        except PortLost as lost:
            self._lay_out_again(lost)
            for part in self.parts:
                if part.state is PartState.NEW:
                    part.next_step_at = now
                    part.state = PartState.WAITING

    def _check_part(self, part: StackPart, now: float) -> None:
        if part.state in (PartState.STARTING, PartState.READY) and not part.server.is_running:
            self._note_end(part, now)
        elif part.state is PartState.WAITING and now >= part.next_step_at:
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
            if isinstance(step, StartStage):
                self.stop_parts([part.server.name for part in step.parts])
                self._on_tick()

    def _start(self, part: StackPart) -> None:
        self._refuse_if_stopping()
        self._refuse_lost_port(part)
        part.server.start()
        part.started_at = self._clock()
        self._set(part, PartState.STARTING)

    def _start_again(self, part: StackPart) -> None:
        part.server.kill()  # the leader is gone; its process group may not be
        self._refuse_lost_port(part)
        part.restarts += 1
        try:
            part.server.start()
        except (ServerFailed, OSError) as error:
            self._say(f"{part.server.name} cannot be started: {error}")
            self._note_end(part, self._clock())
            return
        part.started_at = self._clock()
        part.next_step_at = part.started_at
        self._set(part, PartState.STARTING)

    def _note_end(self, part: StackPart, now: float) -> None:
        status = part.server.exit_status
        if part.may_end and status == 0:
            self._say(f"{part.server.name} has finished")
            self._set(part, PartState.ENDED)
            return
        self._refuse_wrong_use(part)
        wait_s = part.next_wait_s(now - part.started_at)
        part.next_step_at = now + wait_s
        self._say(f"{part.server.name} ended with status {status}; again in {wait_s:.1f} s")
        self._set(part, PartState.WAITING)

    def _await_ready(self, part: StackPart) -> None:
        server = part.server
        give_up_at = self._clock() + server.ready_timeout_s
        while not server.is_up():
            self._refuse_if_stopping()
            if not server.is_running:
                if part.may_end and server.exit_status == 0:
                    self._set(part, PartState.ENDED)
                    return
                self._refuse_lost_port(part)
                self._refuse_wrong_use(part)
                raise ServerFailed(server.describe(f"ended with status {server.exit_status}"))
            if self._clock() > give_up_at:
                raise ServerFailed(server.describe("did not become ready in time"))
            self._turn()
        took_s = self._clock() - part.started_at
        self._say(f"{server.name} is ready ({took_s:.1f} s)")
        self._set(part, PartState.READY)

    def _perform(self, task: StartTask) -> None:
        self._refuse_if_stopping()
        status, output = run_to_end(task.command, task.timeout_s)
        if status != 0:
            raise ServerFailed(f"{task.name} failed with status {status}:\n{output}")
        self._say(output.strip().splitlines()[-1] if task.speaks else f"{task.name}: done")

    def _refuse_if_stopping(self) -> None:
        if self.is_stopping:
            raise StopRequested

    def _refuse_lost_port(self, part: StackPart) -> None:
        """Raise `PortLost` if another program has a port of a part that does not run."""
        port = part.server.lost_port() if self._replan is not None else None
        if port is not None:
            raise PortLost(part.server.name, port)

    def _refuse_wrong_use(self, part: StackPart) -> None:
        """Raise `PartRefused` if a part ended because of what it was told, not of what happened."""
        if part.server.exit_status != part.server.wrong_use_status:
            return
        for other in self.parts:  # it may have met a stranger who has the port of one that is down
            is_down = other.state not in (PartState.NEW, PartState.ENDED)
            if is_down and not other.server.is_running:
                self._refuse_lost_port(other)
        raise PartRefused(part.server.last_words())

    def _set(self, part: StackPart, state: PartState) -> None:
        part.state = state
        self._on_change()

    def _turn(self) -> None:
        self._on_tick()
        self._sleep(_TICK_S)
