"""Telling responses: to the topic first, then to Redis with the texts that they show.

In this order a crash in between leaves the older response in Redis, and the next responder tells
the newer one again; the other way round the topic would never have it.
"""

from __future__ import annotations

from typing import Protocol

from core.clock import Clock, epoch_ms
from core.codec import encode
from core.forecast_schemas import ForecastEvent
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import Response
from core.settings import KafkaSettings
from services.acknowledged import AcknowledgedProducer, Outgoing
from stream.store.response_texts import ResponseTexts, StoredResponse, post_name
from stream.topics import EVENTS, RESPONSES


class ResponseTopic(Protocol):
    """Takes responses, and turns of crowds."""

    async def send(self, response: Response) -> None:
        """Return once it is acknowledged.

        Raises:
            BrokerUnavailable: It is not, and may have been written.
        """
        ...

    async def send_event(self, event: ForecastEvent) -> None:
        """Return once a turn of a crowd is acknowledged.

        Raises:
            BrokerUnavailable: It is not, and may have been written.
        """
        ...


class KafkaResponses:
    """The topics `responses` and `events`, a call at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = AcknowledgedProducer(settings)

    async def send(self, response: Response) -> None:
        """See `ResponseTopic.send`."""
        key = response.post_id.encode()
        await self._producer.send([Outgoing(RESPONSES, key, encode(response))])

    async def send_event(self, event: ForecastEvent) -> None:
        """See `ResponseTopic.send_event`."""
        await self._producer.send([Outgoing(EVENTS, event.query.encode(), encode(event))])

    async def close(self) -> None:
        """Release the connection."""
        await self._producer.close()


class ResponsePublisher:
    """Tells responses and keeps them.

    Args:
        topic: Where they go.
        texts: Where they are kept with their texts.
        settings: The responder's settings.
        clock: The present time.
        metrics: The metrics of this process.
    """

    def __init__(
        self, topic: ResponseTopic, texts: ResponseTexts, settings: ResponderSettings,
        clock: Clock, metrics: Metrics,
    ) -> None:  # fmt: skip
        self._topic = topic
        self._texts = texts
        self._settings = settings
        self._clock = clock
        self._metrics = metrics

    async def publish(self, response: Response, texts: dict[str, str]) -> None:
        """Return once it is told and kept.

        Raises:
            BrokerUnavailable: It may or may not have been told.
            StoreUnavailable: It was told, and may not have been kept.
        """
        await self._topic.send(response)
        metrics, name = self._metrics, post_name(response.source, response.post_id)
        metrics.responses.labels(state=response.state).inc()
        for one in response.replies:
            metrics.response_replies.labels(kind=one.kind).inc()
        _, dropped = await self._texts.put(
            StoredResponse(name, encode(response), texts), now_ms=self._now_ms(),
            keep_ms=self._settings.kept_s * 1000, most=self._settings.kept_events,
        )  # fmt: skip
        metrics.response_texts_removed.labels(why="events").inc(dropped)

    async def publish_turn(self, event: ForecastEvent) -> None:
        """Return once a turn of a crowd is told.

        Raises:
            BrokerUnavailable: It may or may not have been told.
        """
        await self._topic.send_event(event)
        self._metrics.crowd_turns.labels(state=event.state).inc()

    async def remove(self, posts: list[str]) -> None:
        """Remove the texts of deleted posts from everything that shows them.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        # As long as a post may be read anew, after a restart, its text must not come back.
        removed = await self._texts.gone(
            posts, now_ms=self._now_ms(), keep_ms=3_000 * self._settings.memory_s
        )
        self._metrics.response_texts_removed.labels(why="deleted").inc(removed)

    def _now_ms(self) -> int:
        return epoch_ms(self._clock.now())
