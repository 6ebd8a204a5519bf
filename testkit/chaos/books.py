"""What a run has left behind, as the oracle is given it; and what the oracle says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_EXAMPLES: Final = 3
Where = tuple[str, int, int]
"""(topic, partition, offset)"""
Id = tuple[str, str]
"""(source, id of the post)"""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of `posts` or `post-events` as it lies in the topic.

    Attributes:
        written_ms: When it was written, milliseconds since 1970; 0 where that is not known.
    """

    partition: int
    offset: int
    key: bytes
    value: bytes
    written_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A record of `dead-posts` as it lies in the topic."""

    key: bytes
    value: bytes


@dataclass(slots=True)
class ForecastBooks:
    """What a forecaster has left behind.

    Attributes:
        horizon_s: The age of a post at which its counts are its outcome.
        published: The records of `forecasts` in order.
        totals: Partition -> fields of the hash in which it keeps how far it has come.
        pending: Partition -> number of posts that wait for their outcome.
        ends: (topic, partition) -> the offset after the last record of what it reads.
    """

    horizon_s: int
    published: list[RawRecord] = field(default_factory=list[RawRecord])
    totals: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    pending: dict[int, int] = field(default_factory=dict[int, int])
    ends: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])


@dataclass(slots=True)
class ResponseBooks:
    """What a responder has left behind.

    Attributes:
        events: The records of `events`, which it follows.
        told: The records of `responses` in order of offset within each partition.
        kept: `source|id` of an event -> fields of the hash in which its texts are.
        where: `source|id` of a post -> number of events that are said to show it.
    """

    events: list[RawRecord] = field(default_factory=list[RawRecord])
    told: list[RawRecord] = field(default_factory=list[RawRecord])
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    where: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class Books:
    """What a run has left behind.

    Attributes:
        pane_s: The length of a pane.
        ledger: The lines of the source's ledger.
        wrong_answers: The lines of the stand-in, one for each row that it answered wrongly.
        records: Topic -> records in order of offset within each partition.
        scored: Position of the source record -> every scoring of it, in order.
        scored_ms: Position of the source record -> when it was first scored, ms since 1970.
        dead: The dead records in order.
        windows: The records of `windows`.
        panes: (partition, query, start) -> counters in the store.
        strata: (partition, query, start, stratum) -> counters in the store.
        totals: Partition -> fields of its cursor hash.
        forecasts: What the forecaster has left behind; None if none has run.
        responses: What the responder has left behind; None if none has run.
    """

    pane_s: int
    ledger: list[bytes] = field(default_factory=list[bytes])
    wrong_answers: list[bytes] = field(default_factory=list[bytes])
    records: dict[str, list[RawRecord]] = field(default_factory=dict[str, list[RawRecord]])
    scored: dict[Where, list[bytes]] = field(default_factory=dict[Where, list[bytes]])
    scored_ms: dict[Where, int] = field(default_factory=dict[Where, int])
    dead: list[DeadRecord] = field(default_factory=list[DeadRecord])
    windows: list[bytes] = field(default_factory=list[bytes])
    panes: dict[tuple[int, str, int], list[int]] = field(
        default_factory=dict[tuple[int, str, int], list[int]]
    )
    strata: dict[tuple[int, str, int, str], list[int]] = field(
        default_factory=dict[tuple[int, str, int, str], list[int]]
    )
    totals: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    forecasts: ForecastBooks | None = None
    responses: ResponseBooks | None = None


@dataclass(slots=True)
class Audit:
    """The verdict.

    Attributes:
        figures: Name -> number.
        faults: What does not add up, a sentence each.
    """

    figures: dict[str, float] = field(default_factory=dict[str, float])
    faults: list[str] = field(default_factory=list[str])

    def expect(self, claim: str, wrong: Iterable[object]) -> None:
        """Note a fault if anything is wrong, with the first examples."""
        found = list(wrong)
        if found:
            examples = "; ".join(str(one) for one in found[:_EXAMPLES])
            self.faults.append(f"{claim}: {len(found):,} wrong, such as {examples}")
