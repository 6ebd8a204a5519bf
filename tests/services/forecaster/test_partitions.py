"""A partition's work: published before it is kept, kept once, and anew wherever it is refused."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from core.clock import ManualClock
from core.errors import CursorConflict
from core.forecast_settings import ForecastSettings
from core.metrics import Metrics
from models.engagement.items import Item, PostGone, PostSeen
from models.engagement.layout import author_key, post_key
from services.forecaster.asking import PatientModel
from services.forecaster.labels import BoundedLabels
from services.forecaster.merging import Arrival
from services.forecaster.partitions import ForecastParts, PartitionForecaster
from services.pacing import Pacer
from stream.store.forecast_records import ReadUpTo
from testkit.builders import NOON
from tests.services.forecaster.fakes import (
    POISON,
    FakeModel,
    ListPublisher,
    MemoryState,
    PlainForecasts,
)

START_S = NOON.timestamp()
AUTHOR = author_key("s", "a")


class Bench:
    """Partition 3 on stand-ins."""

    def __init__(self, **settings: int) -> None:
        self.metrics = Metrics(role="forecaster")
        self.model, self.publisher, self.state = FakeModel(), ListPublisher(), MemoryState()
        self.made: list[PlainForecasts] = []
        self.spent_s = 0.0
        clock = ManualClock(NOON)
        self.parts = ForecastParts(
            ForecastSettings(**settings), self.state,  # type: ignore[arg-type]
            PatientModel(self.model, clock, self.metrics, random.Random(1)), self.publisher, clock,
            self.metrics, BoundedLabels(8), self.make, lambda tries: 0.1,
            Pacer(clock, self.metrics.forecaster_gave_way_seconds.inc, lambda: self.spent_s),
        )  # fmt: skip

    def make(self, settings: ForecastSettings) -> PlainForecasts:
        self.made.append(PlainForecasts(settings))
        return self.made[-1]

    async def begin(self) -> PartitionForecaster:
        bounds = {"scored-posts": (0, 10**6), "post-events": (0, 10**6)}
        return PartitionForecaster(3, self.parts, await self.parts.take_over(3, bounds))

    async def feed(
        self,
        partition: PartitionForecaster,
        posts: Sequence[Arrival],
        events: Sequence[Arrival] = (),
    ) -> None:
        """Let it work until nothing can be taken any more."""
        task = asyncio.create_task(partition.run())
        partition.merge.add_events(events)
        partition.merge.add_posts(posts, len(events))
        try:
            for _ in range(2_000):
                partition.wake()
                await asyncio.sleep(0)
                if task.done():
                    await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}", labels) or 0.0


def post(offset: int, at_s: float = 0.0, length: float = 1.0) -> Arrival:
    key = post_key(AUTHOR, f"p{offset}")
    item: Item = PostSeen(key, f"p{offset}", "s", "a", START_S + at_s, (int(length), *[0] * 7))
    return Arrival(offset, START_S + at_s, item, START_S + at_s, True, offset + 100)


def gone(offset: int, of: int, at_s: float) -> Arrival:
    return Arrival(offset, START_S + at_s, PostGone(post_key(AUTHOR, f"p{of}"), START_S + at_s))


async def test_batches_are_published_then_kept_and_the_cursors_follow() -> None:
    bench = Bench(batch_posts=4)
    partition = await bench.begin()
    await bench.feed(
        partition, [post(n, n) for n in range(10)], [gone(0, 1, 5.5), gone(1, 2, 99.0)]
    )
    assert bench.publisher.ids == [f"p{n}" for n in range(10)]
    assert bench.model.asked == [4, 4, 2]
    assert bench.state.upto == ReadUpTo(9, 0, {"posts": 109})
    assert bench.state.totals == {"tracked": 10, "gone": 1}
    assert len(bench.state.records["pending"]) == 9
    assert partition.merge.events == 1


async def test_a_partition_rests_between_batches_while_posts_wait_to_be_counted() -> None:
    bench = Bench(batch_posts=4)
    partition = await bench.begin()
    bench.parts.pacer.delay.now_s = 1.0
    bench.spent_s = 0.1
    await bench.feed(partition, [post(n, n) for n in range(8)])
    assert bench.model.asked == [4, 4], "it is slower, and leaves nothing out"
    assert bench.value("forecaster_gave_way_seconds_total") == pytest.approx(2.0)


async def test_who_takes_over_goes_on_with_what_is_kept() -> None:
    bench = Bench()
    await bench.feed(await bench.begin(), [post(n, n) for n in range(3)])
    partition = await bench.begin()
    assert (partition.seen, partition.merge.next_post, partition.forecasts.pending) == (102, 3, 3)
    await bench.feed(partition, [post(3, 4000.0)])
    assert bench.state.totals == {"tracked": 4, "settled": 3}
    assert len(bench.state.records["pending"]) == 1


async def test_whoever_is_away_is_waited_for_and_nothing_is_kept_twice() -> None:
    bench = Bench(batch_posts=2)
    partition = await bench.begin()
    bench.model.down, bench.publisher.down = 3, 2
    bench.state.down, bench.state.loses_answers = 2, 2
    await bench.feed(partition, [post(n, n) for n in range(6)])
    assert bench.state.totals == {"tracked": 6}
    assert bench.state.upto.posts == 5
    assert bench.publisher.ids == [f"p{n}" for n in range(6)]
    assert bench.value("engagement_retries_total") == 3
    assert bench.value("forecaster_retries_total", server="kafka") == 2
    assert bench.value("forecaster_retries_total", server="redis") == 4
    assert bench.value("engagement_model_up") == 1


async def test_a_late_writer_is_refused_and_keeps_nothing() -> None:
    bench = Bench()
    late, next_owner = await bench.begin(), await bench.begin()
    await bench.feed(next_owner, [post(n, n) for n in range(4)])
    kept = dict(bench.state.records["pending"])
    with pytest.raises(CursorConflict):
        await bench.feed(late, [post(0, 0)])
    assert bench.state.records["pending"] == kept
    assert bench.state.totals == {"tracked": 4}


@pytest.mark.parametrize("poisoned", [{0}, {7}, {3, 4}, {0, 9}])
async def test_a_post_that_the_model_refuses_is_found_left_out_and_counted(
    poisoned: set[int],
) -> None:
    bench = Bench(batch_posts=8)
    partition = await bench.begin()
    posts = [post(n, n, POISON if n in poisoned else 1) for n in range(10)]
    await bench.feed(partition, posts)
    assert bench.publisher.ids == [f"p{n}" for n in range(10) if n not in poisoned]
    assert bench.state.totals == {"tracked": 10 - len(poisoned)}
    assert bench.state.upto.posts == 9
    assert bench.value("engagement_posts_refused_total") == len(poisoned)


async def test_a_model_that_refuses_every_post_is_waited_for_and_no_post_is_left_out() -> None:
    bench = Bench()
    partition = await bench.begin()
    bench.model.refuses_all = True
    await bench.feed(partition, [post(0)])
    assert bench.state.applies == []
    assert bench.value("engagement_model_up") == 0
    bench.model.refuses_all = False
    await bench.feed(await bench.begin(), [post(0)])
    assert bench.state.totals == {"tracked": 1}
    assert bench.value("engagement_posts_refused_total") == 0


async def test_records_that_say_nothing_move_the_cursor_alone() -> None:
    bench = Bench()
    partition = await bench.begin()
    nothing = [Arrival(n, None, None, is_post=True) for n in range(3)]
    await bench.feed(partition, nothing, [Arrival(0, None, None)])
    assert bench.state.upto == ReadUpTo(2, 0)
    assert bench.model.asked == []


async def test_time_moves_a_partition_at_rest_only_while_its_posts_are_of_now() -> None:
    bench = Bench()
    live = await bench.begin()
    await bench.feed(live, [post(0)])
    live.at_rest(-1, START_S + 4000.0)
    await bench.feed(live, [])
    assert bench.state.totals == {"tracked": 1, "settled": 1}
    recorded = await Bench().begin()
    old = Arrival(0, START_S, post(0).item, START_S + 10**6, True, 100)
    other = Bench()
    recorded = await other.begin()
    await other.feed(recorded, [old])
    recorded.at_rest(-1, START_S + 10**6)
    await other.feed(recorded, [])
    assert other.state.totals == {"tracked": 1}


async def test_books_that_do_not_add_up_are_said_and_put_right() -> None:
    bench = Bench()
    await bench.feed(await bench.begin(), [post(n, n) for n in range(5)])
    bench.state.records["pending"].popitem()
    await bench.feed(await bench.begin(), [post(5, 6)])
    assert bench.state.totals == {"tracked": 6, "lost": 1}
    bench.state.totals.clear()
    await bench.feed(await bench.begin(), [post(6, 7)])
    assert bench.state.totals == {"tracked": 6}
