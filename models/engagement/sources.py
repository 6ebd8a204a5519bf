"""What is learnt of sources and queries, and the numbers by which pending posts name them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from core.forecast_settings import ForecastSettings
from models.engagement.conformal import EPOCHS, FACTOR_STEPS, SourceWidths, WidthTracker
from models.engagement.exposure import Exposure
from models.engagement.hedge import Hedge
from models.engagement.items import AUTHORS
from models.engagement.layout import RARITIES, TARGETS
from models.engagement.levels import UsualCounts
from models.engagement.quality import QualityLog
from models.engagement.shrinkage import ShrunkWidths
from models.engagement.source_records import (
    KINDS,
    LAYOUT,
    MOST_QUERIES,
    MOST_SOURCES,
    MOST_TIME,
    QUERY_LAYOUT,
    SIDES,
    QueryRecord,
    Settled,
    SourceRecord,
    read_source,
)
from models.engagement.together import OrdinaryPosts


class SourceState:
    """What is learnt of a source.

    The first three attributes belong to `models.engagement.observing`, the others to
    `models.engagement.forecasting`, which comes later.

    Attributes:
        number: Of the source in this partition.
        usual: Its last outcomes.
        singles_at: (3,) when a single like, reply, repost was seen last; s since 1970.
        judged: The index of the target by which experts are weighted and quality is judged.
        ever_known: (3,) of which targets an outcome was ever known.
        hedges: That of posts of authors without a known outcome, and of those with one.
        widths: The calibrators of posts of authors without a known outcome, and of those with one:
            the former are wrong by far more, and what they teach would blunt the others.
        shrunk: How far to believe the model that posts differ in their widths; as `widths`.
        ordinary: How far ordinary posts go beyond their forecasts; as `widths`.
        served: (EPOCHS, 2, 6) the factors served in each epoch, in thousandths; as `widths`.
        quality: What its forecasts were worth.
        exposure: How counts come in over the age of a post.
        to_learn: (RARITIES,) posts settled in this epoch, by how rare they were.
        to_settle: Posts settled in this epoch with their outcomes; in this epoch nothing that was
            learnt in it is used, so that a batch can be sharpened at once.
        known_since_s: Since when enough outcomes are known, in seconds since 1970; infinite before.
            What was forecast earlier was forecast of a source that nothing was known of; of authors
            without an outcome it says nothing about later forecasts.
        judged_since_s: Of both kinds of forecasts, since when enough of their outcomes taught
            `widths`; infinite before. No count is surprising beside an earlier forecast.
        is_changed, is_exposure_changed: Whether it is to be kept anew.
    """

    def __init__(self, name: str, number: int, settings: ForecastSettings) -> None:
        self.name = name
        self.number = number
        self.usual = UsualCounts()
        self.singles_at = [0.0] * len(TARGETS)
        self.judged = 0
        self.ever_known = [False] * len(TARGETS)
        self.hedges = [Hedge(), Hedge()]
        self.widths = [SourceWidths(), SourceWidths()]
        self.shrunk = [ShrunkWidths(), ShrunkWidths()]
        self.ordinary = [OrdinaryPosts(), OrdinaryPosts()]
        self.served = np.full((EPOCHS, KINDS, SIDES), FACTOR_STEPS, "<u2")
        self.quality = QualityLog(settings.quality_outcomes)
        self.exposure = Exposure(settings.horizon_s)
        self.to_learn = [0] * RARITIES
        self.to_settle: list[Settled] = []
        self.known_since_s = math.inf
        self.judged_since_s = [math.inf, math.inf]
        self.is_changed = self.is_exposure_changed = True

    def show_single(self, target: int, now_s: float) -> None:
        """Remember that a single like, reply or repost was seen."""
        if now_s > self.singles_at[target]:
            self.singles_at[target] = now_s
            self.is_changed = True

    def shows(self, since_s: float) -> list[bool]:
        """Tell of which targets the source has shown single ones since a moment."""
        return [at > 0 and at >= since_s for at in self.singles_at]

    def note_what_is_known(self, is_known: bool, now_s: float) -> None:
        """Note since when enough is known, after an outcome of an author, known before or not."""
        if self.known_since_s == math.inf and self.quality.has_enough():
            self.known_since_s = now_s
        learnt = self.widths[is_known].outcomes(self.judged)
        if self.judged_since_s[is_known] == math.inf and self.quality.is_enough(learnt):
            self.judged_since_s[is_known] = now_s

    def not_judged(self) -> tuple[str, ...]:
        """Return the ones of `AUTHORS` of whose posts none can be said to take off yet."""
        return tuple(
            authors
            for authors, since_s in zip(AUTHORS, self.judged_since_s, strict=True)
            if since_s == math.inf
        )

    def forget_after(self, clock_s: float) -> None:
        """Take what was noted later than the clock for as late: the clock was lost, not this."""
        for times in (self.singles_at, self.judged_since_s):
            times[:] = [at if at == math.inf else min(at, clock_s) for at in times]
        if self.known_since_s != math.inf:
            self.known_since_s = min(self.known_since_s, clock_s)
        self.is_changed = True

    def to_blob(self) -> bytes:
        """Return all but the exposure as bytes."""
        weights = [(hedge.weights.tolist(), hedge.scale) for hedge in self.hedges]
        record = SourceRecord(
            LAYOUT,
            self.number,
            self.usual.outcomes(),
            (self.singles_at[0], self.singles_at[1], self.singles_at[2]),
            self.judged,
            (self.ever_known[0], self.ever_known[1], self.ever_known[2]),
            weights,
            [tracker.to_parts() for widths in self.widths for tracker in widths.all()],
            self.served.tobytes(),
            self.quality.to_parts(),
            self.to_learn,
            self.to_settle,
            self.known_since_s,
            (self.judged_since_s[0], self.judged_since_s[1]),
            [widths.to_parts() for widths in self.shrunk],
            [posts.to_parts() for posts in self.ordinary],
        )
        return msgspec.msgpack.encode(record)

    @classmethod
    def from_blob(
        cls, name: str, blob: bytes, settings: ForecastSettings, clock_s: float = MOST_TIME
    ) -> SourceState:
        """Return what was kept, with an exposure of which nothing is known.

        Args:
            name: Of the source.
            blob: What `to_blob` returned, also that of the layout before.
            settings: The settings of the forecaster.
            clock_s: The clock of the partition; nothing was learnt later.

        Raises:
            ValueError: It is of another layout, or holds what was never written.
        """
        record = read_source(blob, clock_s)
        found = cls(name, record.number, settings)
        found.usual = UsualCounts(record.usual)
        found.singles_at = list(record.singles_at)
        found.judged = record.judged
        found.ever_known = list(record.ever_known)
        found.hedges = [Hedge(*hedge) for hedge in record.hedges]
        trackers = [WidthTracker(*parts) for parts in record.trackers]
        found.widths = [SourceWidths(trackers[:SIDES]), SourceWidths(trackers[SIDES:])]
        served = np.frombuffer(bytearray(record.served), "<u2")
        found.served = served.reshape(found.served.shape)
        found.quality = QualityLog.from_parts(record.quality, settings.quality_outcomes)
        found.to_learn = list(record.to_learn)
        found.to_settle = list(record.to_settle)
        found.known_since_s = record.known_since_s
        found.judged_since_s = list(record.judged_since_s)
        found.shrunk = [ShrunkWidths(*parts) for parts in record.shrunk] or found.shrunk
        found.ordinary = [OrdinaryPosts(*parts) for parts in record.ordinary] or found.ordinary
        found.is_changed = found.is_exposure_changed = False
        return found


class QueryState:
    """A query: its number in this partition, and what its forecasts were worth."""

    def __init__(self, name: str, number: int, quality: QualityLog) -> None:
        self.name = name
        self.number = number
        self.quality = quality
        self.is_changed = True

    def to_blob(self) -> bytes:
        """Return it as bytes."""
        record = QueryRecord(QUERY_LAYOUT, self.number, self.quality.to_parts())
        return msgspec.msgpack.encode(record)

    @classmethod
    def from_blob(cls, name: str, blob: bytes, settings: ForecastSettings) -> QueryState:
        """Return what was kept.

        Raises:
            ValueError: It is of another layout, or holds what was never written.
        """
        record = msgspec.msgpack.decode(blob, type=QueryRecord)  # its errors are ValueErrors
        quality = QualityLog.from_parts(record.quality, settings.quality_outcomes)
        found = cls(name, record.number, quality)
        found.is_changed = False
        return found


class Numbers:
    """Sources and queries by name and by number.

    Numbers are given in the order of the items, so that they are the same whatever the batches.
    """

    def __init__(self, settings: ForecastSettings) -> None:
        self._settings = settings
        self._sources: dict[str, SourceState] = {}
        self._queries: dict[str, QueryState] = {}
        self._sources_by_number: dict[int, SourceState] = {}
        self._queries_by_number: dict[int, QueryState] = {}

    @property
    def sources(self) -> Mapping[str, SourceState]:
        """All sources by name."""
        return self._sources

    @property
    def queries(self) -> Mapping[str, QueryState]:
        """All queries by name."""
        return self._queries

    @property
    def sources_by_number(self) -> Mapping[int, SourceState]:
        """All sources by number."""
        return self._sources_by_number

    @property
    def queries_by_number(self) -> Mapping[int, QueryState]:
        """All queries by number."""
        return self._queries_by_number

    def source(self, name: str) -> SourceState | None:
        """Return a source, a new one if need be; None if there are too many."""
        found = self._sources.get(name)
        if found is None and len(self._sources) < MOST_SOURCES:
            number = next(_free(self._sources_by_number))
            found = self.add_source(SourceState(name, number, self._settings))
        return found

    def query(self, name: str) -> QueryState | None:
        """Return a query, a new one if need be; None if there are too many."""
        found = self._queries.get(name)
        if found is None and len(self._queries) < MOST_QUERIES:
            number = next(_free(self._queries_by_number))
            quality = QualityLog(self._settings.quality_outcomes)
            found = self.add_query(QueryState(name, number, quality))
        return found

    def add_source(self, source: SourceState) -> SourceState:
        """Take over a source.

        Raises:
            ValueError: Another one has its number.
        """
        if source.number in self._sources_by_number:
            raise ValueError(f"the number {source.number} is another source's")
        self._sources[source.name] = self._sources_by_number[source.number] = source
        return source

    def add_query(self, query: QueryState) -> QueryState:
        """Take over a query.

        Raises:
            ValueError: Another one has its number.
        """
        if query.number in self._queries_by_number:
            raise ValueError(f"the number {query.number} is another query's")
        self._queries[query.name] = self._queries_by_number[query.number] = query
        return query


def _free(taken: Mapping[int, object]) -> Iterator[int]:
    return (number for number in range(len(taken) + 1) if number not in taken)
