"""The two stages of a flow: posts, and what happens to posts.

A stage joins the pure steps of a pipeline to scorer, matcher and the store's memory of ids.
`prepare` runs in order, one batch at a time; `finish` runs beside others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.clock import Clock, SystemClock, epoch_ms
from core.codec import RecordDecoder
from core.schemas import Post, PostEvent
from core.text import clean_text
from stream import heartbeat
from stream.store.increments import ApplyBatch
from stream.windows.watermark import PartitionWatermark
from stream.worker.batching import PostBudget
from stream.worker.event_steps import events_outcome
from stream.worker.intake import (
    AcceptedEvents,
    AcceptedPosts,
    RawRecord,
    accept_events,
    accept_posts,
)
from stream.worker.pipeline import Matcher, Outcome, Pipeline
from stream.worker.ports import Prepared, Store
from stream.worker.scoring import PatientScorer, Scored


@dataclass(frozen=True, slots=True)
class StageParts:
    """What the stages of a worker share.

    Attributes:
        pipeline: the pure steps.
        store: its memory of ids.
        scorer: scores texts, however long it takes.
        budget: how many posts may be in scoring at once.
        matcher: returns the matcher in use now; queries may be reloaded between batches.
        max_message_bytes: larger messages are dead-lettered unread.
        clock: Present time: what was ingested long after it is a dead letter.
    """

    pipeline: Pipeline
    store: Store
    scorer: PatientScorer
    budget: PostBudget
    matcher: Callable[[], Matcher]
    max_message_bytes: int
    clock: Clock = field(default_factory=SystemClock)

    async def score(self, texts: Sequence[str], langs: Sequence[str]) -> Scored:
        """Score inside the budget."""
        if not texts:
            return Scored(None, {})
        held = await self.budget.acquire(len(texts))
        try:
            return await self.scorer.score(texts, langs)
        finally:
            self.budget.release(held)


class PostsStage:
    """Stage of `posts`: copies are dropped before they are scored."""

    def __init__(self, parts: StageParts) -> None:
        self._parts = parts
        self._decoder = RecordDecoder(Post, parts.max_message_bytes)
        self._pending: set[bytes] = set()

    def reset(self) -> None:
        """Forget the ids in flight."""
        # A new set: batches that were cancelled still hold the old one.
        self._pending = set()

    async def prepare(
        self,
        partition: int,
        records: Sequence[RawRecord],
        watermark: PartitionWatermark,
        applied: int,
    ) -> Prepared:
        """Decode and look ids up; changes nothing of its own before the store has answered."""
        parts, pending = self._parts, self._pending
        run = accept_posts(records, self._decoder, epoch_ms(parts.clock.now()))
        # A worker that lost the partition without knowing may hold records that its successor has
        # counted, and a store that went back in time does not know what was. It is refused here:
        # its apply would be too, but only after posts had been called copies in dead letters, or
        # copies scored as posts.
        lookups = parts.pipeline.lookups(run)
        # Before the store is asked: a batch in flight may be applied after the store has answered
        # and be gone from the pending ones before the answer is read.
        in_flight = [hashed in pending for hashed in run.id_hashes]
        counted = await parts.store.seen(partition, lookups, records[0].offset, applied)
        seen = [one or other for one, other in zip(counted, in_flight, strict=True)]
        parts.pipeline.drop_unwanted(run, seen, pending, watermark.value_ms)
        beats = heartbeat.advance(run, watermark)
        hashes = list(run.id_hashes)
        matcher = parts.matcher()
        return Prepared(
            first=records[0].offset,
            last=records[-1].offset,
            watermark_ms=watermark.value_ms,
            finish=lambda apply: self._finish(run, matcher, beats, apply),
            release=lambda: pending.difference_update(hashes),
        )

    async def _finish(
        self, run: AcceptedPosts, matcher: Matcher, beats: Mapping[int, bool], apply: ApplyBatch
    ) -> Outcome:
        parts = self._parts
        langs = [post.lang for post in run.posts]
        scored = await parts.score(run.texts, langs)
        matches = matcher.match_batch(
            run.texts,
            [post.author for post in run.posts],
            langs,
            [post.source for post in run.posts],
            [post.attached for post in run.posts],
        )
        names = matcher.names
        if beats:
            matches, names = heartbeat.set_apart(matches, names, beats)
        return parts.pipeline.posts_outcome(run, matches, names, scored, apply)


class EventsStage:
    """Stage of `post-events`: edits are scored again, deletions go straight to the store."""

    def __init__(self, parts: StageParts) -> None:
        self._parts = parts
        self._decoder = RecordDecoder(PostEvent, parts.max_message_bytes)

    def reset(self) -> None:
        """Nothing is held between batches."""

    async def prepare(
        self,
        partition: int,
        records: Sequence[RawRecord],
        watermark: PartitionWatermark,
        applied: int,
    ) -> Prepared:
        """Decode; events move no watermark, as an event is not a post."""
        del partition, watermark, applied
        now_ms = epoch_ms(self._parts.clock.now())
        run = accept_events(records, self._decoder, now_ms)
        matcher = self._parts.matcher()
        return Prepared(
            first=records[0].offset,
            last=records[-1].offset,
            watermark_ms=-1,
            finish=lambda apply: self._finish(run, matcher, apply),
            release=lambda: None,
        )

    async def _finish(self, run: AcceptedEvents, matcher: Matcher, apply: ApplyBatch) -> Outcome:
        parts = self._parts
        edits = [event for event in run.events if event.kind == "edit"]
        texts = [clean_text(event.text or "")[0] for event in edits]
        langs = [event.lang for event in edits]
        scored = await parts.score(texts, langs)
        matches = (
            matcher.match_batch(
                texts,
                [event.author for event in edits],
                langs,
                [event.source for event in edits],
                [event.attached for event in edits],
            )
            if edits
            else []
        )
        return events_outcome(run, matches, matcher.names, scored, apply, parts.pipeline.fold)
