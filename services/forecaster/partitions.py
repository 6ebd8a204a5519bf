"""The forecasts of one partition that this process owns: taken, asked, published, kept.

In this order: what is published is acknowledged before it is kept, so that nothing is lost; after
a crash in between it is published again, under the same ids. Whoever lost the partition is refused
by the store and throws away what it has in memory.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import BrokerUnavailable, CursorConflict, ScorerRefused, StoreUnavailable
from core.forecast_settings import ForecastSettings
from core.logs import get_logger
from core.metrics import Metrics
from models.engagement.items import Planned, Told
from services.forecaster.asking import PatientModel
from services.forecaster.counting import BOOKED, count_batch
from services.forecaster.labels import BoundedLabels
from services.forecaster.merging import Arrival, TimeMerge
from services.forecaster.publishing import ForecastPublisher
from services.forecaster.taking_over import Bounds, MakeForecasts, TakenOver, take_over
from services.pacing import Pacer
from stream.store.forecast_records import ForecastApply, ReadUpTo
from stream.store.forecast_state import ForecastState
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS

_log = get_logger(__name__)
_Found = TypeVar("_Found")

_LIVE_S: Final = 300.0
"""A post that the broker has so soon after it was made is of now, not of a recording."""
_TICK_EVERY_S: Final = 10.0
"""How often time alone moves a partition in which nothing happens."""


@dataclass(frozen=True, slots=True)
class ForecastParts:
    """What all partitions of a process share.

    Attributes:
        settings: The settings of the forecaster.
        state: Where it is kept.
        model: The model that is asked.
        publisher: Where forecasts go.
        clock: The present time.
        metrics: The metrics of this process.
        sources: The sources that have labels of their own.
        make: Makes the forecasts of a partition, with nothing in them yet.
        pause_s: Given the number of tries, how long to wait.
        pacer: Rests while posts wait to be counted.
    """

    settings: ForecastSettings
    state: ForecastState
    model: PatientModel
    publisher: ForecastPublisher
    clock: Clock
    metrics: Metrics
    sources: BoundedLabels
    make: MakeForecasts
    pause_s: Callable[[int], float]
    pacer: Pacer

    async def take_over(self, number: int, bounds: Bounds) -> TakenOver:
        """Return a partition as it is stored; see `take_over`."""
        return await take_over(number, bounds, self.settings, self.state, self.metrics, self.make)


class PartitionForecaster:
    """One partition; made when it is assigned, thrown away when it is not owned any more.

    Args:
        number: Its number.
        parts: What all partitions share.
        found: What is stored of it.

    Attributes:
        number: Its number.
        forecasts: What is known of it.
        merge: What was read and not taken yet.
        totals: Its running totals, as they are stored.
        track_one_in: One author in so many is tracked while nothing is shed.
        seen: The highest offset of `posts` of which a scored post was taken before.
        known: What its forecasts had been worth when it was taken over, by kind and name.
    """

    def __init__(self, number: int, parts: ForecastParts, found: TakenOver) -> None:
        self.number = number
        self._parts = parts
        self.forecasts = found.forecasts
        self.track_one_in = parts.settings.track_one_in
        self._stored, self._upto = found.stored, found.upto
        self._corrections: Counter[str] = Counter(found.corrections)
        self.totals: Counter[str] = Counter(found.totals)
        self.known = {(one.kind, one.name): one.total for one in found.forecasts.quality()}
        self.seen = found.upto.seen.get(POSTS, -1)
        self.merge = TimeMerge(found.upto.posts + 1, found.upto.events + 1, found.forecasts.clock_s)
        self._wake = asyncio.Event()
        self._most = 2 * parts.settings.batch_posts  # so many posts, and so many events
        self._limit = self._most
        self._is_live = False
        self._tick_s = 0.0

    # -- from outside -------------------------------------------------------------------------

    def wake(self) -> None:
        """Look again at what can be taken."""
        self._wake.set()

    def at_rest(self, through_offset: int, now_s: float) -> None:
        """Say that no post of before now can come any more.

        Args:
            through_offset: Events up to it may move the clock.
            now_s: Seconds since 1970 to which time alone may move it, while posts are of now.
        """
        self.merge.release(through_offset)
        if self._is_live and not self.merge.events and now_s - self._tick_s >= _TICK_EVERY_S:
            self._tick_s = now_s
        self._wake.set()

    async def run(self) -> None:
        """Work for ever on what is fed.

        Raises:
            CursorConflict: The partition is another's by now, or the store went back.
            StateUnreadable: What is stored was overwritten.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while taken := self.merge.take(self._parts.settings.batch_posts):
                await self._parts.pacer.rest()
                arrivals: Sequence[Arrival] = taken
                while arrivals:
                    arrivals = await self._work(arrivals)
            while self._tick_s > self.forecasts.clock_s:
                with self._timed("take"):
                    told = self.forecasts.tick(self._tick_s)
                await self._keep((), told)

    # -- one batch ----------------------------------------------------------------------------

    async def _work(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Take the first of some arrivals and return the rest."""
        some, told = _first(arrivals, self._limit), Told()
        items = [arrival.item for arrival in some if arrival.item is not None]
        if items:
            with self._timed("take"):
                planned = self.forecasts.take(items)
            some = _first(some, planned.taken)
            try:
                told = await self._answered(planned)
            except ScorerRefused:
                return await self._narrow(arrivals, some, planned)
        await self._keep(some, told)
        self._limit = min(self._limit * 2, self._most)
        return arrivals[len(some) :]

    async def _answered(self, planned: Planned) -> Told:
        """Return what comes of a plan, once the model has given an answer that can be one.

        Raises:
            ScorerRefused: It refuses these posts.
        """
        if not planned.posts:
            return self.forecasts.finish(planned, None)
        with self._timed("ask"):
            return await self._parts.model.ask(planned, self.forecasts.finish)

    async def _narrow(
        self, arrivals: Sequence[Arrival], some: Sequence[Arrival], planned: Planned
    ) -> Sequence[Arrival]:
        """Begin anew with half of what was refused, until the post at fault is alone: skip it."""
        divisor = self.forecasts.divisor
        where = {SCORED_POSTS: self._upto.posts + 1, POST_EVENTS: self._upto.events + 1}
        fresh = await self._patiently(
            lambda: self._parts.take_over(self.number, {t: (o, o) for t, o in where.items()})
        )
        if (fresh.stored.posts, fresh.stored.events) != (self._stored.posts, self._stored.events):
            raise CursorConflict(self.number, POSTS, self._stored.posts, fresh.stored.posts)
        self.forecasts, self.forecasts.divisor = fresh.forecasts, divisor
        if planned.taken > 1:
            self._limit = planned.taken // 2
            return arrivals
        _log.error(
            "the engagement model refuses a post, which is left out", partition=self.number,
            offset=some[-1].offset,
        )  # fmt: skip
        self._parts.metrics.engagement_posts_refused.inc()
        skipped = [replace(arrival, item=None) for arrival in some]
        return [*skipped, *arrivals[len(some) :]]

    async def _keep(self, some: Sequence[Arrival], told: Told) -> None:
        """Publish what is told, then keep what has changed together with how far topics are taken.

        Raises:
            CursorConflict: Another has moved the partition on; what is in memory is worth nothing.
        """
        with self._timed("publish"):
            await self._patiently(lambda: self._parts.publisher.publish(told))
        counts = Counter(self.forecasts.counts)
        self.forecasts.counts.clear()
        apply = ForecastApply(
            self._stored, self._upto_with(some), uuid.uuid4().hex, self.forecasts.changes(),
            Counter({name: counts[name] for name in BOOKED}) + self._corrections,
        )  # fmt: skip
        with self._timed("keep"):
            aside = await self._patiently(lambda: self._parts.state.apply(self.number, apply))
        for name in aside:
            kind = name.partition(":")[0]
            self._parts.metrics.forecast_state_refused.labels(kind=kind).inc()
        self._stored = self._upto = apply.new
        self.totals.update(apply.totals)
        self._corrections.clear()
        items = [one.item for one in some]
        count_batch(self._parts.metrics, items, counts, self.forecasts.divisor)
        timed = [one for one in some if one.at_s is not None and one.is_post]
        if timed:
            self._is_live = timed[-1].written_s - (timed[-1].at_s or 0.0) <= _LIVE_S

    def _upto_with(self, some: Sequence[Arrival]) -> ReadUpTo:
        posts = max((one.offset for one in some if one.is_post), default=self._upto.posts)
        events = max((one.offset for one in some if not one.is_post), default=self._upto.events)
        seen = max((one.source_offset for one in some), default=-1)
        before = self._upto.seen.get(POSTS, -1)
        return ReadUpTo(posts, events, {POSTS: max(seen, before)} if max(seen, before) >= 0 else {})

    async def _patiently(self, attempt: Callable[[], Awaitable[_Found]]) -> _Found:
        """Return what an attempt returns once store and broker are there."""
        tries = 0
        while True:
            try:
                return await attempt()
            except (BrokerUnavailable, StoreUnavailable) as error:
                server = "kafka" if isinstance(error, BrokerUnavailable) else "redis"
                if tries == 0:
                    _log.warning("waiting", partition=self.number, reason=str(error))
                self._parts.metrics.forecaster_retries.labels(server=server).inc()
                await self._parts.clock.sleep(self._parts.pause_s(tries))
                tries += 1

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began_s = self._parts.clock.monotonic()
        try:
            yield
        finally:
            spent_s = self._parts.clock.monotonic() - began_s
            self._parts.metrics.forecaster_seconds.labels(stage=stage).inc(spent_s)


def _first(arrivals: Sequence[Arrival], items: int) -> Sequence[Arrival]:
    """Return the longest beginning of some arrivals in which there are so many items at most."""
    found = 0
    for place, arrival in enumerate(arrivals):
        found += arrival.item is not None
        if found > items:
            return arrivals[:place]
    return arrivals
