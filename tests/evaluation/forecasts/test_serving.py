"""Recorded posts are served in order of time, and judged as the partition itself judges them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidAnswer
from core.forecast_settings import ForecastSettings
from evaluation.forecasts import serving
from evaluation.forecasts.assembling import judged_of, of_split, outcomes_of
from evaluation.forecasts.floors import FLOOR
from evaluation.forecasts.judging import SERVED, covered
from evaluation.forecasts.serving import Scored, Served, items_of, serve
from models.engagement.history import DAY_S
from models.engagement.items import CountsSeen, PostSeen
from models.engagement.layout import STEPS, UNKNOWN, to_log16
from models.engagement.training.dataset import examples
from tests.evaluation.forecasts.recorded import by_the_median, recorded

SETTINGS = ForecastSettings(ages_s=(), events_per_hour=0)


def test_counts_come_when_the_horizon_is_over_and_posts_in_order(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=3, posts=20)
    ones = np.ones(len(scored.posts))
    items = list(items_of(scored, scored.in_time(), DAY_S, ones))
    assert [item.at_s for item in items] == sorted(item.at_s for item in items)
    posted = {item.key: item.at_s for item in items if isinstance(item, PostSeen)}
    counts = [item for item in items if isinstance(item, CountsSeen)]
    assert len(posted) == len(counts) == len(scored.posts)
    assert all(item.at_s == posted[item.key] + DAY_S - 1 for item in counts)
    row = scored.in_time()[0]
    first = next(item for item in counts if item.post_id == scored.posts.post_ids[row])
    assert first.totals is not None
    kept = to_log16(np.log1p(np.array(first.totals, np.float64)))
    np.testing.assert_array_equal(kept, scored.posts.counts[row])


def test_posts_that_have_not_settled_come_without_counts(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=2, posts=5)
    scored.posts.counts[3] = UNKNOWN
    items = items_of(scored, scored.in_time(), DAY_S, np.ones(10))
    assert scored.posts.post_ids[3] not in {i.post_id for i in items if isinstance(i, CountsSeen)}


@pytest.fixture
def unrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish counts as they are kept, not to a hundredth of one."""
    monkeypatch.setattr(
        "models.engagement.shown.as_expected",
        lambda logs: tuple(math.expm1(log) for log in logs),
    )


def kept(logs: Any) -> Any:
    """Return logs as the books keep them, in steps."""
    return to_log16(logs).astype(np.float64) / STEPS


def even(scored: Scored) -> Scored:
    """Return posts with counts whose logs are even steps: medians between two are steps as well."""
    counts = np.arange(1_000_000)
    steps = to_log16(np.log1p(counts))
    usable = steps[steps % 2 == 0]
    at = np.searchsorted(usable, scored.posts.counts[:, 0])
    scored.posts.counts[:, 0] = usable[at]
    return scored


def judged_again(scored: Scored, served: Served, chosen: Any) -> tuple[Any, Any, float]:
    """Return settled and judged posts, and the skill by what is kept of them."""
    settled = judged_of(scored.posts, served, chosen, DAY_S)
    judged = settled.of_known_authors()
    came = kept(judged.logs)
    error, floor = (np.abs(came - kept(judged.points[name])).sum() for name in (SERVED, FLOOR))
    return settled, judged, 1 - error / floor


@pytest.mark.usefixtures("unrounded")
def test_books_of_the_engine_say_the_same_as_the_straight_way(tmp_path: Path) -> None:
    # So many likes that no quantile is cut at zero when it is published.
    scored = even(recorded(tmp_path, authors=8, posts=60, usual=7))
    scored.posts.counts[::17] = UNKNOWN
    served = serve(scored, by_the_median, SETTINGS)
    books = next(one for one in served.quality if one.kind == "source")
    settled, judged, skill = judged_again(scored, served, of_split(scored.posts, "all"))
    assert (books.total.outcomes, books.total.judged) == (len(settled), len(judged))
    assert books.total.skill == pytest.approx(skill, abs=1e-9)
    quantiles = settled.quantiles[SERVED]
    inside = np.rint(covered(settled.logs, quantiles) * 1000) / 1000
    assert books.total.coverage == pytest.approx(inside.mean(), abs=1e-9)


@pytest.mark.usefixtures("unrounded")
def test_recent_books_are_of_the_last_outcomes_that_became_known(tmp_path: Path) -> None:
    scored = even(recorded(tmp_path, authors=8, posts=70, seed=3))
    served = serve(scored, by_the_median, SETTINGS)
    books = next(one for one in served.quality if one.kind == "source")
    last = np.zeros(len(scored.posts), np.bool_)
    last[scored.in_time()[-SETTINGS.quality_outcomes :]] = True
    _, _, skill = judged_again(scored, served, last)
    assert books.recent.outcomes == SETTINGS.quality_outcomes
    assert books.recent.skill == pytest.approx(skill, abs=1e-9)


def same(one: Served, other: Served, rows: Any) -> None:
    np.testing.assert_array_equal(one.served[rows], other.served[rows])
    np.testing.assert_array_equal(one.model[rows], other.model[rows])


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = recorded(tmp_path, authors=4, posts=30)
    whole = serve(scored, by_the_median, SETTINGS)
    monkeypatch.setattr(serving, "BATCH", 7)
    parts = serve(scored, by_the_median, SETTINGS)
    same(whole, parts, np.arange(len(scored.posts)))
    assert whole.quality == parts.quality


def test_what_comes_later_changes_no_forecast(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=4, posts=30)
    before = serve(scored, by_the_median, SETTINGS)
    at_s = scored.posts.at_s
    moment = float(np.median(at_s))
    later = np.flatnonzero(at_s + DAY_S > moment)
    scored.posts.counts[later] = np.random.default_rng(1).permutation(scored.posts.counts[later])
    after = serve(scored, by_the_median, SETTINGS)
    same(before, after, at_s <= moment)
    assert not np.array_equal(before.served, after.served)


def test_model_is_trained_on_what_it_is_asked_on_the_stream(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=30, posts=40)
    scored.posts.counts[::7] = UNKNOWN  # nothing came to be known of these
    asked: dict[int, tuple[Any, Any]] = {}

    def ask(rows: Any, features: Any, sequence: Any) -> Any:
        asked.update(zip(rows.tolist(), zip(features, sequence, strict=True), strict=True))
        return by_the_median(rows, features, sequence)

    serve(scored, ask, SETTINGS)
    seen = examples(scored.posts).seen
    for row, (features, sequence) in asked.items():
        np.testing.assert_array_equal(features, seen.features[row])
        np.testing.assert_array_equal(sequence, seen.sequence[row])
    assert len(asked) == len(scored.posts)


def test_partition_that_leaves_posts_out_is_no_evaluation(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=5, posts=10)
    with pytest.raises(InvalidAnswer, match="the partition asks about"):
        serve(scored, by_the_median, ForecastSettings(ages_s=(), track_one_in=3))


def test_outcomes_are_those_of_the_set(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=2, posts=5)
    np.testing.assert_array_equal(np.isnan(outcomes_of(scored.posts, 2)), True)
    assert not np.isnan(outcomes_of(scored.posts)).any()
