"""Records become what is said; what is wrong is counted, and no clock but ours moves time."""

from datetime import timedelta

import msgspec

from core.clock import ManualClock
from core.metrics import Metrics
from services.responder.intake import (
    MAX_TEXT_CHARS,
    LikesSeen,
    ReplyIntake,
    TextEdited,
    TextGone,
)  # fmt: skip
from testkit.builders import NOON
from tests.services.responder.said import NOON_S, event_of, post_of, record, take_off


def intake() -> tuple[ReplyIntake, Metrics]:
    metrics = Metrics()
    return ReplyIntake(ManualClock(NOON + timedelta(hours=1)), metrics), metrics


def test_posts_replies_and_reposts_are_told_apart() -> None:
    reader, _ = intake()
    reply = reader.post(record(post_of("a", 5, "a word", root="p")))
    assert reply is not None
    assert (reply.name, reply.root, reply.at_s) == ("synthetic|a", "synthetic|p", NOON_S + 5)
    assert reader.post(record(post_of("b", 6, "a word", repost_of="p"))) is None
    assert reader.post(record(post_of("h", 7, "beat", source="heartbeat"))) is None
    assert reader.clock_s == NOON_S + 7
    long = reader.post(record(post_of("c", 8, "x" * 5_000)))
    assert long is not None
    assert len(long.text) == MAX_TEXT_CHARS


def test_events_that_replies_are_ranked_by_are_taken_and_others_are_not() -> None:
    reader, _ = intake()
    found = [
        reader.event(record(event_of(kind, "a", 1, **more)))
        for kind, more in (
            ("counts", {"likes": 4}), ("counts", {"replies": 4}), ("like", {}), ("repost", {}),
            ("edit", {"text": "new"}), ("delete", {}),
        )
    ]  # fmt: skip
    name = "synthetic|a"
    assert found == [
        LikesSeen(name, NOON_S + 1, 4), None, LikesSeen(name, NOON_S + 1, None), None,
        TextEdited(name, "new"), TextGone(name),
    ]  # fmt: skip


def test_rubbish_is_counted_by_reason_and_other_kinds_are_passed_over() -> None:
    reader, metrics = intake()
    assert reader.post(record(b"\xff")) is None
    assert reader.event(record(b"{}")) is None
    assert reader.take_off(record(b"[]")) is None
    for topic, reason in (
        ("posts", "not_utf8"),
        ("post-events", "missing_field"),
        ("events", "not_object"),
    ):
        labels = {"topic": topic, "reason": reason}
        name = "groundswell_records_refused_total"
        assert metrics.registry.get_sample_value(name, labels) == 1
    said = take_off("p", 1)
    assert reader.take_off(record(said)) is not None
    assert reader.take_off(record(msgspec.structs.replace(said, kind="persona"))) is None


def test_nobody_moves_time_into_the_future() -> None:
    reader, _ = intake()
    reader.post(record(post_of("a", 11 * 3_600, "from tomorrow")))
    assert reader.clock_s == NOON_S + 3_600 + 60
