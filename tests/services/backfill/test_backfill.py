"""A query that is given its past has what it would have had, whoever is killed meanwhile."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.settings import Settings
from services.backfill import partition as partition_module
from services.backfill.partition import OtherMeaning
from services.backfill.run import ADDING, CATCHING_UP, READING, Backfill, Past
from services.backfill.topics import PartitionTopics, Ranges
from stream.queries.catalog import Query
from stream.queries.grammar import parse
from stream.queries.matcher import Matcher
from stream.store.backfill import InTheWay, Moved, PastBatch
from testkit.builders import NOON, make_event, make_post
from tests.services.backfill.stream_with_a_new_query import LATE, OLD, WINDOWS, MemoryRange, World

DATABASES = (9, 10)
TEXTS = ("late again", "the flood", "trains", "late trains", "nothing", "")


class Killed(Exception):
    """Stands for SIGKILL: nothing after it is done."""


class PastThatIsKilled:
    """The store's side of a back-fill, which dies once before or behind a batch that it adds."""

    def __init__(self, past: Any, at: int, *, is_before: bool, meanwhile: Any = None) -> None:
        self._past, self._at, self._is_before = past, at, is_before
        self._meanwhile = meanwhile

    async def position(self, partition: int, query: str) -> Any:
        return await self._past.position(partition, query)

    async def add(self, partition: int, batch: PastBatch) -> int:
        self._at -= 1
        if self._meanwhile is not None and batch.posts:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile()
        if self._at == 0 and self._is_before:
            raise Killed
        added = await self._past.add(partition, batch)
        if self._at == 0:
            raise Killed
        return added


async def backfilled(world: World, query: Query = LATE) -> Past:
    clock = ManualClock(NOON)
    topics = {0: world.topics()}
    return await Backfill(query, Settings(), world.store, topics, clock).run()


@contextlib.contextmanager
def dies(world: World, at: int, *, is_before: bool, meanwhile: Any = None) -> Any:
    past = world.store.past
    world.store.past = PastThatIsKilled(past, at, is_before=is_before, meanwhile=meanwhile)  # type: ignore[assignment]
    try:
        with contextlib.suppress(Killed):
            yield
    finally:
        world.store.past = past


post = st.tuples(st.sampled_from(TEXTS), st.integers(0, 500), st.sampled_from(["en", "de"]))
event = st.tuples(
    st.sampled_from(["edit", "delete", "counts"]), st.integers(0, 45), st.sampled_from(TEXTS)
)


def posts_of(drawn: list[Any], first: int) -> list[Any]:
    return [
        make_post(
            first + number, text=text, lang=lang, claimed_at=NOON + timedelta(seconds=second)
        )
        for number, (text, second, lang) in enumerate(drawn)
    ]  # fmt: skip


def events_of(drawn: list[Any]) -> list[Any]:
    return [
        make_event(
            kind, number, ingested_at=NOON + timedelta(seconds=600), lang="en",
            text=text if kind == "edit" else None, likes=1 if kind == "counts" else None,
        )
        for kind, number, text in drawn
    ]  # fmt: skip


@settings(max_examples=15)
@given(
    past=st.lists(post, min_size=5, max_size=30), present=st.lists(post, max_size=15),
    before=st.lists(event, max_size=10), after=st.lists(event, max_size=10),
    kills=st.tuples(st.integers(1, 6), st.booleans(), st.integers(1, 6), st.booleans()),
    is_counted_again=st.booleans(),
)  # fmt: skip
def test_the_past_is_what_would_have_been_counted_whoever_is_killed(
    redis_server: Any, past: Any, present: Any, before: Any, after: Any, kills: Any,
    is_counted_again: bool,
) -> None:  # fmt: skip
    async def run() -> None:
        world = World(redis_server.url, DATABASES[0], [OLD])
        whole = World(redis_server.url, DATABASES[1], [LATE, OLD])
        first, second = posts_of(past, 0), posts_of(present, len(past))
        early, late = events_of(before), events_of(after)
        await whole.take(first, early)
        await whole.take(second, late)
        await world.take(first, early, seed=1)
        if is_counted_again:  # a worker that was killed before it applied: scored twice
            for one in list(world.scored):
                world.scored.append(
                    type(one)(0, len(world.scored), one.key, one.value, one.headers, 0)
                )
        world.matcher = Matcher([LATE, OLD])
        with dies(world, kills[0], is_before=kills[1]):
            await backfilled(world)

        async def meanwhile() -> None:
            await world.take(second, late, seed=2)

        with dies(world, kills[2], is_before=kills[3], meanwhile=meanwhile):
            await backfilled(world)
        if len(world.posts) < len(past) + len(present) or len(world.events) < len(early + late):
            await world.take(second, late, seed=2)
        await backfilled(world)
        assert await world.panes("late") == await whole.panes("late")
        assert await world.panes("old") == await whole.panes("old")
        assert (await backfilled(world)).total("added") == 0
        # What was added is taken back like anything else.
        gone = events_of([("delete", number, "") for number in range(len(past) + len(present))])
        await whole.take([], gone)
        await world.take([], gone)
        assert await world.panes("late") == await whole.panes("late")
        await world.store.close()
        await whole.store.close()

    asyncio.run(run())


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "AT_ONCE", 7)


@pytest.fixture(autouse=True)
def _small(small_batches: None) -> None:
    """Several batches of every partition."""


async def made(redis_server: Any, number: int = 20) -> World:
    world = World(redis_server.url, DATABASES[0], [OLD])
    await world.take([make_post(one, text="late") for one in range(number)], [])
    world.matcher = Matcher([LATE, OLD])
    return world


async def test_two_at_once_are_refused_and_add_nothing_twice(redis_server: Any) -> None:
    world = await made(redis_server)
    await asyncio.gather(backfilled(world), backfilled(world))
    assert sum(counters[0] for counters, _, _ in (await world.panes("late")).values()) == 20
    state = await world.store.past.position(0, "late")
    assert state is not None
    batch = PastBatch("late", None, state, [], -1, 99)
    with pytest.raises(Moved):
        await world.store.past.add(0, batch)
    await world.store.close()


async def test_a_zombies_scoring_after_the_fact_adds_nothing(redis_server: Any) -> None:
    world = await made(redis_server)
    await backfilled(world)
    one = world.scored[3]
    world.scored.append(type(one)(0, len(world.scored), one.key, one.value, one.headers, 0))
    assert (await backfilled(world)).total("added") == 0
    assert sum(counters[0] for counters, _, _ in (await world.panes("late")).values()) == 20
    await world.store.close()


async def test_another_expression_under_the_same_name_is_refused(redis_server: Any) -> None:
    world = await made(redis_server)
    await backfilled(world)
    with pytest.raises(OtherMeaning, match="another expression"):
        await backfilled(world, Query("late", parse("other")))
    await world.store.close()


async def test_what_is_set_aside_is_repaired_first(redis_server: Any) -> None:
    world = await made(redis_server)
    start = (await world.store.pane_starts([0]))[0]
    await world.store._redis.hset(f"{{0}}:pane:{start}", "all", b"rubbish")
    read = await world.store.read_panes([0], [start])
    await world.store.set_aside(read.missing)
    with pytest.raises(InTheWay, match="set aside"):
        await backfilled(world)
    await world.store.close()


async def test_closed_panes_are_published_again(redis_server: Any) -> None:
    world = await made(redis_server)
    starts = await world.store.pane_starts([0])
    await world.store.close_through([0], starts[-1] + 600)
    await world.store._redis.delete("{0}:dirty")
    await backfilled(world)
    dirty = await world.store._redis.hkeys("{0}:dirty")
    assert sorted(map(int, dirty)) == starts
    await world.store.close()


async def test_a_past_that_the_topics_do_not_have_begins_with_the_first_whole_pane(
    redis_server: Any,
) -> None:
    world = World(redis_server.url, DATABASES[0], [OLD])
    await world.take([make_post(60 * one, text="late") for one in range(20)], [])
    world.matcher = Matcher([LATE, OLD])
    kept = [one for one in world.posts if one.offset >= 5]
    world.posts[:] = [
        type(one)(0, one.offset, None, one.value, (), (int(NOON.timestamp()) + 60 * at) * 1000)
        for one in kept
        for at in (one.offset,)
    ]
    past = await backfilled(world)
    panes = await world.panes("late")
    assert past.begin_s == min(panes) == int(NOON.timestamp()) + 60 * (5 + 2 + 1)
    assert all(counters[0] == 1 for counters, _, _ in panes.values())
    assert past.total("looked_at") == 15
    await world.store.close()


async def test_an_edit_that_overtook_its_post_and_the_query_counts(redis_server: Any) -> None:
    edit = make_event("edit", 20, text="late after all", lang="en")
    world, whole = await made(redis_server, 0), World(redis_server.url, DATABASES[1], [LATE, OLD])
    world.matcher = Matcher([OLD])
    await world.take([], [edit])
    world.matcher = Matcher([LATE, OLD])
    for one in (world, whole):
        await one.take([make_post(20, text="late")], [] if one is world else [edit])
    await backfilled(world)
    assert await world.panes("late") == await whole.panes("late")
    await world.store.close()
    await whole.store.close()


async def test_posts_that_another_expression_has_counted_are_refused_and_nothing_is_added(
    redis_server: Any,
) -> None:
    world = await made(redis_server)
    world.matcher = Matcher([Query("late", parse("train*")), OLD])
    await world.take([make_post(one, text="trains") for one in range(20, 30)], [])
    world.matcher = Matcher([LATE, OLD])
    before = await world.panes("late")
    with pytest.raises(OtherMeaning, match="do not match its expression: it was another one"):
        await backfilled(world)
    assert await world.panes("late") == before
    assert await world.store.past.position(0, "late") is None
    await world.store.close()


async def test_an_edit_that_another_expression_has_counted_is_refused(redis_server: Any) -> None:
    world = World(redis_server.url, DATABASES[0], [Query("late", parse("train*"))])
    edit = make_event("edit", 3, text="trains", lang="en")
    await world.take([make_post(one, text="late") for one in range(5)], [edit])
    world.matcher = Matcher([LATE])
    with pytest.raises(OtherMeaning, match="1 posts or more"):
        await backfilled(world)
    await world.store.close()


async def test_an_expression_that_only_left_out_what_matches_now_is_topped_up(
    redis_server: Any,
) -> None:
    posts = [make_post(one, text=("late", "a flood", "trains")[one % 3]) for one in range(30)]
    world = World(redis_server.url, DATABASES[0], [Query("late", parse("late")), OLD])
    whole = World(redis_server.url, DATABASES[1], [LATE, OLD])
    await world.take(posts, [])
    await whole.take(posts, [])
    world.matcher = Matcher([LATE, OLD])
    assert (await backfilled(world)).total("added") == 10
    assert await world.panes("late") == await whole.panes("late")
    await world.store.close()
    await whole.store.close()


class CountedRange(MemoryRange):
    """A partition that counts how often it is asked for its ends."""

    asked = 0

    def bounds(self) -> tuple[int, int]:
        """See `services.backfill.topics.Range`."""
        self.asked += 1
        return super().bounds()


async def test_what_it_does_and_how_much_there_is_are_known_and_ends_are_not_asked_for_often(
    redis_server: Any,
) -> None:
    world = await made(redis_server, 70)
    events, scored = CountedRange(world.events), MemoryRange(world.scored)
    topics = PartitionTopics(
        Ranges(MemoryRange(world.posts), events, scored, scored), WINDOWS.correction_horizon_s
    )
    seen = list[tuple[str, int, int]]()

    def see(past: Past) -> None:
        seen.append((past.doing, past.total("looked_at"), past.total("total")))

    clock = ManualClock(NOON)
    await Backfill(LATE, Settings(), world.store, {0: topics}, clock, 1.0, see).run()
    await world.store.close()
    adding = [(looked_at, total) for doing, looked_at, total in seen if doing == ADDING]
    assert adding == [(7 * batch, 70) for batch in range(11)]
    assert [doing for doing, *_ in seen if doing != ADDING] == [READING] * 11 + [CATCHING_UP]
    assert events.asked == 2, "once, and once more to read: nothing was applied since"


async def test_a_scoring_of_an_edit_that_cannot_be_read_is_counted(redis_server: Any) -> None:
    world = await made(redis_server, 5)
    await world.take([], [make_event("edit", 3, text="later", lang="en")])
    last = world.scored[-1]
    world.scored[-1] = replace(last, value=b'{"broken')
    assert (await backfilled(world)).unreadable == 1
    await world.store.close()
