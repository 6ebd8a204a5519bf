"""One run of chaos: stack up, schedule through, books read, verdict."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from core.errors import TransientError
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from testkit.chaos.books import Audit
from testkit.chaos.driving import Driver
from testkit.chaos.faults import never_fired
from testkit.chaos.fired import Run
from testkit.chaos.injecting import Injector
from testkit.chaos.oracle import recount
from testkit.chaos.probes import NoAnswer
from testkit.chaos.readings import read_books
from testkit.chaos.schedule import Planned, make_schedule
from testkit.chaos.stack import ChaosStack, StackOptions

SECONDS_PER_FAULT: Final = 8.0
SECONDS_BESIDE: Final = 12.0
RESUME_LIMIT_S: Final = 30.0
"""The promise: counting again within so long after each fault, of a kill after the restart."""
_SEEDS: Final = 2**31


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """What was asked for.

    Attributes:
        posts: The number of distinct posts in all.
        seed: The seed of the source and of the schedule.
        wanted: Kind of fault -> least number of times.
        events: The number of faults in all; 0 means those of `wanted`.
        workers: The number of worker processes.
        scorer: `fake` or `triton`.
        scorers: How many of them there are; of several one is always left alone.
        scorer_delay_ms: How long the stand-in thinks about a batch.
        lasting_s: How long faults last that have no length of their own; 0 is a few seconds.
        resume_limit_s: The longest time until counting again that passes; of what was killed from
            when it is up again.
        give_up_s: A run in which nothing moves for so long is stuck; restarts are not counted.
        root: Where the files of the run go.
        code: The source tree of the workers.
        posts_per_s: The pace of the source; 0 gives each fault `SECONDS_PER_FAULT`.
        settings: Further settings, `section.field` -> value.
    """

    posts: int
    seed: int
    wanted: Mapping[str, int]
    events: int = 0
    workers: int = 2
    scorer: str = "fake"
    scorers: int = 1
    scorer_delay_ms: float = 20.0
    lasting_s: float = 0.0
    resume_limit_s: float = RESUME_LIMIT_S
    give_up_s: float = 45.0
    root: Path = DEFAULT_PATHS.root / "chaos"
    code: Path = PROJECT_ROOT
    posts_per_s: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        options: What was asked for.
        schedule: What was planned.
        run: What was injected and how it was survived.
        audit: What the oracle says; None if the books could not be read.
        full_by: How Redis was made full.
        faults: Why the run does not pass, a sentence each; empty when it does.
    """

    options: ChaosOptions
    schedule: Sequence[Planned]
    run: Run
    audit: Audit | None
    full_by: str
    faults: list[str] = field(default_factory=list[str])

    @property
    def passed(self) -> bool:
        """True if the books balance, every fault fired and counting always resumed in time."""
        return not self.faults

    def resumed(self, kind: str = "") -> list[float]:
        """Return the seconds until counting again, of one kind or of all."""
        return [
            fired.resumed_s
            for fired in self.run.fired
            if fired.resumed_s is not None and kind in ("", fired.planned.kind)
        ]

    def returned(self, kind: str = "") -> list[float]:
        """Return the seconds until what was hit was up again, of one kind or of all."""
        return [
            fired.returned_s
            for fired in self.run.fired
            if fired.returned_s is not None and kind in ("", fired.planned.kind)
        ]

    def figures(self) -> dict[str, float]:
        """Return name -> number, flat."""
        found: dict[str, float] = {
            "faults_fired": len(self.run.fired),
            "fault_kinds_fired": len({fired.planned.kind for fired in self.run.fired}),
            "faults_overlapping": sum(f.planned.overlaps for f in self.run.fired),
            "duration_s": round(self.run.duration_s, 1),
            "books_balance": float(self.audit is not None and not self.audit.faults),
            "passed": float(self.passed),
        }
        found |= _spread("resumed_s", self.resumed())
        found |= _spread("returned_s", self.returned())
        for kind, times in Counter(f.planned.kind for f in self.run.fired).items():
            found[f"fired.{kind}"] = times
            found |= _spread(f"resumed_s.{kind}", self.resumed(kind))
            found |= _spread(f"returned_s.{kind}", self.returned(kind))
        rebuilt = [f.caught_up_s for f in self.run.fired if f.caught_up_s is not None]
        found |= _spread("rebuilt_s", rebuilt)
        found |= self.run.replays.figures()
        return found | (self.audit.figures if self.audit is not None else {})


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {f"{name}.max": round(max(values), 2), f"{name}.median": round(median(values), 2)}


def run_chaos(options: ChaosOptions, say: Callable[[str], None]) -> Outcome:
    """Run it; takes about ten seconds for each fault.

    Raises:
        ServerFailed: The stack did not come up.
    """
    schedule = make_schedule(options.wanted, options.events, options.seed)
    pace = options.posts_per_s or options.posts / (
        SECONDS_BESIDE + (SECONDS_PER_FAULT + options.lasting_s) * len(schedule)
    )
    stack_options = StackOptions(
        root=options.root,
        posts=options.posts,
        posts_per_s=pace,
        seed=random.Random(options.seed).randrange(_SEEDS),
        workers=options.workers,
        scorer=options.scorer,
        scorers=options.scorers,
        scorer_delay_ms=options.scorer_delay_ms,
        lasting_s=options.lasting_s,
        code=options.code,
        settings=dict(options.settings),
    )
    with ChaosStack(stack_options, say) as stack:
        full_by = Injector(stack).full_by
        give_up_s = options.give_up_s + options.lasting_s
        run = Driver(stack, schedule, give_up_s, say).run()
        audit = None
        if not run.stuck:  # the books of a stream that still flows, or stands, say nothing
            say("reading the books")
            try:
                audit = recount(read_books(stack))
            except (TransientError, NoAnswer) as error:
                run.stuck = f"the books could not be read: {error}"
    outcome = Outcome(options, schedule, run, audit, full_by)
    outcome.faults = judge(outcome)
    return outcome


def judge(outcome: Outcome) -> list[str]:
    """Return why a run does not pass, a sentence each; empty when it does."""
    run, options = outcome.run, outcome.options
    found = [why for why in (run.stuck, run.unsettled) if why]
    missing = never_fired(options.wanted, (fired.planned.kind for fired in run.fired))
    if missing:
        found.append(f"faults that were asked for never fired: {', '.join(missing)}")
    if len(run.fired) < len(outcome.schedule):
        found.append(f"{len(run.fired)} of {len(outcome.schedule)} planned faults fired")
    for fired in run.fired:
        if fired.resumed_s is None:
            found.append(f"counting did not resume after {fired.planned.kind} ({fired.target})")
        elif (late_s := fired.resumed_s - (fired.returned_s or 0.0)) > options.resume_limit_s:
            found.append(
                f"counting resumed only {late_s:.1f} s after {fired.planned.kind} "
                f"({fired.target}) was over; expected at most {options.resume_limit_s:g} s"
            )
    late = run.replays.figures()["scorer_timeouts"]
    if options.scorers > 1 and late:
        found.append(f"{late:.0f} batches waited beyond the scorer's time-out while one was left")
    return found + (outcome.audit.faults if outcome.audit is not None else [])
