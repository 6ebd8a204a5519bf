"""What goes through the whole stack is what is compared, and what is said is judged by the ledger.

The stack itself is in `tests/integration/test_forecaster_replay.py`.
"""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.forecast_schemas import ForecastEvent
from core.heads import HEADS
from core.schemas import ScoredPost
from evaluation.forecasts.live_ignitions import START, Watched, judge
from evaluation.forecasts.live_run import as_scored, first_posts, numbered, write_recording
from evaluation.forecasts.live_stack import LiveRunFailed
from models.engagement.layout import UNKNOWN
from models.engagement.training.sets import EngagementSet, read_set
from services.ingest.synthetic.utterances import IgnitedPost
from tests.evaluation.forecasts.recorded import write_set


@pytest.fixture
def posts(tmp_path: Path) -> EngagementSet:
    write_set(tmp_path, "tiny", authors=3, posts=10)
    return numbered(read_set(tmp_path, "tiny"))


def test_recording_has_all_posts_in_order_of_time_without_unsettled_counts(
    posts: EngagementSet, tmp_path: Path
) -> None:
    posts.counts[0] = UNKNOWN
    write_recording(tmp_path / "recording.csv", tmp_path, posts)
    with (tmp_path / "recording.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    assert sorted(row["post_id"] for row in rows) == sorted(posts.post_ids.tolist())
    assert [row["likes"] for row in rows].count("") == 1


def test_earliest_posts_of_a_set_stay_author_by_author(posts: EngagementSet) -> None:
    chosen = first_posts(posts, 7)
    assert np.sort(chosen.at_s).tolist() == np.sort(posts.at_s)[:7].tolist()
    assert (np.diff(chosen.author) >= 0).all()


def test_post_that_is_missing_or_another_on_the_stream_is_refused(posts: EngagementSet) -> None:
    with pytest.raises(LiveRunFailed, match=r"30 of 30 posts differ: .* is not on the stream"):
        as_scored(posts, {})
    live = _on_the_stream(posts)
    assert as_scored(posts, live).rated.all()
    name = str(posts.post_ids[4])
    live[name] = msgspec.structs.replace(live[name], shape=(1, 0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(LiveRunFailed, match=f"1 of 30 posts differ: {name} is"):
        as_scored(posts, live)


def _on_the_stream(posts: EngagementSet) -> dict[str, ScoredPost]:
    return {
        name: ScoredPost(
            id=name, source="replay", author="a", model_version="m", rated=True, queries=["all"],
            event_at=datetime.fromtimestamp(float(posts.at_s[row]), UTC), ingested_at=START,
            scores={head: [0] * len(labels) for head, labels in HEADS.items()}, stratum="replay",
            shape=tuple(posts.shapes[row].astype(int).tolist()),
        )
        for row, name in enumerate(posts.post_ids.tolist())
    }  # fmt: skip


def test_events_are_judged_by_the_ledger() -> None:
    ignited = [_ignited("early", 60), _ignited("late", 5_000), _ignited("slow", 5_100)]
    events = [
        _event("late", 600), _event("slow", 601), _event("other", 5), _event("early", 30),
        _event("late", 900, state="resolved"),
        msgspec.structs.replace(_event("turned", 5), kind="crowd_turned"),
    ]  # fmt: skip
    assert judge(ignited, events, 3_600) == {
        "ignited": 2, "in_time": 1, "noticed": 2, "early": 1, "early_in_time": 1, "false": 1,
    }  # fmt: skip


def test_runs_add_up_and_one_false_event_in_so_many_posts_is_good_enough() -> None:
    one = Watched(100_000, 1.0, 10, 9, 10, 0, 0, 1, 0, 2.0)
    assert one.is_good
    assert (one + one).figures()["ignited"] == 20
    assert (one + one).false_per_100k == 1.0
    assert not Watched(100_000, 1.0, 10, 9, 10, 0, 0, 2, 0, 2.0).is_good
    assert not Watched(100_000, 1.0, 10, 8, 10, 0, 0, 0, 0, 2.0).is_good
    assert not Watched(100_000, 1.0, 0, 0, 0, 0, 0, 0, 0, 2.0).is_good


def _ignited(name: str, at_s: float) -> IgnitedPost:
    start = START + timedelta(seconds=at_s)
    return IgnitedPost(
        post_id=name, author="a", start=start, factor=20, normal_likes=30, ages_s=(), likes=(),
        replies=(), reposts=(),
    )  # fmt: skip


def _event(name: str, age_s: float, state: str = "firing") -> ForecastEvent:
    return ForecastEvent(
        event_id=name, kind="taking_off", state=state, query="all", post_id=name,  # type: ignore[arg-type]
        source="synthetic", author="a", posted_at=START,
        decided_at=START + timedelta(seconds=age_s), target="likes", seen=40, surprise=0.0001,
    )  # fmt: skip
