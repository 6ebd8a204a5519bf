"""Drives a run: injects the schedule by progress, waits for counting after each, to the end.

The source is held back when it is far ahead of the schedule, so that every fault meets a stream
that flows, on a machine of any speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.local.parts import UP, PartState
from testkit.chaos.faults import FAULTS
from testkit.chaos.fired import Fired, Run
from testkit.chaos.injecting import Injected, Injector
from testkit.chaos.patience import Patience
from testkit.chaos.progress import Progress, ProgressProbe
from testkit.chaos.schedule import Planned
from testkit.chaos.settling import settle
from testkit.chaos.stack import ChaosStack
from testkit.chaos.worker import SAY_WHERE

LOOK_EVERY_S: Final = 0.1
SCRAPE_EVERY_S: Final = 0.5
COUNTED_AGAIN: Final = ("empty", "rubbish")
"""After these a partition is counted from its beginning."""
AHEAD_FAULTS: Final = 2
"""The source may be ahead of counting by the way to the fault after the next."""
LEFT_FOR_LAST: Final = 0.03
"""The share of the posts beyond the last fault that may be made before it."""
SETTLED_LOOKS: Final = 10
SETTLE_TIMEOUT_S: Final = 240.0
"""They give way to all else that runs on the machine, so they may be long about the first step."""
BESIDE: Final = ("closer", "forecaster", "responder")
TAKEN_OVER_WITHIN_S: Final = 10.0
"""A stopped worker sleeps for so much longer at most, until the others count in its place."""


@dataclass(slots=True)
class _Active:
    fired: Fired
    injected: Injected
    begun_at: float
    ended_at: float | None = None
    baseline: tuple[int, ...] = ()
    before: tuple[int, ...] = ()


class Driver:
    """Runs one schedule on one stack, once."""

    def __init__(
        self,
        stack: ChaosStack,
        schedule: Sequence[Planned],
        give_up_s: float,
        say: Callable[[str], None],
    ) -> None:
        """Only remember.

        Args:
            stack: The stack, which is up.
            schedule: The faults in order of `at`.
            give_up_s: Without progress for so long, restarts not counted, the run is stuck.
            say: Takes a line for people.
        """
        self._stack = stack
        self._schedule = list(schedule)
        self._patience = Patience(give_up_s)
        self._say = say
        self._injector = Injector(stack)
        self._probe = ProgressProbe(stack)
        self._next = 0
        self._active: list[_Active] = []
        self._last: Progress | None = None
        self._looked_at = 0.0
        self._reached = 0
        self._moved_at = time.monotonic()
        self._run = Run()

    def run(self) -> Run:
        """Inject everything, let the source end and everything be applied."""
        started = self._moved_at = time.monotonic()
        next_scrape = 0.0
        settled = 0
        while settled < SETTLED_LOOKS:
            now = time.monotonic()
            self._stack.supervisor.check()
            self._patience.look(now, self._is_restarting)
            look = self._probe.look()
            if look is not None:
                self._note(look, now)
            self._end_faults(now)
            self._note_returns(now)
            self._judge(look, now)
            if look is not None and not self._run.stuck:
                self._begin_faults(look, now, started)
                self._hold(look)
            if now >= next_scrape:
                lasting = {a.injected.target for a in self._active if a.ended_at is None}
                self._run.replays.scrape(self._stack, lasting)
                next_scrape = now + SCRAPE_EVERY_S
            settled = settled + 1 if self._is_done(look) else 0
            if self._patience.is_over(self._moved_at, now) or self._overdue(now):
                self._run.stuck = self._describe_stuck()
                break
            every_s = LOOK_EVERY_S if self._active else LOOK_EVERY_S / 5
            time.sleep(max(0.0, now + every_s - time.monotonic()))
        self._run.duration_s = time.monotonic() - started
        self._run.replays.scrape(self._stack)
        self._finish()
        self._probe.close()
        return self._run

    def _note(self, look: Progress, now: float) -> None:
        if self._last is None or look.applied != self._last.applied or look.ends != self._last.ends:
            self._moved_at = now
        self._last, self._looked_at = look, now
        self._reached = max(self._reached, sum(look.applied))

    # -- faults -------------------------------------------------------------------------------

    def _begin_faults(self, look: Progress, now: float, started: float) -> None:
        while self._next < len(self._schedule):
            planned = self._schedule[self._next]
            may_overlap = planned.overlaps and self._active
            if self._reached < planned.at * self._stack.options.posts and not may_overlap:
                return
            if self._active and not planned.overlaps:
                return
            if not look.unread and not may_overlap:
                return  # a fair fault meets records on their way
            # Scrape first: a killed worker takes its counters with it.
            busy = {active.injected.target for active in self._active}
            self._run.replays.scrape(self._stack, busy)
            injected = self._injector.begin(planned.kind, busy, planned.seed)
            if injected is None:
                return
            self._next += 1
            fired = Fired(planned, injected.target, now - started, look.unread)
            self._run.fired.append(fired)
            self._active.append(_Active(fired, injected, now, before=look.applied))
            self._moved_at = now
            share = self._reached / self._stack.options.posts
            self._say(
                f"[{now - started:6.1f} s, {share:4.0%}] {planned.kind} ({injected.target})"
                f"{' on top' if may_overlap else ''}"
            )

    def _end_faults(self, now: float) -> None:
        for active in self._active:
            how = FAULTS[active.injected.kind].how
            if active.ended_at is not None or now < active.injected.ends_at:
                continue
            if now < active.injected.ends_at + TAKEN_OVER_WITHIN_S and self._is_irreplaced(active):
                continue
            active.injected.end()
            # A kill is over at once: the restart is part of the recovery. What was on its way is
            # left to arrive before it is noted what "counting again" has to exceed.
            active.ended_at = active.begun_at if how in ("kill", "empty") else time.monotonic()
            active.fired.lasted_s = active.ended_at - active.begun_at
            last = self._last.applied if self._last is not None else active.before
            active.baseline = (0,) * len(last) if how in COUNTED_AGAIN else last

    def _is_irreplaced(self, active: _Active) -> bool:
        """Tell whether a worker is stopped in whose place nobody has counted yet.

        If it woke now, what it holds would still be true, and nothing would be tried.
        """
        fault = FAULTS[active.injected.kind]
        if (fault.part, fault.how) != ("worker", "stop"):
            return False
        has_others = len(self._stack.parts_of("worker")) > 1
        return has_others and self._last is not None and not self._moved(self._last, active.before)

    def _judge(self, look: Progress | None, now: float) -> None:
        """Note which faults have been recovered from; overlapping ones are judged together."""
        if look is None or any(active.ended_at is None for active in self._active):
            return
        for active in list(self._active):
            ended_at = active.ended_at or now
            is_up = self._is_up(active)
            if active.fired.resumed_s is None and is_up and self._moved(look, active.baseline):
                active.fired.resumed_s = max(0.0, now - ended_at)
            if active.fired.resumed_s is None:
                continue
            is_empty = FAULTS[active.injected.kind].how in COUNTED_AGAIN
            if is_empty and not all(
                a >= b for a, b in zip(look.applied, active.before, strict=True)
            ):
                continue
            if is_empty:
                active.fired.caught_up_s = now - ended_at
            self._active.remove(active)
            self._say(f"    counting again after {active.fired.resumed_s:.1f} s")

    def _note_returns(self, now: float) -> None:
        for active in self._active:
            fired, ended_at = active.fired, active.ended_at
            if ended_at is not None and fired.returned_s is None and self._is_up(active):
                fired.returned_s = max(0.0, now - ended_at)

    def _is_up(self, active: _Active) -> bool:
        return self._stack.part(active.injected.target).state in UP

    @property
    def _is_restarting(self) -> bool:
        return any(part.state not in UP for part in self._stack.supervisor.parts)

    def _moved(self, look: Progress, since: tuple[int, ...]) -> bool:
        """Tell whether every partition has counted beyond `since`, or has nothing to count."""
        nothing_comes = self._ingest_ended or self._stack.is_holding
        return all(
            applied > before or (nothing_comes and applied >= end)
            for applied, before, end in zip(look.applied, since, look.ends, strict=True)
        )

    # -- the source and the end ---------------------------------------------------------------

    @property
    def _ingest_ended(self) -> bool:
        return self._stack.part("ingest").state is PartState.ENDED

    def _hold(self, look: Progress) -> None:
        later = self._next + AHEAD_FAULTS - 1
        busy = any(active.injected.target == "ingest" for active in self._active)
        share = float("inf")
        if later < len(self._schedule):
            share = self._schedule[later].at
        elif self._next < len(self._schedule):
            share = self._schedule[-1].at + LEFT_FOR_LAST
        limit = share * self._stack.options.posts
        # Not while everything is counted and the next fault is due: it needs records on their way.
        flows = bool(self._active) or look.unread > 0
        self._stack.hold_ingest(sum(look.ends) > limit and not busy and flows)

    def _is_done(self, look: Progress | None) -> bool:
        return look is not None and self._ingest_ended and not look.unread and not self._active

    def _overdue(self, now: float) -> bool:
        """Tell whether some partition has not counted again for too long after a fault."""
        return any(
            active.ended_at is not None and self._patience.is_over(active.ended_at, now)
            for active in self._active
        )

    def _describe_stuck(self) -> str:
        for part in self._stack.parts_of("worker"):
            self._stack.signal(part, SAY_WHERE)
        states = ", ".join(f"{p.server.name} {p.state}" for p in self._stack.supervisor.parts)
        waited = f"{self._patience.limit_s:g} s"
        restarting_s = self._patience.restarting_s(self._moved_at)
        if restarting_s:
            waited += f" beside {restarting_s:.0f} s of restarts"
        return f"counting did not go on for {waited}: {self._last} ({states})"

    def _finish(self) -> None:
        """Undo what still lasts, so that the books are read from a healthy stack."""
        for active in self._active:
            if active.ended_at is None:
                active.injected.end()
        self._stack.hold_ingest(False)
        if not self._run.stuck:
            self._settle()

    def _settle(self) -> None:
        """Wait until the closer, forecaster and responder have read all and told what follows."""
        limit_s = max(SETTLE_TIMEOUT_S, self._patience.limit_s)
        self._run.unsettled = settle(self._probe, limit_s, self._stack.supervisor.check)
        for name in BESIDE if self._run.unsettled else ():
            self._say(f"the last that {name} wrote:\n{self._stack.part(name).server.log_tail()}")
