"""A partition with posts, edits and deletions, and the plain program that its windows must equal.

The topics are lists; what was counted is kept post by post, so that nothing here adds up anything
but `count_plainly`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.codec import encode
from core.heads import HEADS
from core.schemas import PostEvent, ScoredPost
from core.settings import Settings
from services.kafka_client.messages import Record
from services.repair.history import contributions
from services.repair.run import Repair, Repaired, Wanted
from stream.store.ids import decimal, id_hash, kept_shard, lookup
from stream.store.increments import DELETED, ApplyBatch, CountedPost, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import (
    POST_EVENTS,
    POSTS,
    SCORED_POSTS,
    SOURCE_OFFSET_HEADER,
    SOURCE_TOPIC_HEADER,
)
from stream.windows.layout import named
from testkit.stream import count_plainly

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START_S = epoch_ms(START) // 1000
HOUR = START_S // 3600
PANE_S = 60
SETTINGS = Settings()
HORIZONS = Horizons.of(SETTINGS.windows, SETTINGS.worker)


def _scores(seed: str) -> dict[str, list[int]]:
    digest = blake2b(seed.encode(), digest_size=32).digest()
    found: dict[str, list[int]] = {}
    for head in ("sentiment", "emotion"):
        found[head] = [digest[i] * 1_001 for i in range(len(HEADS[head]))]
    return found


@dataclass
class World:
    """One partition: what was applied, and the topics that it came from.

    Attributes:
        standing: Id -> what it says now.
        ahead: Id -> what an edit made of a post that is still to come.
        applied: The batches, in order.
        records: Topic -> its records of this partition.
    """

    store: RedisStore
    partition: int
    posts: list[ScoredPost] = field(default_factory=list)
    standing: dict[str, ScoredPost] = field(default_factory=dict)
    ahead: dict[str, ScoredPost] = field(default_factory=dict)
    events: int = 0
    applied: list[ApplyBatch] = field(default_factory=list)
    records: dict[str, list[Record]] = field(
        default_factory=lambda: {SCORED_POSTS: [], POST_EVENTS: [], POSTS: []}
    )

    async def post(self, count: int = 6) -> None:
        """Count posts in two panes, for two queries."""
        batch = ApplyBatch(POSTS, len(self.posts) - 1, len(self.posts) - 1 + count)
        for _ in range(count):
            self._add(batch, len(self.posts))
        await self._apply(batch)

    async def _apply(self, batch: ApplyBatch) -> None:
        await self.store.apply(self.partition, batch)
        self.applied.append(batch)

    def _add(self, batch: ApplyBatch, number: int) -> None:
        at = START + timedelta(seconds=PANE_S * (number % 2) + number % 50)
        start = START + timedelta(seconds=PANE_S * (number % 2))
        queries = ["all", "rail"] if number % 3 else ["all"]
        post = ScoredPost(
            id=str(number), source="s", author=f"author {self.partition}-{number % 4}",
            event_at=at, claimed_at=at, ingested_at=at, model_version="m", rated=number % 5 > 0,
            scores=_scores(f"{self.partition} {number}"), queries=queries, pane_start=start,
            stratum=f"s|{'en' if number % 2 else 'de'}|none",
        )  # fmt: skip
        self.posts.append(post)
        self.standing[post.id] = post
        if post.id in self.ahead:
            said = self.ahead.pop(post.id)
            self.standing[post.id] = msgspec.structs.replace(
                said, edit=False, pane_start=post.pane_start, event_at=post.event_at
            )
        self._record(SCORED_POSTS, encode(post), POSTS, number)
        self.records[POSTS].append(Record(self.partition, number, None, b"{}"))
        (one,) = contributions([(post, post)])
        hashed = id_hash("s", post.id)
        _, shard, _ = lookup(hashed, (HOUR,))
        batch.seen.setdefault((HOUR, shard), []).append(decimal(hashed))
        batch.kept.setdefault(kept_shard(hashed), []).extend((hashed, one.packed()))
        batch.watermark_ms = max(batch.watermark_ms, epoch_ms(at))
        batch.totals["counted"] = batch.totals.get("counted", 0) + 1
        increments = batch.panes.setdefault(one.start_s, [])
        for query in one.queries:
            strata = {one.stratum: one.counters[:4]}
            increments.append((query, one.counters, strata, [f"s:{post.author}"]))

    async def delete(self, *numbers: int) -> None:
        """Delete posts, also such as are still to come."""
        await self._happens([(n, "delete") for n in numbers])

    async def edit(self, *numbers: int) -> None:
        """Edit posts, also such as are still to come."""
        await self._happens([(n, "edit") for n in numbers])

    async def _happens(self, events: list[tuple[int, str]]) -> None:
        batch = ApplyBatch(POST_EVENTS, self.events - 1, self.events - 1 + len(events))
        batch.told_ms = epoch_ms(START) + 1_000
        for number, kind in events:
            batch.operations.append((id_hash("s", str(number)), self._event(number, kind)))
        await self._apply(batch)

    def _event(self, number: int, kind: str) -> bytes:
        event = PostEvent(
            kind="delete" if kind == "delete" else "edit", post_id=str(number), source="s",
            author="a", ingested_at=START + timedelta(seconds=1),
            text="x" if kind == "edit" else None,
        )  # fmt: skip
        offset, self.events = self.events, self.events + 1
        self.records[POST_EVENTS].append(Record(self.partition, offset, None, encode(event)))
        known = self.standing.get(str(number))
        if kind == "delete":
            self.standing.pop(str(number), None)
            return DELETED
        said = msgspec.structs.replace(
            known or self.posts[0],
            id=str(number), scores=_scores(f"edit {number} {offset}"), edit=True,
        )  # fmt: skip
        if known is not None:
            self.standing[str(number)] = msgspec.structs.replace(said, edit=False)
        elif number >= len(self.posts):
            self.ahead[str(number)] = said
        without_pane = msgspec.structs.replace(said, pane_start=None)
        self._record(SCORED_POSTS, encode(without_pane), POST_EVENTS, offset)
        (one,) = contributions([(said, said)])
        return CountedPost(0, one.stratum, one.counters, one.queries).packed()

    def _record(self, topic: str, value: bytes, source: str, offset: int) -> None:
        headers = ((SOURCE_TOPIC_HEADER, source.encode()), (SOURCE_OFFSET_HEADER, b"%d" % offset))
        listed = self.records[topic]
        listed.append(Record(self.partition, len(listed), None, value, headers))


@dataclass
class Worlds:
    """Two partitions of one store."""

    store: RedisStore
    parts: list[World] = field(default_factory=list)

    @classmethod
    async def made(cls, store: RedisStore) -> "Worlds":
        """Return two partitions with posts, an edit, deletions and what is ahead of its post."""
        worlds = cls(store, [World(store, 0), World(store, 1)])
        for part in worlds.parts:
            await part.post()
            await part.edit(1, 13)
            await part.delete(2)
            await part.post()
        await store.close_through([0, 1], START_S + 2 * PANE_S)
        return worlds

    def plain(self) -> dict[tuple[str, int], dict[str, int]]:
        """Return what the plain program says: (query, start) -> counters that are not zero."""
        total: dict[tuple[str, int], dict[str, int]] = {}
        for part in self.parts:
            for place, counters in count_plainly(part.standing.values()).items():
                into = total.setdefault(place, {})
                for name, value in counters.items():
                    into[name] = into.get(name, 0) + value
        return {place: _nonzero(counters) for place, counters in total.items()}

    async def stored(self) -> dict[tuple[str, int], dict[str, int]]:
        """Return what readers are shown."""
        starts = [START_S, START_S + PANE_S]
        panes = (await self.store.read_panes([0, 1], starts)).panes
        return {
            (query, start): _nonzero(named(content.counters))
            for start, pane in panes.items()
            for query, content in pane.items()
            if any(content.counters)
        }

    async def repair(self, partition: int | None = None, **wanted: object) -> Repaired:
        """Run the repair over the topics of these partitions."""

        def read(topic: str, number: int | None) -> Iterator[Record]:
            for part in self.parts:
                if number in (None, part.partition):
                    yield from part.records.get(topic, ())

        def ends(number: int) -> dict[str, int]:
            part = self.parts[number]
            return {POSTS: len(part.posts), POST_EVENTS: part.events}

        asked = Wanted(partition, **wanted)  # type: ignore[arg-type]
        return await Repair(self.store, SETTINGS, asked, read, ends).run()


def _nonzero(counters: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in counters.items() if value}


def minute(number: int) -> datetime:
    """Return the start of a pane."""
    return from_epoch_ms((START_S + number * PANE_S) * 1000)
