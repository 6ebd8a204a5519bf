"""What cannot be read or is made up: the closer says so, withholds that, and does the rest."""

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest
import redis

from core.clock import epoch_ms
from core.schemas import Progress, Window
from services.closer.closing import Closer
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch
from stream.topics import POSTS, PROGRESS
from tests.services.closer.test_closing import DATABASE, NOON, START, WINDOWS, House, in_house

pytestmark = pytest.mark.integration

Story = Callable[[House, "redis.Redis[bytes]"], Coroutine[Any, Any, None]]
YEAR_9999 = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


@pytest.fixture
def told(redis_server: RedisServer) -> Callable[[Story], None]:
    """Tell a story in a house with three panes, two partitions and two queries, all of it due."""
    url = redis_server.url.removesuffix("/0") + f"/{DATABASE}"

    def tell(story: Story) -> None:
        async def whole(house: House) -> None:
            for pane in range(3):
                for partition in (0, 1):
                    # Of one query the other partition knows nothing.
                    query = "rail" if partition and pane == 0 else "all"
                    await house.feed.post(partition, START + 60 * pane, query)
            with redis.Redis.from_url(url) as client:
                await story(house, client)

        in_house(url, whole)

    return tell


def _published(house: House) -> list[tuple[str, int, int, int]]:
    """Return (query, pane, revision, posts) of what was published."""
    return [
        (w.query, (epoch_ms(w.start) // 1000 - START) // 60, w.revision, w.counters["posts"])
        for w in house.topic.published
    ]


async def _closer(house: House) -> Closer:
    closer = house.closer()
    await closer.take_over()
    await house.settle(closer)
    return closer


@pytest.mark.parametrize("value", [b"", b"x", msgspec.msgpack.encode([1.5]), b"\x91\xa1x"])
def test_share_that_cannot_be_read_withholds_its_window_only(
    told: Callable[[Story], None], value: bytes
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        client.hset(f"{{0}}:pane:{START}", "all", value)
        closer = await _closer(house)
        assert _published(house) == [("rail", 0, 0, 1), ("all", 1, 0, 2)]
        assert await house.store.dirty([0, 1]) == {}
        (entry,) = await house.store.quarantine([0, 1])
        assert entry.place == (str(START), "all")
        # What a repair does: it adds what the share had held.
        increments = [("all", [1, 1, 100], {"s|en|none": [1, 1, 100, 0]}, ["author-0"])]
        batch = ApplyBatch(
            POSTS, -1, -1, panes={START: increments}, released=[(entry.field, entry.value)]
        )
        await house.store.apply(0, batch)
        await house.settle(closer)
        assert _published(house)[2:] == [("all", 0, 0, 1)]
        assert await house.store.quarantine([0, 1]) == []

    told(story)


def test_pane_under_a_key_of_another_type_withholds_all_its_windows(
    told: Callable[[Story], None],
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        client.delete(f"{{1}}:pane:{START}")
        client.lpush(f"{{1}}:pane:{START}", "x")
        await _closer(house)
        assert _published(house) == [("all", 1, 0, 2)]

    told(story)


def test_revision_that_cannot_be_read_is_never_numbered_anew(told: Callable[[Story], None]) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        closer = await _closer(house)
        before = len(house.topic.published)
        client.hset(f"{{closer}}:rev:{START}", "all", b"\xff:\xff")
        await house.feed.post(0, START)  # late: both windows of the pane may have changed
        await house.feed.post(1, START, "rail")
        await house.settle(closer)
        assert _published(house)[before:] == [("rail", 0, 1, 2)]

    told(story)


def test_revisions_under_a_key_of_another_type_withhold_the_pane(
    told: Callable[[Story], None],
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        client.lpush(f"{{closer}}:rev:{START}", "x")
        await _closer(house)
        assert _published(house) == [("all", 1, 0, 2)]

    told(story)


@pytest.mark.parametrize("wrong", ["list", "field", "time to come"])
def test_partition_whose_cursor_cannot_be_read_stops_no_other(
    told: Callable[[Story], None], wrong: str
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        if wrong == "list":
            client.delete("{0}:cursor")
            client.lpush("{0}:cursor", "x")
        else:
            client.hset("{0}:cursor", "watermark", "x" if wrong == "field" else 10**16)
        closer = await _closer(house)
        await house.feed.post(1, START + 240)
        closer.observe(house.feed.progress(1))
        await house.settle(closer)
        # Its own share was not overwritten: what it had counted stays in the sums.
        assert ("rail", 0, 0, 1) in _published(house)
        assert ("all", 1, 0, 2) in _published(house)

    told(story)


def test_progress_that_a_stranger_made_up_closes_nothing(told: Callable[[Story], None]) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        del client
        closer = await _closer(house)
        before = _published(house)
        for partition, cursor in ((0, 10**9), (1, 3), (700, 5), (-1, 0), (10**12, 0)):
            closer.observe(
                Progress(
                    partition=partition,
                    cursor=cursor,
                    event_cursor=-1,
                    applied_at=NOON,
                    watermark=YEAR_9999,
                )
            )
        # An honest cursor with a watermark that is not: the store knows the right one.
        closer.observe(
            Progress(partition=2, cursor=-1, event_cursor=-1, applied_at=NOON, watermark=YEAR_9999)
        )
        await house.settle(closer)
        assert _published(house) == before
        assert (await house.store.partition_state(0)).closed_s == START + 120
        refused = house.metrics.registry.get_sample_value(
            "groundswell_records_refused_total", {"topic": PROGRESS, "reason": "out_of_range"}
        )
        assert refused == 6

    told(story)


def test_true_cursor_with_a_false_watermark_closes_nothing(told: Callable[[Story], None]) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        del client
        closer = await _closer(house)
        closer.observe(msgspec.structs.replace(house.feed.progress(0), watermark=YEAR_9999))
        await house.settle(closer)
        assert (await house.store.partition_state(0)).closed_s == START + 120

    told(story)


@pytest.mark.parametrize("wrong", ["x", "9223372036854775807", None])
def test_epoch_that_cannot_be_read_begins_anew(
    told: Callable[[Story], None], wrong: str | None
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        older = await _closer(house)
        del older
        client.delete("{closer}:epoch")
        if wrong is None:
            client.lpush("{closer}:epoch", "x")
        else:
            client.set("{closer}:epoch", wrong)
        first = await house.store.begin_closing()
        assert not await house.store.set_revisions(first - 1, {START: {}})
        assert await house.store.set_revisions(first, {START: {}})
        assert await house.store.begin_closing() == first + 1

    told(story)


def test_index_of_published_panes_of_another_type_is_made_anew(
    told: Callable[[Story], None],
) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        client.set("{closer}:published", "x")
        await _closer(house)
        await house.store.forget_revisions(START)  # finds it, and makes it anew
        await house.store.forget_revisions(START + 60)
        assert list(client.scan_iter("{closer}:rev:*")) == [f"{{closer}}:rev:{START + 60}".encode()]

    told(story)


class Listening:
    """Judges that only listen."""

    def __init__(self) -> None:
        self.withheld: set[int] = set()

    async def take_over(self, epoch: int) -> range:
        del epoch
        return range(0)

    def note(self, partition: int, cursor: int, model_version: str = "") -> None: ...

    async def look(self, partitions: Sequence[int]) -> None: ...

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        del windows, upto_s
        self.withheld.update(withheld)
        return True

    async def publish(self) -> None: ...


def test_judges_are_told_that_a_pane_says_nothing(told: Callable[[Story], None]) -> None:
    async def story(house: House, client: "redis.Redis[bytes]") -> None:
        client.hset(f"{{0}}:pane:{START}", "all", b"x")
        judges = Listening()
        closer = Closer(WINDOWS, house.store, house.topic, house.clock, house.metrics, judges)
        await closer.take_over()
        await house.settle(closer)
        assert judges.withheld == {START}

    told(story)
