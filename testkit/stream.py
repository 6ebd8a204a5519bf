"""For tests of the stream: an in-memory topic that can be sought, a sink, and a plain counter.

`count_plainly` is the obvious single-threaded program that windows are compared with; it shares no
code with the pipeline on purpose.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.clock import Clock, SystemClock
from core.codec import scored_post_decoder
from core.errors import BrokerUnavailable
from core.metrics import Metrics
from core.ports import Scorer
from core.schemas import ScoredPost
from core.settings import WindowSettings, WorkerSettings
from stream.queries.matcher import Matcher
from stream.topics import POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.adaptive_limit import AdaptiveLimit
from stream.worker.batch import PartitionPosition, PostBatch
from stream.worker.batching import BatchLimits, PostBudget
from stream.worker.chain import StepTools, make_chains
from stream.worker.flow import FlowParts
from stream.worker.flows import FlowKey, PartitionFlows
from stream.worker.outlets import OutRecord, RecordSink
from stream.worker.ports import PartitionControl, Store
from stream.worker.scoring import PatientScorer
from testkit.counters import further
from testkit.scorers.fake import FakeScorer


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A record of an in-memory partition."""

    offset: int
    value: bytes | None


class MemoryPartition:
    """One partition of a topic: records that can be read from any offset, paused and resumed.

    Attributes:
        seeks: every offset that was sought, in order.
    """

    def __init__(self, values: Sequence[bytes], first_offset: int = 0) -> None:
        self.records = [MemoryRecord(first_offset + i, v) for i, v in enumerate(values)]
        self.first_offset = first_offset
        self.position = first_offset
        self.paused = False
        self.seeks: list[int] = []

    def control(self) -> PartitionControl:
        """Return the handle by which a flow moves this partition."""

        async def seek(offset: int) -> None:
            self.seeks.append(offset)
            self.position = max(offset, self.first_offset)

        async def earliest() -> int:
            return self.first_offset

        def pause() -> None:
            self.paused = True

        def resume() -> None:
            self.paused = False

        def end() -> int:
            return self.first_offset + len(self.records)

        return PartitionControl(seek=seek, pause=pause, resume=resume, earliest=earliest, end=end)

    def fetch(self, limit: int) -> list[MemoryRecord]:
        """Return up to `limit` records from the position on, and move it."""
        if self.paused:
            return []
        start = self.position - self.first_offset
        run = self.records[start : start + limit]
        self.position += len(run)
        return run


def make_tools(
    store: Store,
    sink: RecordSink,
    *,
    worker: WorkerSettings | None = None,
    windows: WindowSettings | None = None,
    scorer: Scorer | None = None,
    matcher: Matcher | None = None,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
) -> StepTools:
    """Return what chains are made of; what is not given is a fake, or the default.

    Args:
        store: The store.
        sink: The producer.
        worker: The settings of the worker.
        windows: The settings of the panes.
        scorer: The model.
        matcher: The queries; None for no query but `all`.
        metrics: The metrics.
        clock: The present time.
    """
    worker, metrics = worker or WorkerSettings(), metrics or Metrics()
    clock, found = clock or SystemClock(), matcher or Matcher([])
    limit = AdaptiveLimit(worker, clock, metrics)
    return StepTools(
        store=store,
        sink=sink,
        scorer=PatientScorer(scorer or FakeScorer(), clock, metrics, limit=limit),
        budget=PostBudget(worker.max_in_flight_posts, limit.in_flight_posts),
        matcher=lambda: found,
        windows=windows or WindowSettings(),
        max_message_bytes=worker.max_message_bytes,
        clock=clock,
        metrics=metrics,
    )


def make_flows(
    tools: StepTools, rng: random.Random, worker: WorkerSettings | None = None
) -> PartitionFlows:
    """Return flows with the worker's own chains, on what `make_tools` has made."""
    worker, clock = worker or WorkerSettings(), SystemClock()
    parts = FlowParts(
        store=tools.store,
        clock=clock,
        metrics=tools.metrics,
        limits=BatchLimits.of(worker),
        max_in_flight_batches=worker.max_in_flight_batches,
        allowed_lateness_s=tools.windows.allowed_lateness_s,
        rng=rng,
    )
    return PartitionFlows(parts, make_chains(tools))


def batch_of(
    *values: bytes,
    topic: str = POSTS,
    first: int = 10,
    position: PartitionPosition | None = None,
    watermark_ms: int = -1,
) -> PostBatch:
    """Return a batch of records with consecutive offsets, as a flow cuts it.

    Args:
        values: The messages, at least one.
        topic: The topic.
        first: The offset of the first.
        position: Where the partition stands; None for one with this watermark.
        watermark_ms: The watermark before the batch, -1 for none.
    """
    watermark = PartitionWatermark(30_000, watermark_ms)
    position = position or PartitionPosition(topic, 0, first - 1, watermark)
    return PostBatch(position, [MemoryRecord(first + i, value) for i, value in enumerate(values)])


async def feed(
    flows: PartitionFlows, topics: Mapping[FlowKey, MemoryPartition], rng: random.Random
) -> None:
    """Offer records in numbers that vary, round robin, until cancelled."""
    await flows.assign({key: partition.control() for key, partition in topics.items()})
    while True:
        for (topic, number), partition in topics.items():
            await flows.offer(topic, number, partition.fetch(rng.randint(1, 60)))
        await asyncio.sleep(0.001)


@dataclass(slots=True)
class ListSink:
    """Keeps what is produced; satisfies `stream.worker.outlets.RecordSink`.

    Attributes:
        records: topic -> (partition, record) in the order produced.
        failures_left: so many sends fail before one succeeds.
    """

    records: dict[str, list[tuple[int, OutRecord]]] = field(
        default_factory=dict[str, list[tuple[int, OutRecord]]]
    )
    failures_left: int = 0

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Keep the records, or fail as often as asked."""
        await asyncio.sleep(0)
        if self.failures_left:
            self.failures_left -= 1
            raise BrokerUnavailable("asked to fail")
        self.records.setdefault(topic, []).extend((partition, record) for record in records)

    def values(self, topic: str) -> list[bytes]:
        """Return the values produced to a topic."""
        return [record.value for _, record in self.records.get(topic, [])]


def decode_scored(values: Iterable[bytes]) -> list[ScoredPost]:
    """Return scored posts without repeats: the last scoring of each post id stands."""
    posts = [scored_post_decoder.decode(value) for value in values]
    return list({(post.source, post.id): post for post in posts}.values())


_KNOWN = ("posts", "rated", "sentiment_sum", "sentiment_square", "near_duplicates")


def count_plainly(posts: Iterable[ScoredPost]) -> dict[tuple[str, int], dict[str, int]]:
    """Return (query, pane start in s) -> counters, one post after the other.

    The obvious program: no batches, no store, no numpy, no order that matters.
    """
    windows: dict[tuple[str, int], dict[str, int]] = {}
    for post in posts:
        if post.pane_start is None:
            raise ValueError(f"{post.id}: an edit has no pane of its own")
        for query in post.queries:
            counters = windows.setdefault((query, int(post.pane_start.timestamp())), {})
            _bump(counters, "posts", 1)
            if post.near_duplicate:
                _bump(counters, "near_duplicates", 1)
            others = further(_KNOWN, post.rated, post.scores, post.near_duplicate)
            for name, number in others.items():
                _bump(counters, name, number)
            if not post.rated:
                continue
            _bump(counters, "rated", 1)
            negative, _, positive = post.scores["sentiment"]
            value = positive - negative
            _bump(counters, "sentiment_sum", value)
            _bump(counters, "sentiment_square", (value * value + 500_000) // 1_000_000)
    return windows


def _bump(counters: dict[str, int], name: str, by: int) -> None:
    counters[name] = counters.get(name, 0) + by
