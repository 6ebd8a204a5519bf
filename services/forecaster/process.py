"""The forecaster: follows `scored-posts` and `post-events`, and says how far posts will go.

A process of its own with a group of its own; the workers neither know of it nor wait for it. Kill
it at any moment: the next owner of its partitions goes on from what the store holds.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Final

from msgspec.structs import replace

from core.clock import Clock, SystemClock, epoch_ms
from core.errors import TransientError
from core.forecast_settings import ForecastSettings
from core.giving_way import give_way
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.retry import pause_s
from core.settings import Settings
from models.engagement.partition import ForecastPartition
from services.bootstrap import make_engagement_model, make_engagement_shadow, make_store
from services.forecaster.asking import PatientModel
from services.forecaster.labels import MAX_SOURCES, BoundedLabels
from services.forecaster.owned import OwnedPartitions
from services.forecaster.partitions import ForecastParts
from services.forecaster.publishing import KafkaForecasts
from services.forecaster.reading import ForecastReader
from services.forecaster.shedding import Shedder
from services.forecaster.watching import ForecastExport
from services.pacing import Pacer
from services.stopping import until_signalled, wait
from stream.store.redis_store import RedisStore

_log = get_logger(__name__)

_POLL_S: Final = 0.2
_FEW: Final = 500
_GATHER_S: Final = 1.0
"""After so few records the next are let gather for so long: a batch costs as much as many posts."""
_MOST_DUE: Final = 4_096
"""After hours in which nothing came, what is due is taken in so many posts at a time.

What is kept at once holds up all others who use the store.
"""
_LOOK_EVERY_S: Final = 1.0
_SHOW_EVERY_S: Final = 5.0
"""Scrapes are rarer, and what is shown has thousands of values where there are many queries."""


class ForecasterLoop:
    """Drives the partitions that the group gives this process.

    Args:
        settings: All settings.
        parts: What all partitions share.
        store: Where the workers' cursors are.
        reader: The membership.
        clock: The present time.
        metrics: The metrics of this process.
    """

    def __init__(
        self,
        settings: Settings,
        parts: ForecastParts,
        store: RedisStore,
        reader: ForecastReader,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._reader = reader
        self._clock = clock
        self._metrics = metrics
        forecasts = settings.forecasts
        self._shedder = Shedder(forecasts.shed_after_s, forecasts.max_shed)
        self._export = ForecastExport(metrics, parts.sources, settings.exporter.max_queries)
        self.owned = OwnedPartitions(parts, reader, store, settings.windows.allowed_lateness_s)
        self._looked_at_s = self._shown_at_s = float("-inf")
        self._claimed = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; waits out whatever is away.

        Raises:
            ConfigError: The broker or the store is another's.
        """
        attempt, rng = 0, random.Random()
        try:
            while not stop.is_set():
                try:
                    if await self.turn() < _FEW:
                        await wait(stop, _GATHER_S)
                    attempt = 0
                except TransientError as error:
                    if attempt == 0:
                        _log.warning("waiting", reason=str(error))
                    await wait(stop, pause_s(attempt, rng))
                    attempt += 1
        finally:
            await self.owned.drop_all()

    async def turn(self) -> int:
        """Read once, look after all partitions, and return how many records were read.

        Raises:
            TransientError: Broker or store do not answer.
        """
        fetched = await self._reader.poll(_POLL_S)
        self.owned.drop_lost(fetched.owned - fetched.unstarted)
        # At once: what comes next may fail, and these records are not brought a second time.
        self.owned.feed(fetched)
        for number in sorted(fetched.unstarted):
            await self._claim()
            await self.owned.begin(number, self._shedder.divisor)
        await self.owned.hold()
        now_s = self._clock.monotonic()
        if now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            await self._look(now_s)
        return sum(map(len, fetched.records.values()))

    async def _claim(self) -> None:
        """Return if what is stored is of this cluster.

        Raises:
            ConfigError: It is of another.
        """
        await self._store.identity.claim(self._reader.cluster_id)

    async def _look(self, now_s: float) -> None:
        await self._claim()
        await self.owned.let_time_pass()
        lags = self.owned.lags(epoch_ms(self._clock.now()) / 1000)
        behind_s = max((lag.posts_s for lag in lags.values()), default=0.0)
        if self._shedder.look(behind_s, now_s):
            _log.warning(
                "behind what is scored: fewer authors are tracked"
                if self._shedder.divisor > 1 else "all authors are tracked again",
                one_in=self._shedder.divisor, lag_s=round(behind_s, 1),
            )  # fmt: skip
            self.owned.shed(self._shedder.divisor)
        if now_s - self._shown_at_s >= _SHOW_EVERY_S:
            self._shown_at_s = now_s
            self._export.export(self.owned.partitions, lags)


def in_each_partition(forecasts: ForecastSettings, partitions: int) -> ForecastSettings:
    """Return the settings of one partition: its share of the budget of events, one at least.

    Each partition judges by itself, and no hour of one may spend what is another's.
    """
    whole = forecasts.events_per_hour
    share = max(1, whole // partitions) if whole else 0
    return replace(forecasts, events_per_hour=share)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the forecaster until `stop` is set."""
    metrics, clock, rng = Metrics(role="forecaster"), SystemClock(), random.Random()
    metrics.serve(settings.metrics.address, settings.metrics.port)
    store, reader = make_store(settings), ForecastReader(settings)
    store_of_forecasts, model = store.forecasts, make_engagement_model(settings)
    shadow = make_engagement_shadow(settings, metrics)
    sources = BoundedLabels(MAX_SOURCES)
    publisher = KafkaForecasts(settings.kafka, settings.forecasts.ages_s, metrics, sources)
    parts = ForecastParts(
        in_each_partition(settings.forecasts, settings.kafka.partitions),
        store_of_forecasts, PatientModel(model, clock, metrics, rng, shadow),
        publisher, clock, metrics, sources,
        partial(ForecastPartition, most_due=_MOST_DUE),
        lambda tries: pause_s(tries, rng),
        Pacer(clock, metrics.forecaster_gave_way_seconds.inc),
    )  # fmt: skip
    try:
        await ForecasterLoop(settings, parts, store, reader, clock, metrics).run(stop)
    finally:
        await reader.close()
        await publisher.close()
        await model.close()
        if shadow is not None:
            await shadow.close()
        await store.close()


def main(settings: Settings) -> None:
    """Run a forecaster process until SIGTERM or SIGINT."""
    set_up(settings.log, "forecaster")
    give_way()
    asyncio.run(until_signalled(lambda stop: run(settings, stop)))
