"""Kafka, the only import of kafka-python: producing, reading, consuming in a group, topics.

Every producer of the system keys by bytes and places them with Java's murmur2, so that a key is on
the same partition whoever wrote it. Errors of the client become ours where they enter.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from weakref import WeakSet

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors
from kafka.net import KafkaNetSocket
from kafka.partitioner import murmur2
from kafka.structs import OffsetAndMetadata, TopicPartition

from core import reasons
from core.errors import BrokerUnavailable, ConfigError, DecodeError, FatalError
from core.settings import KafkaSettings
from services.ingest.messages import Acknowledgement, Headers, Record

# The client reports every failed connection of a broker that is away as an error of its own;
# we say it once, in our words, and retry.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

LINGER_MS: Final = 20
"""How long a batch may wait for company: 20 ms costs little of the latency budget (500 ms)."""
BATCH_BYTES: Final = 262_144
CONNECT_TIMEOUT_MS: Final = 10_000
MAX_BLOCK_MS: Final = 5_000
"""How long sending may wait for the first word about a topic."""
DELIVERY_TIMEOUT_MS: Final = 3_600_000
"""The client itself retries for an hour: giving up earlier would break the order of a key."""
RECONNECT_BACKOFF_MAX_MS: Final = 2_000
PARTITIONS_MAX_AGE_S: Final = 30.0
_POSITIVE_INT: Final = 0x7FFFFFFF

_REFUSED_FOR_GOOD: Final = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.InvalidTopicError,
)
_TOO_LARGE: Final = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)


@contextmanager
def our_errors(doing: str) -> Iterator[None]:
    """Turn an error of the client into one of ours; `doing` starts the message."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise _ours(error, doing) from error
    except OSError as error:
        raise BrokerUnavailable(f"{doing}: {error}") from error


def _ours(error: BaseException, doing: str) -> Exception:
    found = f"{doing}: {type(error).__name__}: {str(error)[:300]}"
    if isinstance(error, _TOO_LARGE):
        return DecodeError(reasons.TOO_LARGE, found)
    if isinstance(error, _REFUSED_FOR_GOOD):
        return FatalError(found)
    if isinstance(error, kafka_errors.KafkaConfigurationError):
        return ConfigError(found)
    return BrokerUnavailable(found)


class _ClosingSelector(selectors.DefaultSelector):
    """Closes what its client leaves open.

    kafka-python 3 closes no connection that has something to send in that moment, and forgets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: WeakSet[Any] = WeakSet()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector.register`; remembers the socket."""
        if not isinstance(fileobj, int):
            self._seen.add(fileobj)
        return super().register(fileobj, events, data)

    def close(self) -> None:
        """Called by the client when it is closed; nothing of it is used any more."""
        super().close()
        for left in list(self._seen):
            left.close()


_library_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(
    self: KafkaNetSocket, net: Any, sock: Any, sockaddr: Any, timeout_at: Any = None
) -> Any:
    """Close the socket of a connection that does not come about; kafka-python 3 just drops it."""
    try:
        return await _library_connect(self, net, sock, sockaddr, timeout_at=timeout_at)
    except BaseException:  # its tasks are cancelled by GeneratorExit
        sock.close()
        raise


KafkaNetSocket.sock_connect = _connect_or_close


def _made(kind: type[Any], *topics: str, **options: Any) -> Any:
    """Return a client of the library; its thread and sockets end if it cannot be made.

    Left to itself kafka-python keeps them for as long as the process lives, each time.
    """
    opened: list[Any] = []

    def open_network(**found: Any) -> Any:
        opened.append(kind.DEFAULT_CONFIG["kafka_client"](**found))
        return opened[-1]

    try:
        return kind(*topics, **options, kafka_client=open_network)
    except BaseException:
        for network in opened:
            network.close()
        raise


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return what every client needs: addresses, time-outs, TLS and SASL."""
    options: dict[str, Any] = {
        "bootstrap_servers": [s.strip() for s in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
        "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
        "reconnect_backoff_max_ms": RECONNECT_BACKOFF_MAX_MS,
        "selector": _ClosingSelector,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.reveal(),
        }
    if settings.ssl_ca_file:
        options["ssl_cafile"] = settings.ssl_ca_file
    return options


@lru_cache(maxsize=65_536)
def _positive_hash(key: bytes) -> int:
    # murmur2 in Python costs several microseconds; the busy authors come again and again
    return murmur2(key) & _POSITIVE_INT


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Java's default partitioner chooses it.

    Example:
        >>> partition_of(b"kafka", 4), partition_of(b"groundswell", 4)
        (0, 2)
    """
    return _positive_hash(key) % partitions


class RecordProducer:
    """The one producer: idempotent, acknowledged by all replicas, in order; see `Producer`.

    Not thread-safe; one per process and thread.

    Raises:
        BrokerUnavailable: no broker answers within a few seconds.
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
            return _made(
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
        partition = _positive_hash(where) % self._partition_count(topic)
        try:
            return self._client.send(topic, value, key, list(headers), partition)
        except kafka_errors.KafkaError as error:
            raise _ours(error, f"sending to {topic}[{partition}]") from error

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
        return _ours(error, "sending")

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


class PartitionConsumer:
    """A member of a consumer group on one topic; Kafka gives it partitions and takes them away.

    Offsets are committed only by `commit`. Not thread-safe; a group with a time-out needs `poll`
    called often.

    Args:
        settings: where the broker is.
        topic: what to read.
        group: members of the same group share the partitions.
        from_beginning: where to start on a partition without a committed offset.

    Raises:
        BrokerUnavailable: no broker answers within a few seconds.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, group: str, from_beginning: bool = True
    ) -> None:
        self._topic = topic
        with our_errors(f"joining {group} on {topic}"):
            self._client: Any = _made(
                KafkaConsumer,
                topic,
                **client_options(settings),
                metrics_enabled=False,
                group_id=group,
                auto_offset_reset="earliest" if from_beginning else "latest",
                enable_auto_commit=False,
                session_timeout_ms=int(settings.session_timeout_s * 1000),
                heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 3),
                allow_auto_create_topics=False,
            )

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Record]:
        """Return what is there, waiting up to `timeout_s` for the first record.

        Raises:
            BrokerUnavailable: the broker refuses or does not answer.
        """
        with our_errors(f"reading {self._topic}"):
            fetched = self._client.poll(int(timeout_s * 1000), max_records=max_records)
        return [_record(found) for records in fetched.values() for found in records]

    def assignment(self) -> frozenset[int]:
        """Return the partitions that this member owns now; it changes inside `poll`."""
        return frozenset(owned.partition for owned in self._client.assignment())

    def seek(self, partition: int, offset: int) -> None:
        """Read an owned partition from `offset` on."""
        self._client.seek(TopicPartition(self._topic, partition), offset)

    def end_offsets(self) -> dict[int, int]:
        """Return the offset after the last record of each owned partition."""
        with our_errors(f"asking for the end of {self._topic}"):
            ends = self._client.end_offsets(list(self._client.assignment()))
        return {owned.partition: offset for owned, offset in ends.items()}

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Commit, per partition, the offset to start from next time.

        Raises:
            BrokerUnavailable: not committed, for example because the partition was taken away.
        """
        with our_errors(f"committing {self._topic}"):
            self._client.commit(
                {
                    TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in next_offsets.items()
                }
            )

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        with suppress(kafka_errors.KafkaError):
            self._client.close(timeout_ms=5_000)


def read_topic(
    settings: KafkaSettings,
    topic: str,
    *,
    from_beginning: bool = True,
    until_end: bool = True,
    last: int | None = None,
    poll_s: float = 0.5,
) -> Iterator[Record]:
    """Yield the records of a topic, every partition, without a group.

    Args:
        settings: where the broker is.
        topic: what to read; partitions added later are not seen.
        from_beginning: start at the oldest record, else at what is written from now on.
        until_end: end where the topic ended when called, else go on for ever.
        last: so many offsets before the end of each partition at most; None is all of them.
        poll_s: longest wait for records at a time, in seconds.

    Raises:
        BrokerUnavailable: no answer, or no such topic.
    """
    with our_errors(f"reading {topic}"):
        client = _made(
            KafkaConsumer, **client_options(settings), group_id=None, enable_auto_commit=False,
            allow_auto_create_topics=False, max_poll_records=2_000,
        )  # fmt: skip
    try:
        with our_errors(f"reading {topic}"):
            found = client.partitions_for_topic(topic)
            if not found:
                raise BrokerUnavailable(f"reading {topic}: there is no such topic")
            partitions = [TopicPartition(topic, number) for number in sorted(found)]
            client.assign(partitions)
            ends = client.end_offsets(partitions)
            starts = client.beginning_offsets(partitions) if from_beginning else ends
            if last is not None:
                starts = {p: max(start, ends[p] - last) for p, start in starts.items()}
        for partition in partitions:
            client.seek(partition, starts[partition])
        open_ended = {p for p in partitions if not until_end or starts[p] < ends[p]}
        while open_ended:
            with our_errors(f"reading {topic}"):
                fetched = client.poll(int(poll_s * 1000))
            for partition, records in fetched.items():
                for record in records:
                    if not until_end or record.offset < ends[partition]:
                        yield _record(record)
            if until_end:
                open_ended = {p for p in open_ended if (client.position(p) or 0) < ends[p]}
    finally:
        client.close()


def _record(found: Any) -> Record:
    return Record(
        partition=found.partition,
        offset=found.offset,
        key=found.key,
        value=found.value,
        headers=tuple(found.headers),
        timestamp_ms=found.timestamp,
    )


class TopicProbe:
    """Looks at one topic from outside: where its partitions end, when a record was written.

    Not thread-safe.

    Raises:
        BrokerUnavailable: no broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._topic = topic
        with our_errors(f"looking at {topic}"):
            self._client: Any = _made(
                KafkaConsumer, **client_options(settings), metrics_enabled=False, group_id=None,
                enable_auto_commit=False, allow_auto_create_topics=False,
                max_partition_fetch_bytes=1,  # the broker sends one batch of records all the same
            )  # fmt: skip

    def ends(self) -> dict[int, int]:
        """Return partition -> the offset after its last record; empty if there is no such topic.

        Raises:
            BrokerUnavailable: no answer.
        """
        with our_errors(f"asking for the end of {self._topic}"):
            numbers = self._client.partitions_for_topic(self._topic) or ()
            ends = self._client.end_offsets([TopicPartition(self._topic, n) for n in numbers])
        return {partition.partition: offset for partition, offset in ends.items()}

    def written_ms(self, offsets: Mapping[int, int], timeout_s: float = 2.0) -> dict[int, int]:
        """Return partition -> when the record at its offset, or the next there is, was written.

        In milliseconds since 1970. A partition that does not answer in time is absent.

        Raises:
            BrokerUnavailable: the broker refuses or does not answer.
        """
        wanted = {TopicPartition(self._topic, number): at for number, at in offsets.items()}
        found: dict[int, int] = {}
        give_up_at_s = time.monotonic() + timeout_s
        with our_errors(f"reading {self._topic}"):
            while wanted and (left_s := give_up_at_s - time.monotonic()) > 0:
                self._client.assign(list(wanted))
                for partition, offset in wanted.items():
                    self._client.seek(partition, offset)
                for partition, records in self._client.poll(int(left_s * 1000)).items():
                    if records:
                        found[partition.partition] = records[0].timestamp
                        wanted.pop(partition, None)
        return found

    def close(self) -> None:
        """Release the connection."""
        with suppress(kafka_errors.KafkaError):
            self._client.close()


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it should be; `retention_ms` None leaves the broker's own."""

    name: str
    partitions: int
    replication: int
    retention_ms: int | None = None
    compacted: bool = False
    max_message_bytes: int | None = None

    def configuration(self) -> dict[str, str]:
        """Return the topic's settings in Kafka's own words."""
        found = {"cleanup.policy": "compact" if self.compacted else "delete"}
        if self.retention_ms is not None:
            found["retention.ms"] = str(self.retention_ms)
        if self.max_message_bytes is not None:
            found["max.message.bytes"] = str(self.max_message_bytes)
        return found


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it."""

    name: str
    partitions: int
    replication: int
    records: int
    """Offsets between the oldest and the end; of a compacted topic an upper bound."""
    end_offsets: tuple[int, ...]


class TopicAdmin:
    """Makes topics and looks at them; use as a context manager.

    Raises:
        BrokerUnavailable: no broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with our_errors("connecting an admin client"):
            # Any: published stubs describe an older client
            self._client: Any = _made(KafkaAdminClient, **client_options(settings))

    def __enter__(self) -> TopicAdmin:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.close()

    def create(self, plans: Sequence[TopicPlan]) -> list[str]:
        """Create what is missing and leave the rest alone; safe to call by several at once.

        Returns:
            The names that this call created.

        Raises:
            BrokerUnavailable: no answer, or no leader for a new topic in time.
        """
        with our_errors("listing topics"):
            existing = set(self._client.list_topics())
        created = [plan for plan in plans if plan.name not in existing]
        made: list[str] = []
        for plan in created:
            with (
                our_errors(f"creating topic {plan.name}"),
                suppress(
                    kafka_errors.TopicAlreadyExistsError  # another process was faster
                ),
            ):
                self._client.create_topics(
                    {
                        plan.name: {
                            "num_partitions": plan.partitions,
                            "replication_factor": plan.replication,
                            "configs": plan.configuration(),
                        }
                    }
                )
                made.append(plan.name)
        with our_errors("waiting for topics"):
            self._client.wait_for_topics([plan.name for plan in plans])
        return made

    def describe(self, names: Sequence[str] | None = None) -> list[TopicState]:
        """Return the topics named that exist, or all but Kafka's own."""
        with our_errors("describing topics"):
            existing = [n for n in self._client.list_topics() if not n.startswith("__")]
            wanted = [n for n in (names or sorted(existing)) if n in existing]
            if not wanted:
                return []
            found = {t["name"]: t for t in self._client.describe_topics(wanted)}
            return [self._state(found[name]) for name in wanted]

    def _state(self, found: Mapping[str, Any]) -> TopicState:
        name = found["name"]
        partitions = [
            TopicPartition(name, number)
            for number in sorted(p["partition_index"] for p in found["partitions"])
        ]
        client = _made(KafkaConsumer, **client_options(self._settings), group_id=None)
        try:
            starts, ends = client.beginning_offsets(partitions), client.end_offsets(partitions)
        finally:
            client.close()
        return TopicState(
            name=name,
            partitions=len(partitions),
            replication=len(found["partitions"][0]["replica_nodes"]),
            records=sum(ends[p] - starts[p] for p in partitions),
            end_offsets=tuple(ends[p] for p in partitions),
        )
