"""The two chains by themselves: what they ask, hold, score and give back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pytest

from core import reasons
from core.clock import ManualClock, epoch_ms
from core.codec import encode
from core.heads import HEADS
from core.metrics import Metrics
from core.ports import ScoreBatch
from core.settings import WindowSettings
from stream import heartbeat
from stream.topics import POST_EVENTS, POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import PartitionPosition, PostBatch
from stream.worker.batching import PostBudget
from stream.worker.chain import StepTools, make_chains
from stream.worker.running import Chain
from stream.worker.scoring import REFUSED, Scored, Unscored
from testkit.builders import NOON, make_event, make_post
from testkit.stream import ListSink, MemoryRecord

NOON_MS = epoch_ms(NOON)


class World:
    """Store, scorer and queries of a stage; remembers what each was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[str], int | None, int]] = []
        self.known: set[str] = set()
        self.scored: list[tuple[list[str], list[str]]] = []
        self.matched: list[tuple[list[str], ...]] = []
        self.meanwhile: Any = lambda: None
        self.failure: Exception | None = None
        self.unscored: dict[int, Unscored] = {}
        self.names = ("all", "trains")
        self.digest = "d1"
        self.budget = PostBudget(10)
        self.tools = StepTools(
            store=cast(Any, self), sink=ListSink(), scorer=cast(Any, self), budget=self.budget,
            matcher=lambda: cast(Any, self), windows=WindowSettings(allowed_lateness_s=30),
            max_message_bytes=1_000, clock=ManualClock(NOON), metrics=Metrics(),
        )  # fmt: skip
        self.posts, self.post_events = make_chains(self.tools)

    async def prepare(
        self, chain: Chain, records: Sequence[MemoryRecord], position: PartitionPosition
    ) -> PostBatch:
        batch = PostBatch(position, records)
        await chain.prepare(batch, _at_once)
        return batch

    async def seen(
        self, partition: int, lookups: Sequence[Any], first: int | None = None, applied: int = -1
    ) -> list[bool]:
        self.asked.append((partition, [one[0] for one in lookups], first, applied))
        answer = [one[0] in self.known for one in lookups]
        self.meanwhile()
        return answer

    async def score(self, texts: Sequence[str], langs: Sequence[str]) -> Scored:
        assert self.budget.in_use == len(texts)
        if self.failure is not None:
            raise self.failure
        self.scored.append((list(texts), list(langs)))
        size = len(texts)
        heads = {name: np.zeros((size, len(labels)), np.float32) for name, labels in HEADS.items()}
        kept = [row for row in range(size) if row not in self.unscored]
        heads = {name: values[kept] for name, values in heads.items()}
        return Scored(ScoreBatch("m-1", np.ones(len(kept), bool), heads), self.unscored)

    def match_batch(self, *columns: Sequence[str]) -> list[tuple[int, ...]]:
        self.matched.append(tuple(list(column) for column in columns))
        return [(0, 1) if "train" in text else (0,) for text in columns[0]]


async def _at_once(attempt: Callable[[], Awaitable[None]]) -> None:
    await attempt()


def _position(topic: str = POSTS, partition: int = 0, cursor: int = 39) -> PartitionPosition:
    return PartitionPosition(topic, partition, cursor, PartitionWatermark(30_000))


@pytest.fixture
def world() -> World:
    return World()


def _records(*values: Any, first: int = 40) -> list[MemoryRecord]:
    return [
        MemoryRecord(first + i, value if isinstance(value, bytes) else encode(value))
        for i, value in enumerate(values)
    ]


async def test_posts_are_asked_for_scored_and_matched_with_their_own_columns(
    world: World,
) -> None:
    position = _position(partition=3)
    posts = [make_post(1, text="trains\x00"), make_post(2, text="bus", lang="de", author="ben")]
    batch = await world.prepare(world.posts, _records(*posts, b"{"), position)
    assert (batch.apply.expected, batch.apply.new) == (39, 42)
    assert batch.apply.watermark_ms == position.watermark.value_ms == NOON_MS + 2_000 - 30_000
    ((partition, ids, first, applied),) = world.asked
    assert (partition, len(ids), first, applied) == (3, 2, 40, 39)
    await world.posts.work(batch)
    assert world.scored == [(["trains ", "bus"], ["en", "de"])]
    assert world.matched == [
        (["trains ", "bus"], [posts[0].author, "ben"], ["en", "de"], ["synthetic"] * 2, [None] * 2)
    ]
    assert batch.apply.totals["counted"] == 2
    assert [dead.reason for dead in batch.dead] == [reasons.NOT_JSON]
    assert world.budget.in_use == 0


async def test_a_post_in_flight_is_no_other_until_its_batch_is_done(world: World) -> None:
    position = _position()
    first = await world.prepare(world.posts, _records(make_post(1), make_post(2)), position)
    copy = await world.prepare(world.posts, _records(make_post(1), first=42), position)
    await world.posts.work(copy)
    assert [dead.reason for dead in copy.dead] == [reasons.DUPLICATE]
    assert len(world.scored) == 0, "nothing is scored of copies"
    world.posts.release(copy)
    again = await world.prepare(world.posts, _records(make_post(2), first=43), position)
    assert len(again.dead) == 1
    world.posts.release(first)
    later = await world.prepare(world.posts, _records(make_post(1), first=44), position)
    await world.posts.work(later)
    assert later.apply.totals["counted"] == 1


async def test_a_post_whose_original_is_applied_while_the_store_answers_is_a_copy(
    world: World,
) -> None:
    position = _position()
    first = await world.prepare(world.posts, _records(make_post(1)), position)
    world.meanwhile = lambda: world.posts.release(first)
    copy = await world.prepare(world.posts, _records(make_post(1), first=41), position)
    assert len(copy.dead) == 1


async def test_a_post_without_scores_is_no_more_in_flight_when_its_batch_is_done(
    world: World,
) -> None:
    position = _position()
    batch = await world.prepare(world.posts, _records(make_post(1), make_post(2)), position)
    world.unscored = {0: REFUSED}
    await world.posts.work(batch)
    assert len(position.ids_in_flight) == 2
    world.posts.release(batch)
    assert position.ids_in_flight == set()


async def test_a_flow_that_begins_anew_takes_nothing_for_in_flight(world: World) -> None:
    before, after = _position(), _position()
    old = await world.prepare(world.posts, _records(make_post(1)), before)
    new = await world.prepare(world.posts, _records(make_post(1)), after)
    await world.posts.work(new)
    assert new.apply.totals["counted"] == 1
    world.posts.release(old)
    copy = await world.prepare(world.posts, _records(make_post(1), first=41), after)
    assert len(copy.dead) == 1


async def test_heartbeats_are_set_apart_from_the_queries_of_people(world: World) -> None:
    records = _records(make_post(1, text="bus"), make_post(9, source=heartbeat.SOURCE))
    batch = await world.prepare(world.posts, records, _position())
    await world.posts.work(batch)
    found = {query for increments in batch.apply.panes.values() for query, *_ in increments}
    assert found == {"all", heartbeat.QUERY}
    assert (batch.apply.totals["counted"], batch.apply.totals[heartbeat.TOTAL]) == (1, 1)


async def test_edits_are_scored_clean_and_matched_and_other_events_are_not(world: World) -> None:
    position = _position(POST_EVENTS, 3)
    edit = make_event("edit", 2, text="trains\x00", lang="de", author="ben")
    records = _records(make_event("delete", 1), edit, make_event("like", 3), b"{")
    batch = await world.prepare(world.post_events, records, position)
    assert (batch.apply.expected, batch.apply.new, batch.apply.watermark_ms) == (39, 43, -1)
    assert position.watermark.value_ms == -1
    await world.post_events.work(batch)
    assert world.scored == [(["trains "], ["de"])]
    assert world.matched == [(["trains "], ["ben"], ["de"], ["synthetic"], [None])]
    assert len(batch.apply.operations) == 2
    assert len(batch.dead) == 1
    assert world.asked == []
    world.post_events.release(batch)


async def test_events_without_edits_ask_neither_model_nor_queries(world: World) -> None:
    records = _records(make_event("delete", 1))
    batch = await world.prepare(world.post_events, records, _position(POST_EVENTS, 3))
    held = await world.budget.acquire(10)
    async with asyncio.timeout(60):
        await world.post_events.work(batch)
    world.budget.release(held)
    assert (world.scored, world.matched) == ([], [])
    assert len(batch.apply.operations) == 1


async def test_a_post_larger_than_a_message_may_be_is_dead(world: World) -> None:
    large = make_post(1, text="x" * 1_000)
    records = _records(large, make_post(2, claimed_at=NOON + timedelta(seconds=1)))
    batch = await world.prepare(world.posts, records, _position())
    await world.posts.work(batch)
    assert [dead.reason for dead in batch.dead] == [reasons.TOO_LARGE]
    assert batch.apply.totals["counted"] == 1


async def test_what_scoring_held_of_the_budget_is_given_back_also_when_it_fails(
    world: World,
) -> None:
    world.failure = ValueError("a mistake")
    batch = await world.prepare(world.posts, _records(make_post(1), make_post(2)), _position())
    with pytest.raises(ValueError, match="a mistake"):
        await world.posts.work(batch)
    assert world.budget.in_use == 0


async def test_the_time_of_every_step_is_taken(world: World) -> None:
    batch = await world.prepare(world.posts, _records(make_post(1)), _position())
    await world.posts.work(batch)
    for step in ("decode_posts", "deduplicate", "score", "match", "count", "render"):
        labels = {"topic": POSTS, "step": step}
        value = world.tools.metrics.registry.get_sample_value(
            "groundswell_step_seconds_total", labels
        )
        assert value is not None, step
        assert value > 0, step
