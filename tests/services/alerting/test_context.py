"""When panes say nothing about the public, from heartbeats, sources and model versions."""

from datetime import UTC, datetime

import msgspec
import pytest

from core.clock import from_epoch_ms
from core.schemas import Stratum, Window
from core.settings import AlertSettings, Settings, ShiftSettings
from services.alerting.context import (
    GONE_AFTER_S,
    INGEST_UNHEALTHY,
    MAX_SOURCES,
    MODEL_CHANGED,
    SOURCE_MISSING,
    PaneConditions,
    Remembered,
)

START = 1_772_366_400
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def around() -> PaneConditions:
    alerts = AlertSettings(heartbeat_limit_s=60.0)
    return PaneConditions(Settings(alerts=alerts, shifts=ShiftSettings(model_silence_s=600)))


def everyone(start_s: int, **posts: int) -> Window:
    strata = {f"{source}|en|none": Stratum(n, n, 0, 0) for source, n in posts.items()}
    start = from_epoch_ms(start_s * 1000)
    return Window(
        query="all", start=start, end=start, revision=0, counters={}, authors=1,
        closed_at=NOON, strata=strata,
    )  # fmt: skip


def run(around: PaneConditions, first: int, panes: int, **posts: int) -> frozenset[str]:
    """Let panes pass; return the sources that are missing then."""
    context = None
    for number in range(first, first + panes):
        start_s = START + 60 * number
        context = around.pane(start_s, everyone(start_s, **posts) if posts else None, 1)
    assert context is not None
    return context.missing_sources


def test_a_source_that_falls_silent_is_missing_within_minutes_and_back_with_its_first_post(
    around: PaneConditions,
) -> None:
    assert run(around, 0, 30, bluesky=40, rss=10) == frozenset()
    assert run(around, 30, 1, rss=10) == {"bluesky"}
    assert around.causes(START)[SOURCE_MISSING]
    assert run(around, 31, 60, rss=10) == {"bluesky"}
    assert run(around, 91, 1, bluesky=3, rss=10) == frozenset()


def test_a_small_source_is_not_missed_by_chance(around: PaneConditions) -> None:
    run(around, 0, 30, bluesky=40, rss=2)
    assert run(around, 30, 8, bluesky=40) == frozenset()


def test_when_nobody_speaks_all_sources_are_missing(around: PaneConditions) -> None:
    run(around, 0, 30, bluesky=40, rss=30)
    assert run(around, 30, 2) == {"bluesky", "rss"}


def test_a_source_that_is_gone_for_a_day_is_missed_no_more(around: PaneConditions) -> None:
    run(around, 0, 30, bluesky=40, rss=10)
    assert run(around, 30, GONE_AFTER_S // 60, rss=10) == {"bluesky"}
    assert run(around, 30 + GONE_AFTER_S // 60, 2, rss=10) == frozenset()


def test_sources_are_bounded(around: PaneConditions) -> None:
    run(around, 0, 3, **{f"s{n}": 5 for n in range(2 * MAX_SOURCES)})
    assert len(around.remembered.sources) == MAX_SOURCES


def test_old_heartbeats_are_trouble_unless_posts_move_their_partition(
    around: PaneConditions,
) -> None:
    for partition in (0, 1):
        around.note(partition, 10, "", now_s=0)
        around.note(partition, 11, "", now_s=1)
    around.note_heartbeats({0: 5.0, 1: 7.0}, now_s=30)
    assert around.pane(START, None, 1).healthy
    around.note(1, 900, "", now_s=400)
    around.note_heartbeats({1: 300.0}, now_s=410)
    assert around.pane(START, None, 1).healthy  # a long backlog: the heartbeats are behind it
    around.note_heartbeats({0: 300.0}, now_s=410)
    context = around.pane(START, None, 1)
    assert not context.healthy
    assert context.silent
    assert around.causes(START)[INGEST_UNHEALTHY]


def test_a_closer_that_has_just_begun_takes_an_old_heartbeat_at_its_word(
    around: PaneConditions,
) -> None:
    around.note(0, 10, "", now_s=0)
    around.note_heartbeats({0: 300.0}, now_s=1)
    assert not around.pane(START, None, 1).healthy


def test_without_heartbeats_nothing_is_known_against_ingest(around: PaneConditions) -> None:
    around.note_heartbeats({}, now_s=1)
    assert around.pane(START, None, 1).healthy


def test_a_new_model_counts_once_every_partition_is_scored_by_it(around: PaneConditions) -> None:
    around.note(0, 1, "a", now_s=0)
    around.note(1, 1, "a", now_s=0)
    assert around.pane(START, None, 1).model_version == "a"
    assert not around.causes(START)[MODEL_CHANGED]
    around.note(0, 2, "b", now_s=0)
    assert around.pane(START + 60, None, 1).model_version == "a"
    around.note(1, 2, "b", now_s=0)
    around.note(1, 3, "", now_s=0)
    assert around.pane(START + 120, None, 1).model_version == "b"
    assert around.causes(START + 180)[MODEL_CHANGED]
    assert not around.causes(START + 800)[MODEL_CHANGED]


def test_what_is_remembered_survives_the_closer(around: PaneConditions) -> None:
    run(around, 0, 30, bluesky=40, rss=10)
    packed = msgspec.msgpack.encode(around.remembered)
    again = PaneConditions(around.settings, msgspec.msgpack.decode(packed, type=Remembered))
    assert run(again, 30, 1, rss=10) == {"bluesky"}
