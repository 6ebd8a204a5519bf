"""What a closer tells: its metrics, the judges beside it, and how much it does in one step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime

import pytest
import pytest_asyncio
import redis

from core.clock import ManualClock, epoch_ms, from_epoch_ms
from core.metrics import Metrics
from core.schemas import Progress, Window
from core.settings import RedisSettings, WindowSettings
from services.closer.closing import Closer
from services.closer.publishing import MAX_PANES, Superseded
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS

pytestmark = pytest.mark.integration

DATABASE = 12
START = 1_772_366_400
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOWS = WindowSettings(pane_s=60, allowed_lateness_s=0, idle_after_s=30.0, retention_s=172_800)


class Judge:
    """Remembers what it is told; `done` is the order, the topic's calls among it."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.again = range(0)
        self.noted: dict[int, tuple[int, str]] = {}
        self.looked: list[list[int]] = []
        self.considered: list[tuple[list[int], int]] = []
        self.is_active = True

    async def take_over(self, epoch: int) -> range:
        self.done.append(f"take over {epoch}")
        return self.again

    def note(self, partition: int, cursor: int, model_version: str = "") -> None:
        self.noted[partition] = (cursor, model_version)

    async def look(self, partitions: Sequence[int]) -> None:
        self.looked.append(list(partitions))

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        assert not withheld
        starts = [epoch_ms(window.start) // 1000 - START for window in windows]
        self.considered.append((starts, upto_s - START))
        self.done.append(f"consider {starts}")
        return self.is_active

    async def publish(self) -> None:
        self.done.append("judge publishes")


class Topic:
    """Stands for `windows`."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.windows: list[Window] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def publish(self, windows: Sequence[Window]) -> None:
        self.done.append(f"publish {len(windows)}")
        self.windows += windows
        self.meanwhile()

    async def close(self) -> None: ...


class House:
    """A real store, and everything around a closer that is not real."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.done: list[str] = []
        self.judge, self.topic = Judge(self.done), Topic(self.done)
        self.clock, self.metrics = ManualClock(NOON), Metrics()
        self._cursors: dict[int, int] = {}

    def closer(self) -> Closer:
        return Closer(
            WINDOWS, self.store, self.topic, self.clock, self.metrics, self.judge, partitions=0
        )

    async def post(self, partition: int, *starts: int, query: str = "all") -> None:
        cursor = self._cursors.get(partition, -1)
        self._cursors[partition] = cursor + 1
        batch = ApplyBatch(POSTS, cursor, cursor + 1, max(starts) * 1000)
        for start in starts:
            increment = (query, [1, 1, 100], {"s|en|none": [1, 1, 100, 0]}, ["ana"])
            batch.panes[start] = [increment]
        await self.store.apply(partition, batch)

    def progress(self, partition: int, watermark_s: int | None, version: str = "") -> Progress:
        watermark = None if watermark_s is None else from_epoch_ms(watermark_s * 1000)
        return Progress(
            partition=partition, cursor=self._cursors.get(partition, 0), event_cursor=-1,
            applied_at=NOON, watermark=watermark, model_version=version,
        )  # fmt: skip

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}")


@pytest_asyncio.fixture
async def house(redis_server: RedisServer) -> AsyncIterator[House]:
    url = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    yield House(store)
    await store.close()


async def test_windows_and_corrections_are_counted_apart(house: House) -> None:
    await house.post(0, START)
    await house.post(0, START, query="rail")
    await house.post(0, START + 60)
    closer = house.closer()
    await closer.take_over()
    await closer.step()
    assert (house.value("windows_closed_total"), house.value("windows_corrected_total")) == (2, 0)
    await house.post(0, START)
    await closer.step()
    assert (house.value("windows_closed_total"), house.value("windows_corrected_total")) == (2, 1)
    await closer.step()
    assert len(house.topic.windows) == 3


async def test_how_far_event_time_has_come_and_who_is_idle_is_shown(house: House) -> None:
    closer = house.closer()
    await closer.take_over()
    await closer.step()
    assert house.value("global_watermark_seconds") == 0.0
    await house.post(0, START)
    await house.post(1, START + 7)
    await closer.resync()
    await closer.step()
    assert house.value("global_watermark_seconds") == START
    assert house.value("idle_partitions") == 0
    house.clock.advance(29.0)
    closer.excuse(5.0)
    house.clock.advance(5.0)
    await house.post(1, START + 8)
    closer.observe(house.progress(1, START + 8))
    await closer.step()
    assert house.value("idle_partitions") == 0, "silence that was ours is no silence of theirs"
    house.clock.advance(1.0)
    await closer.step()
    assert house.value("idle_partitions") == 1
    assert house.value("global_watermark_seconds") == START + 8


async def test_a_step_publishes_so_many_panes_and_tells_that_more_is_due(house: House) -> None:
    panes = MAX_PANES + 2
    await house.post(0, *(START + 60 * n for n in range(panes + 1)))
    closer = house.closer()
    await closer.take_over()
    assert await closer.step() is True
    starts = [epoch_ms(window.start) // 1000 - START for window in house.topic.windows]
    assert starts == [60 * n for n in range(MAX_PANES)]
    assert house.judge.considered == [(starts, 60 * MAX_PANES)]
    assert await closer.step() is False
    assert len(house.topic.windows) == panes
    assert house.judge.considered[1][1] == 60 * panes


async def test_a_window_is_judged_after_it_is_published_and_before_it_is_taken_for_sent(
    house: House,
) -> None:
    await house.post(0, START, START + 60)
    closer = house.closer()
    await closer.take_over()
    await closer.step()
    assert house.done == ["take over 1", "publish 1", "consider [0]", "judge publishes"]
    await closer.step()
    assert house.done[4:] == ["consider []", "judge publishes"]
    assert house.judge.considered == [([0], 60), ([], 60)]
    (published,) = (await house.store.revisions([START]))[START].values()
    assert (published.revision, published.acknowledged) == (0, True)


async def test_before_anything_was_closed_there_is_nothing_to_consider(house: House) -> None:
    closer = house.closer()
    await closer.take_over()
    assert await closer.step() is False
    assert house.judge.considered == []
    assert house.done == ["take over 1", "judge publishes"]


async def test_a_closer_whose_judge_knows_of_another_gives_up_and_leaves_the_window_unsent(
    house: House,
) -> None:
    await house.post(0, START, START + 60)
    closer = house.closer()
    await closer.take_over()
    house.judge.is_active = False
    with pytest.raises(Superseded):
        await closer.step()
    (published,) = (await house.store.revisions([START]))[START].values()
    assert not published.acknowledged
    assert await house.store.dirty([0]) == {START: {0: b"closed"}}
    assert house.value("windows_closed_total") == 0


async def test_the_judge_is_told_of_every_partition_when_a_closer_begins_and_of_all_news(
    house: House,
) -> None:
    await house.post(0, START)
    await house.post(2, START)
    closer = house.closer()
    await closer.take_over()
    assert house.judge.noted == {0: (0, ""), 2: (0, "")}
    assert house.judge.looked == [[0, 2]]
    await house.post(1, START)
    closer.observe(house.progress(1, START, "m-2"))
    await closer.step()
    assert house.judge.noted[1] == (0, "m-2")
    await house.post(4, START)
    await closer.resync()
    assert house.judge.noted[4] == (0, "")
    assert house.judge.looked == [[0, 2], [0, 1, 2, 4]]


async def test_what_a_predecessor_judged_last_is_judged_again_as_it_was_published(
    house: House,
) -> None:
    await house.post(0, START, START + 60, START + 120)
    first = house.closer()
    await first.take_over()
    await first.step()
    house.judge.again = range(START, START + 180, 60)
    house.judge.considered.clear()
    await house.closer().take_over()
    assert house.judge.considered == [([0, 60], 180)]
    assert len(house.topic.windows) == 2, "nothing is published again"


async def test_a_partition_that_the_store_no_longer_has_makes_the_closer_begin_anew(
    house: House,
) -> None:
    await house.post(0, START)
    closer = house.closer()
    await closer.take_over()
    await house.post(3, START)
    await closer.resync()
    await house.store._redis.delete("{3}:cursor")
    await closer.resync()
    assert [step for step in house.done if step.startswith("take")] == [
        "take over 1",
        "take over 2",
    ]
    await closer.resync()
    assert house.done[-1] == "take over 2", "and once is enough"


async def test_what_was_published_of_forgotten_panes_is_forgotten_with_them(house: House) -> None:
    await house.post(0, START, START + 60)
    closer = house.closer()
    await closer.take_over()
    await closer.step()
    await house.post(0, START + 60 + 172_800)
    assert (await house.store.partition_state(0)).forgotten_s == START
    assert (await house.store.revisions([START]))[START]
    await closer.resync()
    assert (await house.store.revisions([START]))[START] == {}


async def test_a_closer_that_begins_finishes_what_its_predecessor_closed_in_part(
    house: House,
) -> None:
    for partition in (0, 1):
        await house.post(partition, START, START + 60)
    await house.store.close_through([1], START + 60)  # and died before partition 0
    closer = house.closer()
    await closer.take_over()
    assert (await house.store.partition_state(0)).closed_s == START + 60
    await closer.step()
    (window,) = house.topic.windows
    assert window.counters["posts"] == 2
    assert (window.closed_at, window.end) == (NOON, from_epoch_ms((START + 60) * 1000))
