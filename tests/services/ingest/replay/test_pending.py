"""Counts leave between the posts, each at its time, whatever the order, and from any cursor on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.schemas import Post, PostEvent
from services.ingest.options import load_options
from services.ingest.replay.counts import RowCounts
from services.ingest.replay.mapping import MappedRow
from services.ingest.replay.pending import NO_ROOM, NO_TIME, PendingCounts
from services.ingest.sources.base import SourceContext, SourceItem
from services.ingest.sources.replay.options import ReplayOptions
from services.ingest.sources.replay.source import ReplaySource
from testkit.builders import make_post
from testkit.ingest import START, Rig, take_all

HEADER = "id,author,created_at,text,likes\n"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def rows(count: int, every_h: float = 5.0) -> list[str]:
    return [
        f"{n},a{n % 7},{FIRST + timedelta(hours=every_h * n):%Y-%m-%dT%H:%M:%SZ},post {n},{n}\n"
        for n in range(count)
    ]


def shown(items: list[SourceItem]) -> list[str]:
    """What leaves, in short: `p3` is a post, `c3=7` are its likes."""
    return [
        f"p{r.id}" if isinstance(r, Post) else f"c{r.post_id}={r.likes}"
        for r in (item.record for item in items)
        if isinstance(r, Post | PostEvent)
    ]


def test_counts_leave_between_the_posts_a_day_after_theirs(given: Callable[..., Any]) -> None:
    items = given(HEADER + "".join(rows(7))).items()
    assert shown(items) == [
        "p0", "p1", "p2", "p3", "p4", "c0=0", "p5", "c1=1", "p6",
        "c2=2", "c3=3", "c4=4", "c5=5", "c6=6",
    ]  # fmt: skip
    claimed = {r.id: r.claimed_at for r in (i.record for i in items) if isinstance(r, Post)}
    authors = {r.id: r.author for r in (i.record for i in items) if isinstance(r, Post)}
    for event in (i.record for i in items if isinstance(i.record, PostEvent)):
        assert event.kind == "counts"
        assert event.author == authors[event.post_id]
        assert event.claimed_at == event.ingested_at == claimed[event.post_id] + timedelta(days=1)


@pytest.mark.parametrize(("speed", "seconds"), [(3600.0, 24.0), (7200.0, 12.0)])
def test_a_run_at_a_speed_says_how_long_it_goes_on_after_the_last_post(
    given: Callable[..., Any], speed: float, seconds: float
) -> None:
    structlog.configure()
    try:
        with capture_logs() as said:
            for pace in (speed, 0.0):  # at once nobody waits, and nothing is said
                source = given(HEADER + "".join(rows(7))).source(speed=pace)
                source.open(None)
                assert len(list(source.items(None))) == 14
                source.close()
    finally:
        structlog.reset_defaults()
    (waiting,) = [one for one in said if "still to come" in one["event"]]
    assert (waiting["counts"], waiting["seconds"]) == (5, seconds)


def test_time_to_the_counts_can_be_chosen(given: Callable[..., Any]) -> None:
    file = given(HEADER + "".join(rows(3)))
    assert shown(file.items(counts_after_s=3600)) == ["p0", "c0=0", "p1", "c1=1", "p2", "c2=2"]
    assert "sent 1 h after the post" in file.said(counts_after_s=3600)
    assert "after the post, 24 s at this speed" in file.said(speed=3600.0)


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_order_of_the_rows_changes_nothing(given: Callable[..., Any], order: str) -> None:
    lines = rows(200, every_h=0.7)
    expected = given(HEADER + "".join(lines), "in-order.csv").items()
    lines.reverse() if order == "reversed" else random.Random(3).shuffle(lines)
    found = given(HEADER + "".join(lines)).items()
    assert [item.record for item in found] == [item.record for item in expected]


@pytest.mark.parametrize(
    "options",
    [{}, {"shuffle_within_s": 40_000.0}, {"times": "shifted", "speed": 3600.0}],
    ids=["as it is", "shuffled", "shifted"],
)
def test_from_any_cursor_no_count_is_lost_or_doubled(
    given: Callable[..., Any], options: dict[str, Any]
) -> None:
    lines = rows(40)
    lines[11] = lines[11].replace(",11\n", ",-1\n")
    lines[30] = "not a row\n"
    file = given(HEADER + "".join(lines))

    def make() -> ReplaySource:
        chosen = load_options(ReplayOptions, None, {"path": str(file.path)} | options)
        clock = ManualClock(START)
        context = SourceContext(Path(file.path).parent, clock=clock, wait=clock.advance)
        return ReplaySource(chosen, context)

    whole = take_all(make())
    assert len(whole) == 39 + 38 + 2  # posts, counts, and what is refused
    for place, item in enumerate(whole):
        rest = take_all(make(), json.loads(json.dumps(item.cursor)))
        assert [(i.record, i.cursor) for i in rest] == [
            (i.record, i.cursor) for i in whole[place + 1 :]
        ]


def test_run_that_is_killed_and_goes_on_sends_every_count(given: Callable[..., Any]) -> None:
    file = given(HEADER + "".join(rows(60)))
    calm = Rig(file.source(), file.path.parent / "calm")
    calm.run()
    broker = None
    for stop_after in (25, 50, None):
        rig = Rig(file.source(), file.path.parent / "stopped")
        rig.broker = broker = broker or rig.broker
        rig.producer.broker = broker
        rig.on_send = lambda sent, rig=rig, at=stop_after: rig.stop.set() if sent == at else None
        totals = rig.run()
    assert totals.events_produced == totals.posts_produced == 60


def test_further_rows_of_a_post_are_its_counts_at_other_times(given: Callable[..., Any]) -> None:
    head = "id,author,created_at,text,likes,collected_at\n"
    lines = [
        f"1,ana,2026-03-01T10:00:00Z,flood,{likes},2026-03-01T{at}Z\n"
        for likes, at in ((9, "11:00:00"), (2, "10:05:00"), (5, "10:15:00"))
    ]
    other = "2,ben,2026-03-01T10:10:00Z,kind,1,2026-03-01T10:12:00Z\n"
    expected = ["p1", "c1=2", "p2", "c2=1", "c1=5", "c1=9"]
    for seed in range(4):
        mixed = [*lines, other]
        random.Random(seed).shuffle(mixed)
        file = given(head + "".join(mixed), f"{seed}.csv")
        assert shown(file.items()) == expected
        said = file.said()
        assert "4: 2 will count, 2 have later counts of one" in said
        assert "of 2 posts (likes of 4 rows), sent at the times that rows give them" in said
        assert "repeat the id" not in said


def test_repeated_row_without_a_time_of_counts_is_a_repeated_post(
    given: Callable[..., Any],
) -> None:
    file = given(HEADER + rows(1)[0] * 2)
    assert shown(file.items()) == ["p0", "p0", "c0=0", "c0=0"]
    assert "1 rows repeat the id" in file.said()


def test_same_id_at_another_time_is_another_row_of_a_post_and_no_counts_of_the_first(
    given: Callable[..., Any],
) -> None:
    file = given(
        "id,author,created_at,text,likes,collected_at\n"
        "1,ana,2026-03-01T10:00:00Z,flood,2,2026-03-01T11:00:00Z\n"
        "2,ben,2026-03-01T10:30:00Z,kind,3,2026-03-01T11:30:00Z\n"
        "1,ana,2026-03-01T12:00:00Z,flood,5,2026-03-01T13:00:00Z\n"
    )
    assert shown(file.items()) == ["p1", "p2", "c1=2", "c2=3", "p1", "c1=5"]
    assert "1 rows repeat the id" in file.said()


def test_posts_without_a_time_have_their_counts_after_the_last_that_has_one(
    given: Callable[..., Any],
) -> None:
    file = given(HEADER + rows(1)[0] + "7,ana,,no time,70\n")
    assert shown(file.items()) == ["p0", "p7", "c0=0", "c7=70"]


def test_file_without_any_time_has_no_time_for_its_counts_and_says_so(
    given: Callable[..., Any],
) -> None:
    file = given("id,author,text,likes\n1,ana,flood,3\n")
    source = file.source()
    source.open(None)
    assert shown(source.poll(10, 1.0)) == ["p1"]
    assert source.context.metrics.registry.get_sample_value(
        "groundswell_source_counts_withheld_total", {"source": "replay", "reason": "no_time"}
    ) == 1  # fmt: skip
    assert "counts of 1 posts will not be sent: they have counts and no time" in file.said()


def test_counts_at_the_end_of_time_stop_nothing(given: Callable[..., Any]) -> None:
    assert shown(given(HEADER + "1,ana,9999-12-31T12:00:00Z,flood,3\n").items()) == ["p1"]


def test_shifted_counts_keep_their_distance_divided_by_the_speed(
    given: Callable[..., Any],
) -> None:
    file = given(HEADER + "".join(rows(2)))
    clock = ManualClock(START)
    chosen = load_options(
        ReplayOptions, None, {"path": str(file.path), "times": "shifted", "speed": 3600.0}
    )
    source = ReplaySource(chosen, SourceContext(file.path.parent, clock=clock, wait=clock.advance))
    items = take_all(source)
    assert shown(items) == ["p0", "p1", "c0=0", "c1=1"]
    at = [item.record.claimed_at for item in items]  # type: ignore[union-attr]
    assert at == [START + timedelta(seconds=s) for s in (0, 5, 24, 29)]
    assert [item.record.ingested_at for item in items] == at  # type: ignore[union-attr]
    assert clock.monotonic() == pytest.approx(29.0)


def test_fixed_rate_is_one_of_posts(given: Callable[..., Any]) -> None:
    file = given(HEADER + "".join(rows(20)))
    clock = ManualClock(START)
    chosen = load_options(ReplayOptions, None, {"path": str(file.path), "rate_posts_per_s": 10.0})
    source = ReplaySource(chosen, SourceContext(file.path.parent, clock=clock, wait=clock.advance))
    items = take_all(source)
    due = [item.due_s for item in items]
    assert due == sorted(due)
    assert [i.due_s for i in items if isinstance(i.record, Post)] == [n / 10 for n in range(20)]


def mapped(number: int, *, at: datetime | None = FIRST, **counts: Any) -> MappedRow:
    post = make_post(number)
    return MappedRow(number, post, at, counts=RowCounts((number, None, None, None), **counts))


def test_what_waits_is_bounded_and_the_rest_is_named() -> None:
    pending = PendingCounts(60.0, max_pending=2)
    assert [pending.take(mapped(n)) for n in range(4)] == ["", "", NO_ROOM, NO_ROOM]
    assert [due.totals[0] for due in pending.due(FIRST + timedelta(seconds=60))] == [0, 1]
    assert pending.take(mapped(5)) == ""
    assert PendingCounts(60.0).take(mapped(1, at=None)) == NO_TIME


def test_counts_of_one_time_leave_in_an_order_of_their_own() -> None:
    def order(numbers: list[int]) -> list[Any]:
        pending = PendingCounts(60.0)
        for number in numbers:
            pending.take(mapped(number))
        return list(pending.due(None))

    assert order([3, 1, 2]) == order([2, 3, 1])
