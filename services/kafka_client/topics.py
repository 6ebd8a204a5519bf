"""Topics: what they should be, what the broker has, and making what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import stamina
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import errors as kafka_errors
from kafka.structs import TopicPartition

from core.errors import BrokerUnavailable
from core.settings import KafkaSettings
from services.kafka_client.client import client_options, cluster_of, make_client, our_errors

PATIENCE_S: Final = 30.0
"""How long what passes by itself may keep one topic from being created."""
_PASSES: Final = (
    cast(Any, kafka_errors).RetriableError,  # published stubs describe an older client
    # A broker that answers before it is registered counts none, so that one copy is one too many.
    kafka_errors.InvalidReplicationFactorError,
    OSError,
)


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
        if self.retention_ms is not None and self.retention_ms > 0 and not self.compacted:
            # Kafka deletes whole segments, and keeps one open for a week: by itself a record of a
            # quiet topic would live as much longer. So it lives a tenth longer at most.
            found["segment.ms"] = str(max(60_000, self.retention_ms // 10))
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
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with our_errors("connecting an admin client"):
            # Any: published stubs describe an older client
            self._client: Any = make_client(KafkaAdminClient, **client_options(settings))

    def __enter__(self) -> TopicAdmin:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.close()

    def cluster_id(self) -> str:
        """Return the id of the cluster that the broker is of, "" if it does not tell."""
        return cluster_of(self._client)

    def create(self, plans: Sequence[TopicPlan]) -> list[str]:
        """Create what is missing and leave the rest alone; safe to call by several at once.

        Returns:
            The names that this call created.

        Raises:
            BrokerUnavailable: No answer, no leader for a new topic in time, or what would pass by
                itself (no broker registered, no controller) has not within `PATIENCE_S`.
        """
        with our_errors("listing topics"):
            existing = set(self._client.list_topics())
        created = [plan for plan in plans if plan.name not in existing]
        made = [plan.name for plan in created if self._create_one(plan)]
        with our_errors("waiting for topics"):
            self._client.wait_for_topics([plan.name for plan in plans])
        return made

    def _create_one(self, plan: TopicPlan) -> bool:
        """Create a topic; return False if another process was faster."""
        asked = {
            "num_partitions": plan.partitions,
            "replication_factor": plan.replication,
            "configs": plan.configuration(),
        }
        with (
            our_errors(f"creating topic {plan.name}"),
            suppress(kafka_errors.TopicAlreadyExistsError),
        ):
            try:
                for attempt in stamina.retry_context(
                    on=_PASSES, attempts=None, timeout=PATIENCE_S, wait_initial=0.1, wait_max=2.0
                ):
                    with attempt:
                        self._client.create_topics({plan.name: asked})
            except kafka_errors.InvalidReplicationFactorError as error:
                raise BrokerUnavailable(
                    f"creating topic {plan.name}: kafka.replication = {plan.replication}: expected "
                    "at most as many as there are brokers, and fewer have registered"
                ) from error
            return True
        return False

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
        client = make_client(KafkaConsumer, **client_options(self._settings), group_id=None)
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
