"""Where forecasts go: the topics `forecasts` and `events`, acknowledged before anything is kept."""

from __future__ import annotations

import asyncio
from typing import Protocol

from core.codec import encode
from core.forecast_schemas import Forecast
from core.metrics import Metrics
from core.settings import KafkaSettings
from models.engagement.items import Told
from services.acknowledged import AcknowledgedProducer, Outgoing
from services.forecaster.labels import BoundedLabels
from stream.topics import EVENTS, FORECASTS


class ForecastPublisher(Protocol):
    """Takes what partitions have to say."""

    async def publish(self, told: Told) -> None:
        """Return once all of it is acknowledged.

        Raises:
            BrokerUnavailable: Some is not, and any of it may have been written.
        """
        ...


class KafkaForecasts:
    """Publishes for all partitions of a process, one call at a time.

    Args:
        settings: The broker's address and the time-outs.
        ages_s: The further ages at which forecasts are made, in seconds.
        metrics: The metrics of this process.
        sources: The sources that have labels of their own.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        ages_s: tuple[int, ...],
        metrics: Metrics,
        sources: BoundedLabels,
    ) -> None:
        self._producer = AcknowledgedProducer(settings)
        self._lock = asyncio.Lock()
        self._ages_s = sorted(ages_s, reverse=True)
        self._metrics = metrics
        self._sources = sources

    async def publish(self, told: Told) -> None:
        """See `ForecastPublisher.publish`."""
        records = [Outgoing(FORECASTS, one.author.encode(), encode(one)) for one in told.forecasts]
        records += [Outgoing(EVENTS, one.query.encode(), encode(one)) for one in told.events]
        if not records:
            return
        async with self._lock:
            await self._producer.send(records)
        for forecast in told.forecasts:
            source = self._sources.label(forecast.source)
            self._metrics.forecasts.labels(source=source, age=self._age(forecast)).inc()
        for event in told.events:
            self._metrics.forecast_events.labels(kind=event.kind, state=event.state).inc()

    def _age(self, forecast: Forecast) -> str:
        """Return the age of a post at its forecast as a label: one of those set, in seconds."""
        if forecast.settled:
            return "settled"
        age_s = (forecast.made_at - forecast.posted_at).total_seconds()
        return str(next((age for age in self._ages_s if age <= age_s), 0))

    async def close(self) -> None:
        """Release the connection."""
        await self._producer.close()
