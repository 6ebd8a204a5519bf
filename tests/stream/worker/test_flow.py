"""One flow with nothing real around it: the order of what a batch does, and what is told of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from core import reasons
from core.clock import ManualClock, epoch_ms, from_epoch_ms
from core.codec import progress_decoder
from core.errors import BrokerUnavailable, CursorConflict, StoreUnavailable
from core.metrics import Metrics
from core.schemas import Progress
from core.sealing import PLAIN
from stream import heartbeat
from stream.store.increments import Applied, ApplyBatch, PartitionState
from stream.topics import DEAD_POSTS, POSTS, PROGRESS, SCORED_POSTS
from stream.windows.increments import MicroScores
from stream.worker.batch import DeadRecord, PostBatch
from stream.worker.batching import BatchLimits
from stream.worker.flow import FlowParts, PartitionFlow
from stream.worker.outlets import OutRecord
from stream.worker.running import Chain
from stream.worker.step import Step, beside_others, in_order
from stream.worker.steps.amend import DELETED_MS, KINDS
from stream.worker.steps.apply import Apply
from stream.worker.steps.count import COUNTED_MS, UNRATED
from stream.worker.steps.drop_unscored import SCORES
from stream.worker.steps.render import RENDERED
from stream.worker.steps.send_dead import SendDead
from stream.worker.steps.send_progress import SendProgress
from stream.worker.steps.send_scored import SendScored
from stream.worker.steps.tell import Tell
from stream.worker.waiting import STALLED_AFTER_S
from testkit.stream import MemoryPartition

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON_MS = epoch_ms(NOON)
Change = Callable[[PostBatch], None]
NAMES = {DEAD_POSTS: "dead", SCORED_POSTS: "scored", PROGRESS: "progress"}


class Prepare(Step):
    """Notes that a batch is prepared, and moves the watermark."""

    adds = (SCORES, RENDERED)

    def __init__(self, world: World) -> None:
        self.world = world

    async def run(self, batch: PostBatch) -> None:
        first, last = batch.records[0].offset, batch.records[-1].offset
        watermark = batch.position.watermark
        self.world.watermarks += [watermark.value_ms, watermark.advance(NOON_MS + 90_000)]
        self.world.known.append(batch.position.cursor)
        batch.apply.watermark_ms = NOON_MS + last
        batch[SCORES] = MicroScores("m-1", np.zeros(0, np.bool_), {}, [])
        batch[RENDERED] = []
        await self.world.note(f"prepare {first}")

    def release(self, batch: PostBatch) -> None:
        self.world.done.append(f"release {batch.records[0].offset}")


class Work(Step):
    """Waits where it is told to, and makes of the batch what it is told to."""

    adds = (UNRATED, COUNTED_MS, KINDS, DELETED_MS)

    def __init__(self, world: World) -> None:
        self.world = world

    async def run(self, batch: PostBatch) -> None:
        first = batch.records[0].offset
        if first in self.world.holds:
            await self.world.holds[first].wait()
        batch[UNRATED], batch[COUNTED_MS], batch[KINDS] = 0, [], Counter()
        batch[DELETED_MS] = []
        batch.apply.totals["counted"] = len(batch.records)
        self.world.changes.get(first, lambda _: None)(batch)


class World:
    """Store and producer of one flow, around its steps; `done` is what happened, in order.

    Attributes:
        fails: what the next call of that name raises, one for each call.
        changes: what each batch is made into, by its first offset.
        holds: batches, by their first offset, that wait for the event before they are scored.
    """

    def __init__(self, max_age_s: float = 0.0) -> None:
        self.done: list[str] = []
        self.fails: dict[str, list[Exception]] = {}
        self.changes: dict[int, Change] = {}
        self.holds: dict[int, asyncio.Event] = {}
        self.state = PartitionState({POSTS: -1}, -1, -1, {})
        self.applied: list[ApplyBatch] = []
        self.progress: list[Progress] = []
        self.watermarks: list[int] = []
        self.known: list[int] = []
        self._happened = asyncio.Condition()
        self.clock, self.metrics = ManualClock(NOON), Metrics()
        self.partition = MemoryPartition([b"x"] * 6)
        parts = FlowParts(
            store=self, clock=self.clock, metrics=self.metrics,
            limits=BatchLimits(2, 1_000, max_age_s), max_in_flight_batches=2,
            allowed_lateness_s=30, rng=random.Random(1),
        )  # fmt: skip
        chain = Chain(
            POSTS,
            self.metrics,
            in_order(Prepare(self)),
            beside_others(Work(self)),
            in_order(
                SendDead(self, self.clock, PLAIN),
                SendScored(self),
                Apply(self),
                Tell(self.metrics, self.clock),
                SendProgress(self, self.clock),
            ),
        )
        self.flow = PartitionFlow(3, parts, chain, self.partition.control())

    async def note(self, what: str) -> None:
        self.done.append(what)
        async with self._happened:
            self._happened.notify_all()
        if self.fails.get(what):
            raise self.fails[what].pop(0)

    async def until(self, what: str, times: int = 1) -> None:
        async with asyncio.timeout(60), self._happened:
            await self._happened.wait_for(lambda: self.done.count(what) >= times)

    async def start(self) -> None:
        await self.flow.start()
        while self.flow.cursor is None:  # noqa: ASYNC110 a flow tells nobody that it is placed
            await asyncio.sleep(0)

    async def feed(self, count: int = 100) -> None:
        await self.flow.offer(self.partition.fetch(count))

    # -- the store and the producer ------------------------------------------------------------

    async def partition_state(self, partition: int) -> PartitionState:
        assert partition == 3
        await self.note("state")
        return self.state

    async def seen(self, *_: Any) -> list[bool]:
        raise NotImplementedError

    async def apply(self, partition: int, batch: ApplyBatch) -> Applied:
        await self.note("apply")
        self.applied.append(batch)
        return Applied(0, 0)

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        if topic == PROGRESS:
            self.progress += [progress_decoder.decode(record.value) for record in records]
        await self.note(NAMES[topic])

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}", labels)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.flow.stop()


def _dead(batch: PostBatch) -> None:
    batch.dead.append(DeadRecord(1, reasons.NOT_JSON, "", b"{"))


def _scored(batch: PostBatch) -> None:
    batch[RENDERED].append((b"a", b"{}", 0))


async def test_dead_records_then_scored_posts_then_the_apply_then_progress(world: World) -> None:
    world.changes[0] = lambda batch: (_dead(batch), _scored(batch))[0]
    await world.start()
    await world.feed(2)
    await world.until("progress")
    await world.flow.drain()
    assert world.done == [
        "state", "prepare 0", "dead", "scored", "apply", "progress", "release 0",
    ]  # fmt: skip
    (state,) = world.progress
    assert (state.cursor, state.watermark) == (1, from_epoch_ms(NOON_MS + 1))


async def test_nothing_is_produced_for_a_batch_that_has_nothing_to_produce(world: World) -> None:
    await world.start()
    await world.feed(2)
    await world.until("progress")
    assert "dead" not in world.done
    assert "scored" not in world.done


async def test_batches_are_applied_in_order_each_on_the_cursor_before_it(world: World) -> None:
    world.holds[0] = asyncio.Event()
    await world.start()
    await world.feed(1)
    await world.until("prepare 0")
    await world.feed(3)
    await world.until("prepare 1")
    world.holds[0].set()
    await world.until("progress", 3)
    assert [(b.topic, b.expected, b.new) for b in world.applied] == [
        (POSTS, -1, 0), (POSTS, 0, 2), (POSTS, 2, 3),
    ]  # fmt: skip
    assert [b.watermark_ms for b in world.applied] == [NOON_MS, NOON_MS + 2, NOON_MS + 3]
    assert world.flow.cursor == 3


async def test_no_more_batches_are_prepared_than_may_be_in_flight(world: World) -> None:
    world.holds = {0: asyncio.Event(), 1: asyncio.Event(), 3: asyncio.Event()}
    await world.start()
    await world.feed(1)
    await world.until("prepare 0")
    await world.feed(5)
    await world.until("prepare 1")
    for _ in range(20):
        await asyncio.sleep(0)
    assert "prepare 3" not in world.done
    world.holds[0].set()
    await world.until("prepare 3")


async def test_a_batch_that_is_not_full_waits_for_more_while_another_is_in_flight() -> None:
    world = World(max_age_s=0.9)
    world.holds[0] = asyncio.Event()
    try:
        await world.start()
        await world.feed(1)
        await world.until("prepare 0")
        await world.feed(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert "prepare 1" not in world.done
        await world.feed(1)
        await world.until("prepare 1")
    finally:
        await world.flow.stop()


async def test_what_is_told_of_a_batch_is_what_it_did(world: World) -> None:
    def everything(batch: PostBatch) -> None:
        _dead(batch)
        _scored(batch)
        batch[UNRATED] = 4
        batch.repairs.update({reasons.EMPTY_TEXT: 2})
        batch[KINDS] = Counter({"delete": 3})
        batch[COUNTED_MS] = [NOON_MS - 2_500, NOON_MS + 1_000]
        batch[DELETED_MS] = [NOON_MS - 7_000]

    world.changes[0] = everything
    await world.start()
    await world.feed(2)
    await world.until("progress")
    await world.flow.drain()
    assert world.value("cursor", topic=POSTS, partition="3") == 1
    assert world.value("watermark_seconds", partition="3") == (NOON_MS + 1) / 1000
    assert world.value("posts_applied_total", partition="3") == 2
    assert world.value("scored_posts_out_total") == 1
    assert world.value("posts_unrated_total") == 4
    assert world.value("dead_posts_total", reason=reasons.NOT_JSON, stage="worker") == 1
    assert world.value("posts_repaired_total", repair=reasons.EMPTY_TEXT) == 2
    assert world.value("events_applied_total", kind="delete") == 3
    assert world.value("count_latency_seconds_count") == 2
    assert world.value("count_latency_seconds_sum") == 2.5, "time never runs backwards"
    assert world.value("removal_latency_seconds_sum") == 7.0


async def test_what_the_store_knows_is_shown_before_the_first_record(world: World) -> None:
    world.state = PartitionState({POSTS: 41}, NOON_MS, -1, {})
    await world.start()
    assert world.value("cursor", topic=POSTS, partition="3") == 41
    assert world.value("watermark_seconds", partition="3") == NOON_MS / 1000
    assert world.value("applies_refused_total", partition="3") == 0
    assert world.value("offset_gap_posts_total", partition="3") == 0
    assert world.value("seeks_total", cause="assigned") == 1
    assert world.partition.seeks == [42]
    assert world.flow.cursor == 41


async def test_a_partition_without_posts_has_no_watermark_to_show(world: World) -> None:
    await world.start()
    assert world.value("watermark_seconds", partition="3") is None

    def without(batch: PostBatch) -> None:
        batch.apply.watermark_ms = -1
        batch.apply.totals["counted"] = 0

    world.changes[0] = without
    await world.feed(2)
    await world.until("progress")
    await world.flow.drain()
    assert world.value("watermark_seconds", partition="3") is None
    assert world.value("posts_applied_total", partition="3") is None


async def test_a_watermark_goes_on_from_the_stored_one(world: World) -> None:
    world.state = PartitionState({POSTS: -1}, NOON_MS, -1, {})
    await world.start()
    await world.feed(2)
    await world.until("progress")
    assert world.watermarks == [NOON_MS, NOON_MS + 60_000], "less the allowed lateness of 30 s"
    assert world.known == [-1]


async def test_a_batch_of_heartbeats_alone_is_no_progress_to_the_closer(world: World) -> None:
    def beats(batch: PostBatch) -> None:
        batch.apply.totals.update({"counted": 0, heartbeat.TOTAL: 2})

    world.changes[0] = beats
    await world.start()
    await world.feed(2)
    await world.until("apply")
    await world.flow.drain()
    assert world.progress == []
    assert world.flow.cursor == 1


async def test_progress_that_cannot_be_sent_holds_nothing_up(world: World) -> None:
    world.fails["progress"] = [BrokerUnavailable("away")]
    await world.start()
    await world.feed(4)
    await world.until("progress", 2)
    await world.flow.drain()
    assert world.done.count("apply") == 2
    assert world.value("store_retries_total") == 0


async def test_what_is_away_is_tried_again_and_what_was_done_is_not_repeated(
    world: World,
) -> None:
    world.changes[0] = lambda batch: (_dead(batch), _scored(batch))[0]
    world.fails = {
        "state": [StoreUnavailable("away")],
        "prepare 0": [StoreUnavailable("away")],
        "dead": [BrokerUnavailable("away")],
        "scored": [BrokerUnavailable("away")] * 2,
        "apply": [StoreUnavailable("away")] * 3,
    }
    await world.start()
    await world.feed(2)
    await world.until("progress")
    await world.flow.drain()
    assert Counter(world.done) == {
        "state": 2, "prepare 0": 2, "dead": 2, "scored": 3, "apply": 4, "progress": 1,
        "release 0": 1,
    }  # fmt: skip
    assert world.value("store_retries_total") == 8
    assert 8 * 0.025 <= world.clock.monotonic() <= 8 * 5.0, "it waits between the tries"


async def test_a_refused_apply_forgets_what_is_held_and_goes_on_from_the_stored_cursor(
    world: World,
) -> None:
    world.fails["apply"] = [CursorConflict(3, POSTS, -1, 3)]
    world.holds = {2: asyncio.Event()}
    await world.start()
    world.state = PartitionState({POSTS: 3}, NOON_MS, -1, {})
    await world.feed()
    await world.until("state", 2)
    while world.flow.cursor != 3:  # noqa: ASYNC110 a flow tells nobody that it is placed
        await asyncio.sleep(0)
    assert world.partition.seeks == [0, 4]
    assert world.value("applies_refused_total", partition="3") == 1
    assert world.value("seeks_total", cause="refused") == 1
    assert world.done.count("release 2") == 1, "what waited is forgotten"
    await world.feed()
    await world.until("progress")
    assert [(b.expected, b.new) for b in world.applied] == [(3, 5)]


async def test_a_mistake_of_ours_ends_the_flow_and_can_be_asked_for(world: World) -> None:
    assert world.flow.failure is None
    world.fails["apply"] = [ValueError("a mistake")]
    await world.start()
    assert world.flow.failure is None
    await world.feed(2)
    await world.until("apply")
    async with asyncio.timeout(60):
        await world.flow.drain()
    assert isinstance(world.flow.failure, BaseExceptionGroup)


async def test_a_flow_that_was_stopped_did_not_fail(world: World) -> None:
    await world.start()
    await world.flow.stop()
    assert world.flow.failure is None
    await world.flow.stop()


async def test_a_flow_that_drains_finishes_what_is_in_flight_and_takes_nothing_more(
    world: World,
) -> None:
    world.holds[0] = asyncio.Event()
    await world.start()
    await world.feed(1)
    await world.until("prepare 0")
    draining = asyncio.create_task(world.flow.drain())
    await asyncio.sleep(0)
    await world.feed(5)
    assert not draining.done()
    world.clock.advance(STALLED_AFTER_S + 1)
    world.partition.position = 1
    await world.flow.check()
    world.holds[0].set()
    async with asyncio.timeout(60):
        await draining
    assert world.flow.cursor == 0
    assert world.partition.seeks == [0], "records that do not come are not sought any more"
    assert world.done.count("apply") == 1


async def test_a_flow_that_never_began_drains_at_once(world: World) -> None:
    async with asyncio.timeout(60):
        await world.flow.drain()


async def test_records_that_do_not_come_are_sought_when_the_flow_is_checked(
    world: World,
) -> None:
    await world.start()
    world.partition.fetch(6)  # dropped on their way
    world.clock.advance(STALLED_AFTER_S + 1)
    await world.flow.check()
    assert world.partition.seeks == [0, 0]
