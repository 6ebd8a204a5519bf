"""The closer against a real store: it may die at any line; nothing is lost or numbered twice."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import ManualClock, epoch_ms, from_epoch_ms
from core.errors import BrokerUnavailable
from core.metrics import Metrics
from core.schemas import Progress, Window
from core.settings import RedisSettings, WindowSettings
from services.closer.closing import Closer
from services.closer.publishing import Superseded
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.layout import named

pytestmark = pytest.mark.integration

DATABASE = 8
WINDOWS = WindowSettings(pane_s=60, allowed_lateness_s=0, idle_after_s=30.0, retention_s=172_800)
START = 1_772_366_400
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Died(Exception):
    """The closer's process is gone."""


class Mortal:
    """Passes calls through until the n-th, which dies before or after it had its effect."""

    def __init__(self, inner: Any, fate: "Fate") -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(self._inner, name)

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            dies = self._fate.next_call_dies()
            if dies and not self._fate.after:
                raise Died
            answer = await call(*args, **kwargs)
            if dies:
                raise Died
            return answer

        return mortal


class Fate:
    """When a closer dies: at its n-th call of anything outside; 0 means never."""

    def __init__(self, at_call: int, after: bool) -> None:
        self.at_call = at_call
        self.after = after
        self.calls = 0

    def next_call_dies(self) -> bool:
        self.calls += 1
        return self.calls == self.at_call


class Topic:
    """Stands for `windows`: remembers what was published, in order."""

    def __init__(self) -> None:
        self.published: list[Window] = []
        self.is_away = False
        self.meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def publish(self, windows: Sequence[Window]) -> None:
        if self.is_away:
            # As Kafka may: some are written although the call fails.
            self.published.extend(windows[: len(windows) // 2])
            raise BrokerUnavailable("away")
        self.published.extend(windows)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()

    async def close(self) -> None: ...

    def latest(self) -> dict[tuple[str, int], Window]:
        """Return (query, start) -> window of the greatest revision, as a reader keeps it."""
        found: dict[tuple[str, int], Window] = {}
        for window in self.published:
            place = (window.query, epoch_ms(window.start) // 1000)
            if place not in found or window.revision >= found[place].revision:
                found[place] = window
        return found


class Feed:
    """Stands for the workers: applies posts to partitions and tells of the progress."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._cursors: dict[int, int] = {}
        self._watermarks: dict[int, int] = {}

    async def post(self, partition: int, start_s: int, query: str = "all", count: int = 1) -> None:
        cursor = self._cursors.get(partition, -1)
        watermark = max(self._watermarks.get(partition, -1), start_s * 1000)
        counters = [count, count, 100 * count]
        batch = ApplyBatch(
            POSTS, cursor, cursor + 1, watermark,
            panes={start_s: [(query, counters, {"s|en|none": [count, count, 100 * count, 0]},
                              [f"author-{partition}"])]},
            totals={"counted": count},
        )  # fmt: skip
        await self._store.apply(partition, batch)
        self._cursors[partition], self._watermarks[partition] = cursor + 1, watermark

    def progress(self, partition: int) -> Progress:
        return Progress(
            partition=partition,
            cursor=self._cursors[partition],
            event_cursor=-1,
            applied_at=NOON,
            watermark=from_epoch_ms(self._watermarks[partition]),
        )


def empty(url: str) -> None:
    """Forget everything, as a store whose disk was lost."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()


class House:
    """A store, a topic, a clock, and closers that come and go."""

    def __init__(self, url: str) -> None:
        empty(url)
        self.store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
        self.topic = Topic()
        self.clock = ManualClock(NOON)
        self.feed = Feed(self.store)
        self.metrics = Metrics()

    def closer(self, fate: Fate | None = None, partitions: int = 0) -> Closer:
        store: Any = self.store if fate is None else Mortal(self.store, fate)
        topic: Any = self.topic if fate is None else Mortal(self.topic, fate)
        return Closer(WINDOWS, store, topic, self.clock, self.metrics, partitions=partitions)

    async def settle(self, closer: Closer) -> None:
        """Publish until nothing is due."""
        while await closer.step():
            pass


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.url.removesuffix("/0") + f"/{DATABASE}"


def in_house(url: str, story: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        house = House(url)
        try:
            await story(house)
        finally:
            await house.store.close()

    asyncio.run(tell())


def test_pane_is_published_when_the_watermark_passes_its_end_and_not_before(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START, count=2)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        assert house.topic.published == []
        await house.feed.post(0, START + 60)
        closer.observe(house.feed.progress(0))
        await house.settle(closer)
        (window,) = house.topic.published
        assert (window.query, window.revision, window.authors) == ("all", 0, 1)
        assert epoch_ms(window.start) == START * 1000
        assert window.counters == named([2, 2, 200])

    in_house(url, story)


def test_partition_that_lags_holds_a_pane_open_until_it_is_idle(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(1, START)
        await house.feed.post(0, START + 120)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        assert house.topic.published == []
        house.clock.advance(20)
        await house.feed.post(0, START + 180)
        closer.observe(house.feed.progress(0))
        house.clock.advance(15)
        await house.settle(closer)
        assert [epoch_ms(w.start) // 1000 - START for w in house.topic.published] == [0, 120]

    in_house(url, story)


def test_first_panes_wait_for_partitions_that_were_not_heard_of(url: str) -> None:
    """In a fast replay one partition may be days ahead before another has counted its first."""

    async def story(house: House) -> None:
        closer = house.closer(partitions=2)
        await closer.take_over()
        await house.feed.post(0, START)
        await house.feed.post(0, START + 600)
        closer.observe(house.feed.progress(0))
        await house.settle(closer)
        assert house.topic.published == []
        await house.feed.post(1, START)
        await house.feed.post(1, START + 60)
        closer.observe(house.feed.progress(1))
        await house.settle(closer)
        assert [(w.revision, w.counters["posts"]) for w in house.topic.published] == [(0, 2)]

    in_house(url, story)


def test_late_post_is_published_as_a_correction(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(0, START + 60)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        await house.feed.post(0, START)
        await house.feed.post(0, START, query="rail")
        await house.settle(closer)
        found = [(w.query, w.revision, w.counters["posts"]) for w in house.topic.published]
        assert found == [("all", 0, 1), ("all", 1, 2), ("rail", 0, 1)]

    in_house(url, story)


def test_post_that_comes_while_its_pane_is_being_published_is_not_lost(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(0, START + 60)
        closer = house.closer()
        await closer.take_over()
        house.topic.meanwhile = lambda: house.feed.post(0, START)
        await house.settle(closer)
        await house.settle(closer)
        assert [w.counters["posts"] for w in house.topic.published] == [1, 2]

    in_house(url, story)


def test_lost_progress_message_is_made_up_for_by_the_store(url: str) -> None:
    async def story(house: House) -> None:
        closer = house.closer()
        await closer.take_over()
        await house.feed.post(2, START)
        await house.feed.post(2, START + 60)
        await house.settle(closer)
        assert house.topic.published == []
        await closer.resync()
        await house.settle(closer)
        assert len(house.topic.published) == 1

    in_house(url, story)


def test_partition_that_appears_late_has_its_old_panes_published(url: str) -> None:
    """Its posts fell in panes that were closed while nobody knew of the partition."""

    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(0, START + 60)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        await house.feed.post(3, START)
        await closer.resync()
        await house.settle(closer)
        assert house.topic.latest()["all", START].counters["posts"] == 2

    in_house(url, story)


def test_unacknowledged_windows_are_published_again_under_the_same_revision(url: str) -> None:
    async def story(house: House) -> None:
        for query in ("all", "rail"):
            await house.feed.post(0, START, query=query)
        await house.feed.post(0, START + 60)
        closer = house.closer()
        await closer.take_over()
        house.topic.is_away = True
        with pytest.raises(BrokerUnavailable):
            await closer.step()
        assert len(house.topic.published) == 1
        house.topic.is_away = False
        await house.settle(closer)
        found = [(w.query, w.revision) for w in house.topic.published]
        assert found == [("all", 0), ("all", 0), ("rail", 0)]

    in_house(url, story)


def test_closer_that_slept_through_its_replacement_publishes_nothing(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(0, START + 60)
        sleeper, successor = house.closer(), house.closer()
        await sleeper.take_over()
        await successor.take_over()
        with pytest.raises(Superseded):
            await sleeper.step()
        assert house.topic.published == []
        await house.settle(successor)
        assert len(house.topic.published) == 1

    in_house(url, story)


def test_pane_that_a_partition_forgot_is_never_published_in_part(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(1, START)
        for partition in (0, 1):
            await house.feed.post(partition, START + 60)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        await house.feed.post(0, START + 3 * 172_800)
        await house.feed.post(1, START)
        await house.settle(closer)
        assert house.topic.latest()["all", START].counters["posts"] == 2
        expired = "groundswell_windows_expired_total"
        assert house.metrics.registry.get_sample_value(expired) == 1
        assert await house.store.dirty([0, 1]) == {}

    in_house(url, story)


def test_store_that_was_emptied_is_published_anew(url: str) -> None:
    async def story(house: House) -> None:
        await house.feed.post(0, START)
        await house.feed.post(0, START + 60)
        closer = house.closer()
        await closer.take_over()
        await house.settle(closer)
        empty(url)
        house.feed = Feed(house.store)
        await house.feed.post(0, START, count=5)
        await house.feed.post(0, START + 120)
        await closer.resync()
        with pytest.raises(Superseded):  # nobody is the closer of an empty store
            await house.settle(closer)
        await closer.take_over()
        await house.settle(closer)
        assert house.topic.latest()["all", START].counters["posts"] == 5

    in_house(url, story)


def test_store_that_went_back_in_time_is_noticed_by_its_cursor(url: str) -> None:
    async def story(house: House) -> None:
        closer = house.closer()
        await closer.take_over()
        for start_s in (START, START + 60, START + 600):
            await house.feed.post(0, start_s)
            closer.observe(house.feed.progress(0))
        empty(url)
        house.feed = Feed(house.store)
        await house.feed.post(0, START)
        await closer.resync()
        await house.settle(closer)
        assert house.topic.published == []  # its watermark is that of the store again

    in_house(url, story)


steps = st.one_of(
    st.tuples(st.just("post"), st.integers(0, 2), st.integers(0, 4), st.sampled_from("ab")),
    st.tuples(st.just("close"), st.integers(1, 12), st.booleans(), st.just("")),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps, min_size=2, max_size=14))
def test_closers_that_die_anywhere_leave_every_window_right_in_the_end(
    url: str, story_steps: list[tuple[str, int, Any, str]]
) -> None:
    async def story(house: House) -> None:
        for kind, number, detail, query in story_steps:
            if kind == "post":
                await house.feed.post(number, START + 60 * detail, query)
                continue
            mortal = house.closer(Fate(number, after=detail))
            with pytest.raises(Died):
                await _live(mortal)
        house.clock.advance(60)
        last = house.closer()
        await last.take_over()
        house.clock.advance(60)  # everybody is idle: the greatest watermark counts
        await house.settle(last)
        await _assert_right(house)

    in_house(url, story)


async def _live(closer: Closer) -> None:
    """Close and publish until death."""
    await closer.take_over()
    while True:
        await closer.step()


async def _assert_right(house: House) -> None:
    partitions = await house.store.partitions()
    states = [await house.store.partition_state(p) for p in partitions]
    through_s = max((s.watermark_ms for s in states), default=-1) // 60_000 * 60
    expected = {
        (query, start_s): named(content.counters)
        for start_s in await house.store.pane_starts(partitions)
        if start_s < through_s
        for query, content in (await house.store.pane(partitions, start_s)).items()
    }
    assert {place: w.counters for place, w in house.topic.latest().items()} == expected
    contents: dict[tuple[str, datetime, int], Any] = {}
    for window in house.topic.published:
        number = (window.query, window.start, window.revision)
        content = (window.counters, window.strata, window.authors)
        assert contents.setdefault(number, content) == content
    assert await house.store.dirty(partitions) == {}
