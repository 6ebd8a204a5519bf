"""What a partition's forecasts are made of and what they come to, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.forecast_schemas import Forecast, ForecastEvent
from models.engagement.features import Floats

Counts = tuple[int | None, int | None, int | None]
"""One number of each of `TARGETS`; None is unknown."""


@dataclass(frozen=True, slots=True)
class PostSeen:
    """A post that was scored.

    Attributes:
        key: Twelve bytes, `post_key(author_key(source, author), post_id)`.
        post_id, source, author: Of the post.
        at_s: Its event time, in seconds since 1970.
        shape: As in `core.shape.SHAPE`; empty is unknown.
        heads: Head -> probabilities in micro-units, as on `core.schemas.ScoredPost`.
        rated: Whether the model rated it.
        queries: The queries that it matches, without `all`.
    """

    key: bytes
    post_id: str
    source: str
    author: str
    at_s: float
    shape: Sequence[int] = ()
    heads: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    rated: bool = False
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CountsSeen:
    """Counts of a post, or one like, reply or repost of it.

    Attributes:
        key: That of the post.
        post_id, source, author: Of the post, so that it can be named when it takes off.
        at_s: The event time, in seconds since 1970.
        totals: All there were by then; None for a single one.
        single: The index into `TARGETS` of a single one; -1 with totals.
    """

    key: bytes
    post_id: str
    source: str
    author: str
    at_s: float
    totals: Counts | None = None
    single: int = -1


@dataclass(frozen=True, slots=True)
class PostGone:
    """A post that was deleted."""

    key: bytes
    at_s: float


Item = PostSeen | CountsSeen | PostGone


@dataclass(frozen=True, slots=True)
class Planned:
    """Items that were taken, and what a model is to be asked about the new posts among them.

    `B` posts are asked about, which may be none: then there is nothing to ask.

    Attributes:
        taken: How many of the items were taken, from the first on.
        features, sequence: (B, F) and (B, 32, S), see `core.ports.EngagementModel`.
        steps: What the partition has still to do; its own affair.
    """

    taken: int
    features: Floats
    sequence: Floats
    steps: Sequence[Any] = ()

    @property
    def posts(self) -> int:
        """The number of posts that a model is to be asked about."""
        return len(self.features)


@dataclass(frozen=True, slots=True)
class Told:
    """What is to be published, in order."""

    forecasts: list[Forecast] = field(default_factory=list[Forecast])
    events: list[ForecastEvent] = field(default_factory=list[ForecastEvent])


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over known outcomes, which may be added up over partitions.

    Attributes:
        outcomes: Known outcomes.
        covered: Those between the served quantiles .1 and .9; a fraction counts where the outcome
            is at the edge, see `models.engagement.conformal`.
        judged: Outcomes of authors who had a known one before, over which errors are summed.
        error, floor_error: Sums of |log error| of the served median and of the author's rolling
            median of 32.
    """

    outcomes: int = 0
    covered: float = 0.0
    judged: int = 0
    error: float = 0.0
    floor_error: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over both."""
        return Sums(
            self.outcomes + other.outcomes, self.covered + other.covered,
            self.judged + other.judged, self.error + other.error,
            self.floor_error + other.floor_error,
        )  # fmt: skip

    def __sub__(self, other: Sums) -> Sums:
        """Return the sums without what is in the other's."""
        return Sums(
            self.outcomes - other.outcomes, self.covered - other.covered,
            self.judged - other.judged, self.error - other.error,
            self.floor_error - other.floor_error,
        )  # fmt: skip

    @property
    def coverage(self) -> float | None:
        """The share of outcomes between the served quantiles; None of none."""
        return self.covered / self.outcomes if self.outcomes else None

    @property
    def skill(self) -> float | None:
        """One less the error over that of the floor; None where there is nothing to compare."""
        return 1 - self.error / self.floor_error if self.floor_error > 0 else None


AUTHORS: Final = ("strangers", "known")
"""Kinds of authors by what forecasts are made of: without a known outcome, and with one."""


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """What the forecasts of a source, or of a query, were worth.

    Attributes:
        kind: `source` or `query`.
        name: Of the source or query.
        target: The one of `TARGETS` that is judged: likes, or the first that is ever known.
        recent: Over the last `quality_outcomes` outcomes.
        total: Over all outcomes since the state began.
        rank_correlation: Spearman's, between the served median and the outcome, over the last
            outcomes; None of fewer than ten or where all are equal.
        greyed: Whether its forecasts are not better than the author's median at present.
        weights: Expert -> its weight in the hedge; of a source only.
        not_judged: The ones of `AUTHORS` of whose forecasts too few outcomes are known for any
            post to be said to take off; of a source only.
    """

    kind: str
    name: str
    target: str
    recent: Sums
    total: Sums
    rank_correlation: float | None
    greyed: bool
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    not_judged: tuple[str, ...] = ()
