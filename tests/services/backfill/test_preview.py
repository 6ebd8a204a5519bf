"""A preview says what windows would have, and adds nothing."""

from dataclasses import replace
from typing import Any

from core.settings import Secret
from services.backfill.matching import PastMatcher
from services.backfill.preview import NEVER_A_NAME, Since, _begin, preview
from services.backfill.topics import PartitionTopics, Ranges
from services.kafka_client.messages import Record
from stream.queries.catalog import Query
from stream.topics import SOURCE_OFFSET_HEADER, SOURCE_TOPIC_HEADER
from testkit.builders import make_event, make_post
from tests.services.backfill.stream_with_a_new_query import (
    LATE,
    OLD,
    WINDOWS,
    MemoryRange,
    World,
)

SAME = PastMatcher(Query(NEVER_A_NAME, LATE.expression), Secret(""))


async def counted(redis_server: Any) -> World:
    world = World(redis_server.url, 12, [LATE, OLD])
    texts = ("late", "trains", "a flood")
    posts = [make_post(one * 7, id=f"p{one}", text=texts[one % 3]) for one in range(60)]
    edited = make_event("edit", 7, post_id="p1", text="late after all", lang="en")
    gone = make_event("delete", 0, post_id="p0", author=posts[0].author)
    await world.take(posts, [edited, gone])
    return world


async def test_it_says_what_the_windows_of_that_query_have(redis_server: Any) -> None:
    world = await counted(redis_server)
    found = preview({0: world.topics()}, SAME, -1)
    stored = await world.panes("late")
    await world.store.close()
    assert found.looked_at == 60
    assert {
        start: (pane.counters, pane.strata, pane.authors)
        for start, pane in found.panes.items()
    } == stored  # fmt: skip


async def test_it_reads_from_where_it_is_to_begin_and_leaves_out_panes_before(
    redis_server: Any,
) -> None:
    world = await counted(redis_server)
    stored = await world.panes("late")
    await world.store.close()
    second = sorted(stored)[1]
    found = preview({0: world.topics()}, SAME, second)
    assert sorted(found.panes) == sorted(stored)[1:]
    scored = MemoryRange(world.scored)
    ranges = Ranges(
        Since(MemoryRange(world.posts), 30), MemoryRange(world.events), scored, scored
    )  # fmt: skip
    later = preview({0: PartitionTopics(ranges, WINDOWS.correction_horizon_s)}, SAME, -1)
    assert later.looked_at == 30
    assert max(later.panes) == max(found.panes)
    assert later.panes[max(stored)].counters == stored[max(stored)][0]


class Timed(MemoryRange):
    """A partition that knows when its records were written: one a second from a time on."""

    def __init__(self, records: int, from_ms: int) -> None:
        super().__init__(
            [Record(0, at, None, None, (), from_ms + 1000 * at) for at in range(records)]
        )
        self._from_ms = from_ms

    def since(self, at_ms: int) -> int:
        return min(max(0, -(-(at_ms - self._from_ms) // 1000)), len(self.records))


def test_where_nothing_was_written_before_all_is_looked_at_from_the_first_record_on() -> None:
    young = [Timed(10, 50_000), Timed(10, 52_000)]
    assert _begin(young, 1_000, 100) == (50_000, True)
    assert _begin(young, 55_000, 100) == (55_000, False)
    assert _begin(young, 1_000, 5) == (57_000, False)
    assert _begin([Timed(0, 0)], 1_000, 5) == (1_000, True)


async def test_what_cannot_be_read_or_is_of_no_post_is_counted_and_the_rest_stands(
    redis_server: Any,
) -> None:
    world = await counted(redis_server)
    await world.store.close()
    broken, foreign = world.scored[5], world.scored[6]
    world.scored[5] = replace(broken, value=b'{"broken')
    far = ((SOURCE_TOPIC_HEADER, b"posts"), (SOURCE_OFFSET_HEADER, b"10000000000"))
    world.scored[6] = replace(foreign, headers=far)
    topics = world.topics()
    assert preview({0: topics}, SAME, -1).looked_at == 58
    assert topics.unreadable == {broken.offset, foreign.offset}
