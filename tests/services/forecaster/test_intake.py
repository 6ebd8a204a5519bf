"""Records of our own topics: what forecasts are told of, and that what is skipped is counted."""

from datetime import timedelta

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.metrics import Metrics
from core.schemas import ScoredPost
from models.engagement.items import CountsSeen, PostGone, PostSeen
from models.engagement.layout import author_key, post_key
from services.forecaster.intake import Intake
from services.kafka_client.messages import Record
from testkit.builders import NOON, make_event

KEY = post_key(author_key("synthetic", "a1"), "p1")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(role="forecaster")


@pytest.fixture
def intake(metrics: Metrics) -> Intake:
    return Intake(2, 5, ManualClock(NOON), metrics)


def scored(**changes: object) -> ScoredPost:
    fields: dict = {
        "id": "p1", "source": "synthetic", "author": "a1", "event_at": NOON, "ingested_at": NOON,
        "model_version": "m", "rated": True, "scores": {"sentiment": [1, 2, 3]},
        "queries": ["all", "rail"], "stratum": "synthetic|en|none", "pane_start": NOON,
        "shape": (9, 0, 0, 0, 0, 0, 0, 1),
    }  # fmt: skip
    return ScoredPost(**(fields | changes))


def record(value: object, offset: int = 0, source_offset: object = 6, **headers: str) -> Record:
    named = {"source_topic": "posts", "source_partition": "2", "source_offset": str(source_offset)}
    raw = value if isinstance(value, bytes | None) else encode(value)
    given = tuple((k.replace("_", "-"), v.encode()) for k, v in (named | headers).items())
    return Record(2, offset, b"a1", raw, given, 1_000)


def _count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"groundswell_{name}_total", labels) or 0.0


def test_a_scored_post_becomes_what_the_forecasts_are_told(intake: Intake) -> None:
    found = intake.post(record(scored(), 40))
    assert (found.offset, found.source_offset, found.is_post) == (40, 6, True)
    assert found.at_s == NOON.timestamp()
    assert found.item == PostSeen(
        KEY, "p1", "synthetic", "a1", NOON.timestamp(), (9, 0, 0, 0, 0, 0, 0, 1),
        {"sentiment": [1, 2, 3]}, True, ("rail",),
    )  # fmt: skip


def test_repeats_edits_and_heartbeats_are_no_posts(intake: Intake, metrics: Metrics) -> None:
    assert intake.post(record(scored(), 1, 6)).item is not None
    for again in (record(scored(), 2, 6), record(scored(), 3, 5)):
        assert intake.post(again).item is None
    assert _count(metrics, "forecast_posts", outcome="repeated") == 2
    assert intake.post(record(scored(edit=True), 4, 7, source_topic="post-events")).item is None
    assert _count(metrics, "forecast_posts", outcome="edit") == 1
    beat = intake.post(record(scored(source="heartbeat"), 5, 8))
    assert (beat.item, beat.at_s) == (None, None)
    assert intake.post(record(scored(), 6, 7)).item is not None, "an edit's is another topic's"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (record(b"{"), "not_json"),
        (record(None), "not_json"),
        (record(b"\xff"), "not_utf8"),
        (record(encode(scored()).replace(b'"v":1', b'"v":9')), "unknown_version"),
        (record(scored(ingested_at=NOON + timedelta(days=2))), "out_of_range"),
        (record(scored(), source_partition="3"), "out_of_range"),
        (record(scored(), source_offset="-4"), "missing_field"),
        (record(scored(), source_topic="alerts"), "missing_field"),
        (Record(2, 0, b"a1", encode(scored())), "missing_field"),
    ],
)
def test_what_cannot_be_used_is_counted_and_skipped(
    intake: Intake, metrics: Metrics, broken: Record, reason: str
) -> None:
    found = intake.post(broken)
    assert (found.item, found.at_s, found.is_post) == (None, None, True)
    assert _count(metrics, "records_refused", topic="scored-posts", reason=reason) == 1
    assert intake.post(record(scored())).item is not None


def test_events_become_counts_and_deletions(intake: Intake, metrics: Metrics) -> None:
    at = NOON + timedelta(minutes=5)
    claim = {"claimed_at": at, "ingested_at": at + timedelta(seconds=3)}
    totals = intake.event(record(make_event("counts", 1, likes=4, reposts=0, **claim), 7))
    assert totals.item == CountsSeen(KEY, "p1", "synthetic", "a1", at.timestamp(), (4, None, 0))
    assert (totals.offset, totals.is_post, totals.source_offset) == (7, False, -1)
    for kind, single in (("like", 0), ("reply", 1), ("repost", 2)):
        item = intake.event(record(make_event(kind, 1, **claim))).item
        assert item == CountsSeen(KEY, "p1", "synthetic", "a1", at.timestamp(), None, single)
    gone = intake.event(record(make_event("delete", 1, **claim)))
    assert gone.item == PostGone(KEY, at.timestamp())
    edit = intake.event(record(make_event("edit", 1, text="x", **claim)))
    assert (edit.item, edit.at_s) == (None, None)
    assert intake.event(record(b"[]")).item is None
    assert _count(metrics, "records_refused", topic="post-events", reason="not_object") == 1


def test_the_time_of_an_event_is_held_to_its_ingest(intake: Intake) -> None:
    far = make_event("like", 1, claimed_at=NOON + timedelta(days=9), ingested_at=NOON)
    assert intake.event(record(far)).at_s == NOON.timestamp() + 60
    unknown = make_event("like", 1, claimed_at=None, ingested_at=NOON)
    assert intake.event(record(unknown)).at_s == NOON.timestamp()
