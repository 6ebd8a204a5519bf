"""The one producer of records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import stamina
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from core.errors import BrokerUnavailable
from core.settings import KafkaSettings
from services.kafka_client.client import (
    client_options,
    make_client,
    our_error,
    our_errors,
    partition_of,
)
from services.kafka_client.messages import Acknowledgement, Headers

LINGER_MS: Final = 20
"""How long a batch may wait for company: 20 ms costs little of the latency budget (500 ms)."""
BATCH_BYTES: Final = 262_144
MAX_BLOCK_MS: Final = 5_000
"""How long sending may wait for the first word about a topic."""
DELIVERY_TIMEOUT_MS: Final = 3_600_000
"""The client itself retries for an hour: giving up earlier would break the order of a key."""
PARTITIONS_MAX_AGE_S: Final = 30.0

_Found = TypeVar("_Found")


def retried_until_stopped(
    attempt: Callable[[], _Found],
    stop: threading.Event,
    tell: Callable[[Exception], object] = lambda error: None,
) -> _Found | None:
    """Return what an attempt returns once the broker is there; None if told to stop meanwhile.

    Args:
        attempt: What is tried again, with back-off and jitter, while the broker is unavailable.
        stop: Ends the trying when it is set.
        tell: Is given each failure that another attempt follows.
    """

    def is_worth_another(error: Exception) -> bool:
        if isinstance(error, BrokerUnavailable) and not stop.is_set():
            tell(error)
            return True
        return False

    try:
        for trial in stamina.retry_context(
            on=is_worth_another, attempts=None, timeout=None,
            wait_initial=0.1, wait_max=2.0, wait_jitter=0.5,
        ):  # fmt: skip
            with trial:
                return attempt()
    except BrokerUnavailable:
        if not stop.is_set():
            raise
    return None


class RecordProducer:
    """The one producer: idempotent, acknowledged by all replicas, in order; see `Producer`.

    Not thread-safe; one per process and thread.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings, linger_ms: int = LINGER_MS) -> None:
        self._settings = settings
        self._linger_ms = linger_ms
        self._partitions: dict[str, tuple[int, float]] = {}
        self._client = self._connect()

    def _connect(self) -> KafkaProducer:
        request_timeout_ms = int(self._settings.request_timeout_s * 1000)
        compression = self._settings.compression
        with our_errors("connecting a producer"):
            return make_client(
                KafkaProducer,
                **client_options(self._settings),
                metrics_enabled=False,
                acks="all",
                enable_idempotence=True,
                max_in_flight_requests_per_connection=5,
                linger_ms=self._linger_ms,
                batch_size=BATCH_BYTES,
                compression_type=None if compression == "none" else compression,
                # Room for the key, headers and the batch around the largest message.
                max_request_size=self._settings.max_message_bytes + 65_536,
                delivery_timeout_ms=max(DELIVERY_TIMEOUT_MS, 2 * request_timeout_ms),
                max_block_ms=MAX_BLOCK_MS,
                allow_auto_create_topics=False,
            )

    def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        *,
        placed_by: bytes | None = None,
    ) -> Acknowledgement:
        """Take a record for sending and return at once; see `Producer.send`.

        `placed_by` chooses the partition instead of the key: a compacted topic may key finely and
        still keep what belongs together in order.
        """
        where = key if placed_by is None else placed_by
        partition = partition_of(where, self._partition_count(topic))
        try:
            return self._client.send(topic, value, key, list(headers), partition)
        except kafka_errors.KafkaError as error:
            raise our_error(error, f"sending to {topic}[{partition}]") from error

    def _partition_count(self, topic: str) -> int:
        known = self._partitions.get(topic)
        now = time.monotonic()
        if known is not None and now < known[1]:
            return known[0]
        with our_errors(f"looking up partitions of {topic}"):
            count = len(self._client.partitions_for(topic) or ())
        if not count:
            raise BrokerUnavailable(f"topic {topic} has no partitions")
        self._partitions[topic] = (count, now + PARTITIONS_MAX_AGE_S)
        return count

    def failure(self, acknowledgement: Acknowledgement) -> Exception:
        """Return why a record failed, as one of our errors; see `Producer.failure`."""
        error: BaseException = getattr(acknowledgement, "exception", None) or RuntimeError(
            "unknown"
        )
        return our_error(error, "sending")

    def flush(self, timeout_s: float) -> None:
        """Wait until every record sent so far is done; see `Producer.flush`."""
        with our_errors("flushing"):
            self._client.flush(timeout=timeout_s)

    def reconnect(self) -> None:
        """Give up everything unacknowledged and start anew; see `Producer.reconnect`."""
        self.close(timeout_s=0.0)
        self._partitions.clear()
        self._client = self._connect()

    def close(self, timeout_s: float = 5.0) -> None:
        """Release the connection; what is unacknowledged after `timeout_s` is given up."""
        with suppress(kafka_errors.KafkaError):
            self._client.close(timeout=timeout_s)
