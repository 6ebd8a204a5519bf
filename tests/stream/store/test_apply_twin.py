"""`apply.lua` against a slow, obvious twin in Python, over random histories of one partition."""

import asyncio
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CursorConflict
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.increments import DELETED, ApplyBatch, CountedPost, Horizons
from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.windows.records import PaneSum
from tests.stream.store.servers import raw_client, with_database

pytestmark = pytest.mark.integration

DATABASE = 7
HOUR = 3_600
HORIZONS = Horizons(pane_s=600, retention_s=HOUR, kept_horizon_s=HOUR, seen_horizon_s=2 * HOUR)
NOON = 1_772_366_400


@dataclass(frozen=True)
class Said:
    """What a post says, or what an edit makes of it."""

    stratum: str
    counters: tuple[int, ...]
    queries: tuple[str, ...]


@dataclass(frozen=True)
class FakePost:
    number: int
    start_s: int
    author: str
    said: Said


@dataclass
class Twin:
    """The state of a partition, post by post; no grouping, no packing, no shards."""

    cursors: dict[str, int] = field(default_factory=lambda: {POSTS: -1, POST_EVENTS: -1})
    watermark_ms: int = -1
    closed_s: int = -1
    forgotten_s: int = -1
    totals: dict[str, int] = field(default_factory=dict)
    panes: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    strata: dict[tuple[int, str, str], list[int]] = field(default_factory=dict)
    authors: dict[tuple[int, str], set[str]] = field(default_factory=dict)
    dirty: dict[int, str] = field(default_factory=dict)
    seen: dict[int, set[int]] = field(default_factory=dict)
    kept: dict[int, dict[int, FakePost]] = field(default_factory=dict)
    ahead: dict[int, tuple[Said | None, int]] = field(default_factory=dict)

    def apply_posts(self, new: int, watermark_ms: int, posts: list[FakePost]) -> None:
        self.watermark_ms = max(self.watermark_ms, watermark_ms)
        mark = f"{POSTS}:{new}"
        for post in posts:
            self.panes.setdefault(post.start_s, {})
            self._count(post, 1, mark)
            for query in post.said.queries:
                self.authors.setdefault((post.start_s, query), set()).add(post.author)
            self.seen.setdefault(post.start_s // HOUR, set()).add(post.number)
        for post in posts:
            self.kept.setdefault(self._hour(), {})[post.number] = post
            if post.number in self.ahead:
                said, _ = self.ahead.pop(post.number)
                self._operate(post.number, said, mark)
        self._add("counted", len(posts))
        self._finish(POSTS, new)

    def apply_events(self, new: int, operations: list[tuple[int, Said | None]]) -> None:
        for number, said in operations:
            self._operate(number, said, f"{POST_EVENTS}:{new}")
        self._finish(POST_EVENTS, new)

    def close_through(self, start_s: int) -> None:
        if start_s > self.closed_s:
            for start in self.panes:
                if self.closed_s <= start < start_s:
                    self.dirty[start] = "closed"
            self.closed_s = start_s

    def _hour(self) -> int:
        return max(self.watermark_ms, 0) // 1000 // HOUR

    def _add(self, total: str, count: int) -> None:
        if count:
            self.totals[total] = self.totals.get(total, 0) + count

    def _count(self, post: FakePost, sign: int, mark: str) -> None:
        for query in post.said.queries:
            total = self.panes[post.start_s].setdefault(query, [0] * len(post.said.counters))
            for i, value in enumerate(post.said.counters):
                total[i] += sign * value
            row = self.strata.setdefault((post.start_s, query, post.said.stratum), [0] * 4)
            for i in range(4):
                row[i] += sign * post.said.counters[i]
            if row[0] == 0:
                del self.strata[post.start_s, query, post.said.stratum]
        if post.start_s < self.closed_s:
            self.dirty[post.start_s] = mark

    def _operate(self, number: int, said: Said | None, mark: str) -> None:
        """Delete (None) or edit a post; one that is not there yet is met later."""
        for hour in sorted(self.kept, reverse=True):
            if number in self.kept[hour]:
                post = self.kept[hour][number]
                if said is None:
                    del self.kept[hour][number]
                if post.start_s in self.panes:
                    self._count(post, -1, mark)
                    if said is not None:
                        edited = replace(post, said=said)
                        self._count(edited, 1, mark)
                        self.kept[hour][number] = edited
                    self._add("removed" if said is None else "edited", 1)
                return
        if said is None or self.ahead.get(number, (said, 0))[0] is not None:
            self.ahead[number] = (said, self._hour())

    def _finish(self, topic: str, new: int) -> None:
        now_s = self.watermark_ms // 1000
        for start in sorted(self.panes)[:8]:
            is_old = start <= now_s - HORIZONS.retention_s - HORIZONS.pane_s
            if not is_old or start >= self.closed_s or start in self.dirty:
                break
            del self.panes[start]
            self.strata = {k: v for k, v in self.strata.items() if k[0] != start}
            self.authors = {k: v for k, v in self.authors.items() if k[0] != start}
            self.forgotten_s = start
        for hours, horizon_s in (
            (self.seen, HORIZONS.seen_horizon_s),
            (self.kept, HORIZONS.kept_horizon_s),
        ):
            old = [hour for hour in sorted(hours) if hour < (now_s - horizon_s) // HOUR]
            for hour in old[:1]:
                del hours[hour]
        limit = (now_s - HORIZONS.kept_horizon_s) // HOUR
        self.ahead = {k: v for k, v in self.ahead.items() if v[1] >= limit}
        self.cursors[topic] = new

    def pane(self, start: int) -> dict[str, PaneSum]:
        return {
            query: PaneSum(
                counters,
                {s: row for (at, q, s), row in self.strata.items() if (at, q) == (start, query)},
                len(self.authors.get((start, query), ())),
            )
            for query, counters in self.panes[start].items()
        }


def _hash(number: int) -> bytes:
    return blake2b(b"%d" % number, digest_size=8).digest()


def _decimal(number: int) -> str:
    return str(int.from_bytes(_hash(number), "big", signed=True))


def _seen_shard(number: int) -> int:
    return int.from_bytes(_hash(number)[2:4], "big") % SEEN_SHARDS


def posts_batch(expected: int, watermark_ms: int, posts: list[FakePost]) -> ApplyBatch:
    """Group posts as the pipeline does: one increment for a pane and query."""
    batch = ApplyBatch(POSTS, expected, expected + len(posts), watermark_ms)
    batch.totals["counted"] = len(posts)
    groups: dict[tuple[int, str], list[FakePost]] = {}
    for post in posts:
        hour = post.start_s // HOUR
        shard = int.from_bytes(_hash(post.number)[:2], "big") % KEPT_SHARDS
        contribution = CountedPost(
            post.start_s, post.said.stratum, list(post.said.counters), list(post.said.queries)
        )
        batch.seen.setdefault((hour, _seen_shard(post.number)), []).append(_decimal(post.number))
        batch.kept.setdefault(shard, []).extend((_hash(post.number), contribution.packed()))
        for query in post.said.queries:
            groups.setdefault((post.start_s, query), []).append(post)
    for (start, query), some in groups.items():
        strata: dict[str, list[int]] = {}
        for post in some:
            row = strata.setdefault(post.said.stratum, [0] * 4)
            strata[post.said.stratum] = [
                a + b for a, b in zip(row, post.said.counters, strict=False)
            ]
        counters = [sum(column) for column in zip(*(p.said.counters for p in some), strict=True)]
        authors = [post.author for post in some]
        batch.panes.setdefault(start, []).append((query, counters, strata, authors))
    return batch


def events_batch(expected: int, operations: list[tuple[int, Said | None]]) -> ApplyBatch:
    batch = ApplyBatch(POST_EVENTS, expected, expected + len(operations))
    for number, said in operations:
        blob = DELETED
        if said is not None:
            blob = CountedPost(0, said.stratum, list(said.counters), list(said.queries)).packed()
        batch.operations.append((_hash(number), blob))
    return batch


saying = st.builds(
    Said,
    st.sampled_from(["s|en|none", "s|es|none", "t|en|none"]),
    st.tuples(
        st.just(1), st.sampled_from([0, 1]), st.integers(-(10**6), 10**6),
        st.integers(0, 10**6), st.integers(0, 10**6),
    ),
    st.sampled_from([("all",), ("all", "rail"), ("all", "rail", "a|b c")]),
)  # fmt: skip
posting = st.tuples(st.integers(0, 6), st.integers(0, 4), saying)
operation = st.tuples(st.integers(0, 12), st.none() | saying)
steps = st.lists(
    st.one_of(
        # how far time moves (minutes), posts (panes behind now, author, content)
        st.tuples(st.just("posts"), st.integers(0, 100), st.lists(posting, min_size=1, max_size=4)),
        st.tuples(st.just("events"), st.just(0), st.lists(operation, min_size=1, max_size=4)),
        st.tuples(st.just("close"), st.integers(0, 6), st.booleans()),
        st.tuples(st.just("conflict"), st.integers(1, 3), st.just([])),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, DATABASE)


@pytest.mark.slow
@settings(max_examples=150)
@given(steps)
def test_store_agrees_with_its_twin(url: str, history: list[tuple[str, int, Any]]) -> None:
    asyncio.run(_live(url, history))


@settings(max_examples=15)
@given(steps)
def test_cluster_agrees_with_the_twin(url: str, history: list[tuple[str, int, Any]]) -> None:
    asyncio.run(_live(url, history))


async def _live(url: str, history: list[tuple[str, int, Any]]) -> None:
    with raw_client(url) as client:
        client.flushdb()
    store, twin = RedisStore(RedisSettings(url=url), HORIZONS), Twin()
    now_s, next_number = NOON, 0
    try:
        for kind, number, detail in history:
            if kind == "posts":
                now_s += 60 * number
                posts = [
                    FakePost(
                        next_number + i,
                        (now_s // HORIZONS.pane_s - behind) * HORIZONS.pane_s,
                        f"author {author}",
                        said,
                    )
                    for i, (behind, author, said) in enumerate(detail)
                ]
                next_number += len(posts)
                # Another batch of late posts may come with a watermark behind the stored one.
                watermark_ms = (now_s - HORIZONS.pane_s * detail[0][0]) * 1000
                batch = posts_batch(twin.cursors[POSTS], watermark_ms, posts)
                applied = await store.apply(0, batch)
                before = dict(twin.totals)
                twin.apply_posts(batch.new, watermark_ms, posts)
                _assert_told(applied, before, twin)
            elif kind == "events":
                # Numbers around the newest: posts there were, are, and are still to come.
                operations = [(max(0, next_number + 4 - n), said) for n, said in detail]
                batch = events_batch(twin.cursors[POST_EVENTS], operations)
                applied = await store.apply(0, batch)
                before = dict(twin.totals)
                twin.apply_events(batch.new, operations)
                _assert_told(applied, before, twin)
            elif kind == "close":
                start_s = (now_s // HORIZONS.pane_s - number) * HORIZONS.pane_s
                await store.close_through([0], start_s)
                twin.close_through(start_s)
                if detail:  # published and clean
                    await store.clean(await store.dirty([0]))
                    twin.dirty.clear()
            else:
                batch = events_batch(twin.cursors[POST_EVENTS] + number, [(0, None)])
                with pytest.raises(CursorConflict) as conflict:
                    await store.apply(0, batch)
                assert conflict.value.stored == twin.cursors[POST_EVENTS]
            await _assert_equal(store, twin, next_number)
        _assert_nothing_left_behind(url, twin)
    finally:
        await store.close()


def _assert_nothing_left_behind(url: str, twin: Twin) -> None:
    """What was forgotten has no keys: memory is flat after the horizons."""
    with raw_client(url) as client:
        found = [key.decode().split(":") for key in client.scan_iter()]
    starts = {int(key[2]) for key in found if key[1] in ("pane", "strata", "authors")}
    assert starts <= set(twin.panes)
    for kind, hours in (("seen", twin.seen), ("kept", twin.kept)):
        assert {int(key[2]) for key in found if key[1] == kind} <= set(hours)
    if not twin.ahead:
        assert not [key for key in found if key[1].startswith("ahead")]


def _assert_told(applied: Any, before: dict[str, int], twin: Twin) -> None:
    assert applied.removed == twin.totals.get("removed", 0) - before.get("removed", 0)
    assert applied.edited == twin.totals.get("edited", 0) - before.get("edited", 0)


async def _assert_equal(store: RedisStore, twin: Twin, numbers: int) -> None:
    state = await store.partition_state(0)
    assert state.cursors == twin.cursors
    assert state.watermark_ms == twin.watermark_ms
    assert (state.closed_s, state.forgotten_s) == (twin.closed_s, twin.forgotten_s)
    assert state.totals == twin.totals
    starts = await store.pane_starts([0])
    assert starts == sorted(twin.panes)
    assert await store.panes([0], starts) == {start: twin.pane(start) for start in starts}
    dirty = {start: marks[0].decode() for start, marks in (await store.dirty([0])).items()}
    assert dirty == twin.dirty
    hours = list(range(NOON // HOUR - 2, NOON // HOUR + 30))
    lookups = [(_decimal(n), _seen_shard(n), hours) for n in range(numbers + 1)]
    seen = {n for n, was_seen in enumerate(await store.seen(0, lookups)) if was_seen}
    assert seen == {n for ids in twin.seen.values() for n in ids}
