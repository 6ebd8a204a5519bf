"""The forecasts of one partition: what is known, what is expected, and what came of it.

Synchronous, deterministic, without a clock or a store of its own: the same items give the same
state to the last byte, whatever the batches. The stream and the evaluation run this one code.

Kinds of record, each by its field: `authors` (8 bytes of source and author), `pending` (12 bytes
of the post), `posts` (the same; texts of those that are told of), `sources` and `exposures` (name
of the source), `queries`, `top` and `taking_off` (name of the query), `partition` (`clock`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from models.engagement.answers import AnsweredBatch
from models.engagement.experts import EXPERTS
from models.engagement.features import AsOf
from models.engagement.forecasting import Forecaster
from models.engagement.items import (
    CountsSeen,
    Item,
    Planned,
    PostGone,
    PostSeen,
    SourceQuality,
    Sums,
    Told,
)
from models.engagement.layout import TARGETS
from models.engagement.loading import CLOCK, KeptClock, Records, load
from models.engagement.observing import Observer
from models.engagement.quality import QualityLog
from models.engagement.sources import Numbers
from models.engagement.taking_off import TakingOff
from models.engagement.telling import Teller
from models.engagement.top import TopPost

__all__ = [
    "CountsSeen",
    "ForecastPartition",
    "Item",
    "Planned",
    "PostGone",
    "PostSeen",
    "SourceQuality",
    "Sums",
    "Told",
]

Changes = dict[str, dict[bytes, bytes | None]]
"""Kind of record -> field -> record to set, or None to delete."""
_NO_ANSWER = EngagementAnswer("", np.empty((0, 3, 5), np.float32))


class ForecastPartition:
    """The state of one partition's forecasts, and all that happens to it.

    A batch is `take`, a question to the model, `finish`, then `changes` for the store; one at a
    time. After an error in between (no answer, a store that refuses) the same `Planned` may be
    finished later, or the partition thrown away and loaded anew.

    Args:
        settings: The settings of the forecaster.
        most_due: How many pending posts that are due are taken in at once, so that a jump in time
            does not make one huge batch; None for all.

    Attributes:
        counts: What was dropped, refused, guessed or shed, by name; whoever exports it may clear
            it. `docs/metrics.md` says what the names mean.
        marks: What the owner of the partition wants kept with it, such as the highest offset that
            was taken of each source topic; whole numbers by name.
    """

    def __init__(self, settings: ForecastSettings, most_due: int | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.marks: dict[str, int] = {}
        self._settings = settings
        self._numbers = Numbers(settings)
        self._observer = Observer(settings, self._numbers, self.counts, most_due)
        self._teller = Teller(settings)
        self._forecaster = Forecaster(settings, self._numbers, self._teller)
        self._in_flight: tuple[Planned, AsOf] | None = None
        self._refused: list[tuple[str, bytes]] = []
        self._kept_clock: bytes | None = None
        self._kept_queries: set[str] = set()

    @property
    def clock_s(self) -> float:
        """The latest event time seen, in seconds since 1970; 0 before the first."""
        return self._observer.clock_s

    @property
    def divisor(self) -> int:
        """One author in so many times `settings.track_one_in` is tracked; kept with the state."""
        return self._observer.divisor

    @divisor.setter
    def divisor(self, divisor: int) -> None:
        if divisor < 1:
            raise ValueError(f"the divisor is {divisor}, expected 1 or more")
        self._observer.divisor = divisor

    @property
    def pending(self) -> int:
        """How many posts wait for their outcome."""
        return len(self._observer.pending)

    @property
    def authors(self) -> int:
        """How many authors are remembered."""
        return len(self._observer.authors)

    def load(self, records: Records) -> list[str]:
        """Take over what was kept; to be called once, before anything else.

        A record that cannot be used is left out, and deleted by the next `changes`; the rest
        lives.

        Returns:
            What was refused, a sentence each: kind, field, what was found and expected.
        """
        loaded = load(records, self._settings, self._numbers, self._observer, self._teller)
        self.marks.update(loaded.clock.marks)
        self._forecaster.epoch = loaded.clock.epoch
        self._kept_clock = records.get("partition", {}).get(CLOCK)
        self._refused = [(kind, key) for kind, key, _ in loaded.refused]
        self.counts["refused"] += len(loaded.refused)
        return [
            f"{kind} {key.hex() if kind in _BY_HASH else repr(key)[1:]}: {why}"
            for kind, key, why in loaded.refused
        ]

    def take(self, items: Sequence[Item]) -> Planned:
        """Take items in their order, all unless too much is due; publish nothing before `finish`.

        Posts that are not tracked, and counts of posts that are not pending, are taken and
        counted. Of items of the same second, counts come before posts: what is known of a post by
        the end of its horizon is its outcome.

        Raises:
            RuntimeError: What was taken before is not finished.
        """
        if self._in_flight is not None:
            raise RuntimeError("items were taken that are not finished")
        taken, noted, as_of = self._observer.take(items)
        planned = Planned(taken, as_of.features, as_of.sequence, noted)
        self._in_flight = planned, as_of
        return planned

    def finish(self, planned: Planned, answer: EngagementAnswer | None) -> Told:
        """Make the forecasts of what was taken last.

        Args:
            planned: What `take` returned.
            answer: The model's answer for its posts; may be None where there is none.

        Raises:
            InvalidAnswer: The answer cannot be one for these posts; nothing has changed, so that
                another may be tried.
            RuntimeError: `planned` is not what was taken last.
        """
        if self._in_flight is None or self._in_flight[0] is not planned:
            raise RuntimeError("what is to be finished is not what was taken last")
        batch = AnsweredBatch.of(self._in_flight[1], answer or _NO_ANSWER)
        self._in_flight = None
        return self._forecaster.run(planned.steps, batch)

    def tick(self, now_s: float) -> Told:
        """Move the clock and settle what is due, without a post; see `clock_s` for how far.

        Raises:
            RuntimeError: What was taken before is not finished.
        """
        if self._in_flight is not None:
            raise RuntimeError("items were taken that are not finished")
        return self._forecaster.run(self._observer.tick(now_s), None)

    def changes(self) -> Changes:
        """Return what has changed since the last call, for the store.

        Raises:
            RuntimeError: What was taken before is not finished.
        """
        if self._in_flight is not None:
            raise RuntimeError("items were taken that are not finished")
        found: Changes = {}
        for kind, key in self._refused:
            found.setdefault(kind, {})[key] = None
        self._refused = []
        self._changed_posts(found)
        self._changed_names(found)
        clock = KeptClock.of(self._observer, self._forecaster.epoch, self.marks).to_blob()
        if clock != self._kept_clock:
            self._kept_clock = clock
            found.setdefault("partition", {})[CLOCK] = clock
        return {kind: records for kind, records in found.items() if records}

    def _changed_posts(self, found: Changes) -> None:
        """Add the records of authors and of posts."""
        observer, teller = self._observer, self._teller
        pending = observer.pending
        pending.changed |= teller.marked
        teller.marked.clear()
        for kind, keys, blob in (
            ("authors", observer.authors.changed, observer.authors.blob),
            ("pending", pending.changed, pending.blob),
            ("posts", teller.names.changed, teller.names.blob),
        ):
            for key in keys:
                found.setdefault(kind, {})[key] = blob(key)
            keys.clear()

    def _changed_names(self, found: Changes) -> None:
        """Add the records of sources and of queries."""
        teller = self._teller
        for name, source in self._numbers.sources.items():
            if source.is_changed:
                found.setdefault("sources", {})[name.encode()] = source.to_blob()
            if source.is_exposure_changed:
                found.setdefault("exposures", {})[name.encode()] = source.exposure.to_blob()
            source.is_changed = source.is_exposure_changed = False
        for name, query in self._numbers.queries.items():
            if query.is_changed:
                found.setdefault("queries", {})[name.encode()] = query.to_blob()
            query.is_changed = False
        for name, top in teller.tops.items():
            if top.is_changed:
                found.setdefault("top", {})[name.encode()] = top.to_blob()
            top.is_changed = False
        for name in teller.watching:
            blob = teller.taking_off[name].to_blob()
            found.setdefault("taking_off", {})[name.encode()] = blob
        teller.watching.clear()

    def quality(self) -> list[SourceQuality]:
        """Return what the forecasts were worth: of each source, then of each query, by name."""
        sources = [
            _quality(
                "source", name, TARGETS[source.judged], source.quality,
                dict(zip(EXPERTS, source.hedges[1].weights.tolist(), strict=True)),
                source.not_judged(),
            )
            for name, source in sorted(self._numbers.sources.items())
        ]  # fmt: skip
        queries = [
            _quality("query", name, "", query.quality, {})
            for name, query in sorted(self._numbers.queries.items())
        ]
        return sources + queries

    def top(self, query: str) -> list[TopPost]:
        """Return the posts of a query that are expected to go furthest, the furthest first."""
        found = self._teller.tops.get(query)
        return found.shown() if found is not None else []

    def queries(self) -> list[str]:
        """Return the queries whose posts are ranked or may be said to take off, by name."""
        return sorted({*self._teller.tops, *self._teller.taking_off})

    def taking_off(self, query: str) -> TakingOff | None:
        """Return what takes off of a query, to be looked at only; None where nothing ever could."""
        return self._teller.taking_off.get(query)


_BY_HASH = ("authors", "pending", "posts")


def _quality(
    kind: str,
    name: str,
    target: str,
    log: QualityLog,
    weights: Mapping[str, float],
    not_judged: tuple[str, ...] = (),
) -> SourceQuality:
    return SourceQuality(
        kind, name, target, log.recent(), log.total(), log.rank_correlation(), log.is_greyed(),
        weights, not_judged,
    )  # fmt: skip
