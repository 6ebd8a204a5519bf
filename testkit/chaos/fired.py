"""What a run has seen: the faults that were injected, and what came after each."""

from __future__ import annotations

from dataclasses import dataclass, field

from testkit.chaos.replays import Replays
from testkit.chaos.schedule import Planned


@dataclass(slots=True)
class Fired:
    """A fault that was injected, and what came after.

    Attributes:
        planned: The fault as it stood in the schedule.
        target: The part that was hit.
        at_s: The seconds after the start of the run.
        unread: The number of records that waited when it was injected.
        lasted_s: How long it lasted; 0 for a kill.
        returned_s: The seconds from its end until what was hit was up again; None if it never was.
        resumed_s: The seconds from its end until every partition counted again; None if it never
            did.
        caught_up_s: The seconds, of an emptied store, until everything counted before was counted
            again.
    """

    planned: Planned
    target: str
    at_s: float
    unread: int
    lasted_s: float = 0.0
    returned_s: float | None = None
    resumed_s: float | None = None
    caught_up_s: float | None = None


@dataclass(slots=True)
class Run:
    """What happened.

    Attributes:
        fired: The faults in order.
        replays: What the workers did again.
        duration_s: The seconds from the first record to the last applied.
        stuck: Why the run was given up, "" if it came to its end.
        unsettled: What those beside the workers had not done when the books were read.
    """

    fired: list[Fired] = field(default_factory=list[Fired])
    replays: Replays = field(default_factory=Replays)
    duration_s: float = 0.0
    stuck: str = ""
    unsettled: str = ""
