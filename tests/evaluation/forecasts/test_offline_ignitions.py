"""Made-up posts through one partition: what it is told, and how what it says is counted."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from core.schemas import Post, PostEvent
from evaluation.forecasts.ignition_figures import figures_of, poisson_interval, wilson_interval
from evaluation.forecasts.live_ignitions import START, Watched
from evaluation.forecasts.offline_ignitions import (
    Heard,
    items_of,
    options_of,
    watch_offline,
)
from models.engagement.items import CountsSeen, PostGone, PostSeen
from services.ingest.synthetic.utterances import IgnitedPost, Utterance
from testkit.forecasts import answer

_HORIZON_S = 3_600
_WARM_S = 2 * _HORIZON_S


def _said(record: Post | PostEvent, kind: str, ignited: IgnitedPost | None = None) -> Utterance:
    return Utterance(1, 0, kind, record, ignited=ignited)  # type: ignore[arg-type]


def _event(kind: str, **counts: int) -> Utterance:
    later = START + timedelta(seconds=300)
    event = PostEvent(
        kind=kind, post_id="1", source="synthetic", author="ann", ingested_at=later, **counts  # type: ignore[arg-type]
    )  # fmt: skip
    return _said(event, "event")


def test_a_partition_is_told_of_posts_counts_and_deletions_and_not_of_the_rest() -> None:
    ignited = IgnitedPost(
        post_id="1", author="ann", start=START, factor=20, normal_likes=30, ages_s=(), likes=(),
        replies=(), reposts=(),
    )  # fmt: skip
    post = Post(
        id="1", source="synthetic", author="ann", text="hello?", ingested_at=START,
        claimed_at=START + timedelta(days=3),
    )  # fmt: skip
    heard = Heard()
    said = [
        _said(post, "post", ignited), _said(post, "duplicate"), _event("counts", likes=3),
        _event("repost"), _event("delete"),
    ]  # fmt: skip
    seen, counts, single, gone = items_of(said, heard)
    assert isinstance(seen, PostSeen)
    assert (seen.at_s - START.timestamp(), seen.shape[0]) == (60, 6)  # a clock that is wrong
    assert isinstance(counts, CountsSeen)
    assert (counts.totals, counts.at_s - START.timestamp()) == ((3, None, None), 300)
    assert isinstance(single, CountsSeen)
    assert single.single == 2
    assert isinstance(gone, PostGone)
    assert {seen.key, counts.key, single.key} == {gone.key}
    assert heard.ignited == [ignited]
    assert heard.posted_s == {"1": seen.at_s}


def test_what_takes_off_is_noticed_once_outcomes_are_known_and_more_of_it_at_a_looser_level() -> (
    None
):  # fmt: skip
    options = options_of(3, 3.5, 600, 300.0, _HORIZON_S)
    found = {
        share: watch_offline(options, _settings(share), _answers, _WARM_S) for share in (0.001, 1.0)
    }
    (strict, _), (open_, noticed) = found[0.001], found[1.0]
    assert (strict.ignited, strict.tracked) == (open_.ignited, open_.tracked)
    assert strict.early > 0
    assert 700 < open_.tracked < 1_100
    assert strict.hours == 1.5
    assert strict.noticed + strict.false < open_.noticed + open_.false
    assert open_.noticed > 0
    assert len(noticed) == open_.ignited
    assert sum(age_s <= 600 for _, age_s in noticed) == open_.in_time


def test_only_posts_of_later_count_and_what_the_budget_keeps_from_being_told_then() -> None:
    options = options_of(3, 3.5, 600, 300.0, _HORIZON_S)
    whole, _ = watch_offline(options, _settings(1.0, events_per_hour=1), _answers, _WARM_S)
    late, _ = watch_offline(options, _settings(1.0, events_per_hour=1), _answers, 3 * _HORIZON_S)
    assert late.tracked < whole.tracked
    assert late.false + late.noticed < whole.false + whole.noticed
    assert 0 < late.held_back < whole.held_back


def test_false_events_are_counted_by_posts_and_by_posts_that_wait() -> None:
    noticed = [(12.0, 300.0), (12.0, math.inf), (60.0, 600.0)]
    day = figures_of(Watched(50_000, 40.0, 10, 9, 10, 0, 0, 6, 0, 1.0), 86_400, noticed)
    assert day["false_per_100k"] == 12
    assert day["false_an_hour_per_100k_waiting"] == pytest.approx(0.5)
    assert day["false_an_hour_per_100k_waiting_high"] == pytest.approx(0.5 * 13.06 / 6, rel=1e-3)
    assert day["recall_10min"] == 0.9
    assert day["recall_10min_low"] == pytest.approx(0.596, abs=1e-3)
    assert (day["factor_10_15.ignited"], day["factor_10_15.in_time"]) == (2, 1)
    assert (day["factor_50_100.ignited"], day["factor_50_100.in_time"]) == (1, 1)


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (50, 37.11, 65.92)]
)
def test_intervals_of_numbers_are_those_of_garwood(events: int, low: float, high: float) -> None:
    assert poisson_interval(events) == pytest.approx((low, high), rel=1e-3)


def test_shares_of_nothing_may_be_anything() -> None:
    assert wilson_interval(0, 0) == (0, 1)
    assert wilson_interval(0, 20)[0] == 0
    assert wilson_interval(20, 20) == pytest.approx((0.8389, 1), abs=1e-4)


def _settings(share: float, events_per_hour: int = 100) -> ForecastSettings:
    return ForecastSettings(
        horizon_s=_HORIZON_S, ages_s=(300,), quality_outcomes=100, surprise=0.05,
        false_share=share, events_per_hour=events_per_hour,
    )  # fmt: skip


def _answers(rows: object, features: np.ndarray, sequence: np.ndarray) -> EngagementAnswer:
    return answer(features)
