"""The two stages by themselves: what they ask, hold, score and give back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pytest

from core import reasons
from core.clock import epoch_ms
from core.codec import encode
from core.heads import HEADS
from core.ports import ScoreBatch
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.increments import ApplyBatch
from stream.topics import POST_EVENTS, POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batching import PostBudget
from stream.worker.pipeline import Pipeline
from stream.worker.scoring import Scored
from stream.worker.stages import EventsStage, PostsStage, StageParts
from testkit.builders import NOON, make_event, make_post
from testkit.stream import MemoryRecord

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
        self.names = ("all", "trains")
        self.budget = PostBudget(10)
        self.parts = StageParts(
            pipeline=Pipeline(WindowSettings(allowed_lateness_s=30)), store=cast(Any, self),
            scorer=cast(Any, self), budget=self.budget, matcher=lambda: cast(Any, self),
            max_message_bytes=1_000,
        )  # fmt: skip

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
        return Scored(ScoreBatch("m-1", np.ones(size, bool), heads), {})

    def match_batch(self, *columns: Sequence[str]) -> list[tuple[int, ...]]:
        self.matched.append(tuple(list(column) for column in columns))
        return [(0, 1) if "train" in text else (0,) for text in columns[0]]


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
    stage, watermark = PostsStage(world.parts), PartitionWatermark(30_000)
    posts = [make_post(1, text="trains\x00"), make_post(2, text="bus", lang="de", author="ben")]
    prepared = await stage.prepare(3, _records(*posts, b"{"), watermark, 39)
    assert (prepared.first, prepared.last) == (40, 42)
    assert prepared.watermark_ms == watermark.value_ms == NOON_MS + 2_000 - 30_000
    ((partition, ids, first, applied),) = world.asked
    assert (partition, len(ids), first, applied) == (3, 2, 40, 39)
    outcome = await prepared.finish(ApplyBatch(POSTS, 39, 42))
    assert world.scored == [(["trains ", "bus"], ["en", "de"])]
    assert world.matched == [
        (["trains ", "bus"], [posts[0].author, "ben"], ["en", "de"], ["synthetic"] * 2, [None] * 2)
    ]
    assert outcome.counted == 2
    assert [letter.reason for letter in outcome.dead] == [reasons.NOT_JSON]
    assert world.budget.in_use == 0


async def test_a_post_in_flight_is_no_other_until_its_batch_is_done(world: World) -> None:
    stage, watermark = PostsStage(world.parts), PartitionWatermark(30_000)
    first = await stage.prepare(0, _records(make_post(1), make_post(2)), watermark, 39)
    copy = await stage.prepare(0, _records(make_post(1), first=42), watermark, 39)
    outcome = await copy.finish(ApplyBatch(POSTS, 41, 42))
    assert [letter.reason for letter in outcome.dead] == [reasons.DUPLICATE]
    assert len(world.scored) == 0, "nothing is scored of copies"
    copy.release()
    again = await stage.prepare(0, _records(make_post(2), first=43), watermark, 39)
    assert len((await again.finish(ApplyBatch(POSTS, 42, 43))).dead) == 1
    first.release()
    later = await stage.prepare(0, _records(make_post(1), first=44), watermark, 39)
    assert (await later.finish(ApplyBatch(POSTS, 43, 44))).counted == 1


async def test_a_post_whose_original_is_applied_while_the_store_answers_is_a_copy(
    world: World,
) -> None:
    stage, watermark = PostsStage(world.parts), PartitionWatermark(30_000)
    first = await stage.prepare(0, _records(make_post(1)), watermark, 39)
    world.meanwhile = first.release
    copy = await stage.prepare(0, _records(make_post(1), first=41), watermark, 39)
    assert len((await copy.finish(ApplyBatch(POSTS, 40, 41))).dead) == 1


async def test_a_stage_that_begins_anew_takes_nothing_for_in_flight(world: World) -> None:
    stage, watermark = PostsStage(world.parts), PartitionWatermark(30_000)
    old = await stage.prepare(0, _records(make_post(1)), watermark, 39)
    stage.reset()
    new = await stage.prepare(0, _records(make_post(1)), watermark, 39)
    assert (await new.finish(ApplyBatch(POSTS, 39, 40))).counted == 1
    old.release()
    copy = await stage.prepare(0, _records(make_post(1), first=41), watermark, 39)
    assert len((await copy.finish(ApplyBatch(POSTS, 40, 41))).dead) == 1


async def test_heartbeats_are_set_apart_from_the_queries_of_people(world: World) -> None:
    stage, watermark = PostsStage(world.parts), PartitionWatermark(30_000)
    beat = make_post(9, source=heartbeat.SOURCE)
    prepared = await stage.prepare(0, _records(make_post(1, text="bus"), beat), watermark, 39)
    outcome = await prepared.finish(ApplyBatch(POSTS, 39, 41))
    found = {query for increments in outcome.apply.panes.values() for query, *_ in increments}
    assert found == {"all", heartbeat.QUERY}
    assert (outcome.counted, outcome.heartbeats) == (1, 1)


async def test_edits_are_scored_clean_and_matched_and_other_events_are_not(world: World) -> None:
    stage, watermark = EventsStage(world.parts), PartitionWatermark(30_000)
    edit = make_event("edit", 2, text="trains\x00", lang="de", author="ben")
    records = _records(make_event("delete", 1), edit, make_event("like", 3), b"{")
    prepared = await stage.prepare(3, records, watermark, 39)
    assert (prepared.first, prepared.last, prepared.watermark_ms) == (40, 43, -1)
    assert watermark.value_ms == -1
    outcome = await prepared.finish(ApplyBatch(POST_EVENTS, 39, 43))
    assert world.scored == [(["trains "], ["de"])]
    assert world.matched == [(["trains "], ["ben"], ["de"], ["synthetic"], [None])]
    assert len(outcome.apply.operations) == 2
    assert len(outcome.dead) == 1
    assert world.asked == []
    prepared.release()
    stage.reset()


async def test_events_without_edits_ask_neither_model_nor_queries(world: World) -> None:
    stage = EventsStage(world.parts)
    records = _records(make_event("delete", 1))
    prepared = await stage.prepare(3, records, PartitionWatermark(30_000), 39)
    outcome = await prepared.finish(ApplyBatch(POST_EVENTS, 39, 40))
    assert (world.scored, world.matched) == ([], [])
    assert len(outcome.apply.operations) == 1


async def test_a_batch_larger_than_a_message_may_be_is_a_letter(world: World) -> None:
    large = make_post(1, text="x" * 1_000)
    prepared = await PostsStage(world.parts).prepare(
        0, _records(large, make_post(2, claimed_at=NOON + timedelta(seconds=1))),
        PartitionWatermark(30_000), 39,
    )  # fmt: skip
    outcome = await prepared.finish(ApplyBatch(POSTS, 39, 41))
    assert [letter.reason for letter in outcome.dead] == [reasons.TOO_LARGE]
    assert outcome.counted == 1


async def test_what_scoring_held_of_the_budget_is_given_back_also_when_it_fails(
    world: World,
) -> None:
    world.failure = ValueError("a mistake")
    with pytest.raises(ValueError, match="a mistake"):
        await world.parts.score(["a", "b"], ["en", "en"])
    assert world.budget.in_use == 0
    held = await world.budget.acquire(10)
    async with asyncio.timeout(60):
        assert await world.parts.score([], []) == Scored(None, {})
    world.budget.release(held)
