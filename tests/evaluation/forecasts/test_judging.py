"""Errors, orders, quantiles and zeros are judged as their names say; intervals are of authors."""

import numpy as np
import pytest

from evaluation.forecasts.floors import FLOOR
from evaluation.forecasts.intervals import clusters_of, figures_of, mean_of, skill_of
from evaluation.forecasts.judging import (
    LEAST_POSTS,
    MODEL,
    SERVED,
    Judged,
    at_least_one,
    author_orders,
    author_skills,
    covered,
    is_inside,
    pinball,
    ranks,
    skill,
    spearman,
)
from models.engagement.layout import LEVELS


def judged(authors: int = 40, posts: int = 30, gain: float = 0.2, seed: int = 0) -> Judged:
    """Authors whose floor is off by one on average, and what is served by `gain` less."""
    rng = np.random.default_rng(seed)
    count = authors * posts
    logs = rng.uniform(2, 6, count)
    off = rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 1.5, count)
    spread = np.array([-1.5, -0.7, 0, 0.7, 1.5])
    points = {FLOOR: logs + off, "days30": logs + off, SERVED: logs + (1 - gain) * off}
    points[MODEL] = points[SERVED]
    return Judged(
        np.repeat(np.arange(authors), posts), rng.uniform(0, 30 * 86_400, count), logs,
        points,
        {name: points[name][:, None] + spread for name in (FLOOR, MODEL, SERVED)},
        {name: np.full(count, 0.9) for name in (FLOOR, MODEL, SERVED)},
    )  # fmt: skip


def test_skill_is_the_share_of_the_floors_error_that_is_saved() -> None:
    assert skill(np.array([1.0, 1.0]), np.array([2.0, 2.0])) == 0.5
    assert skill(np.array([3.0]), np.array([2.0])) == -0.5
    assert skill(np.zeros(2), np.zeros(2)) == 0
    found = figures_of(judged(gain=0.2), 50)
    assert found["skill_med32"].value == pytest.approx(0.2)
    assert found["never_worse"].value == pytest.approx(0.8)
    assert found["authors_positive_share"].value == 1


def test_model_that_is_worse_than_the_floor_is_said_to_be() -> None:
    found = figures_of(judged(gain=-0.1), 50)
    assert found["skill_med32"].high < 0
    assert found["never_worse"].value == pytest.approx(1.1)
    assert found["authors_positive_share"].value == 0


def test_authors_of_few_posts_count_for_no_figure_of_authors() -> None:
    few = judged(posts=LEAST_POSTS - 1)
    assert len(author_skills(few)) == len(author_orders(few)) == 0
    found = figures_of(few, 20)
    assert np.isnan(found["authors_positive_share"].value)
    assert np.isnan(found["spearman"].value)
    assert found["skill_med32"].value == pytest.approx(0.2)
    assert len(author_skills(judged(posts=LEAST_POSTS))) == 40


def test_order_within_an_author_is_spearmans() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 5])) == pytest.approx(-0.2)
    assert np.isnan(spearman(np.ones(3), np.array([1.0, 2, 3])))


def test_quantile_loss_and_coverage_are_by_the_levels_of_the_model() -> None:
    quantiles = np.array([[1.0, 2, 3, 4, 5]] * 3)
    logs = np.array([3.0, 0.5, 5.0])
    assert is_inside(logs, quantiles).tolist() == [True, False, True]
    first = [
        max(q * (3 - v), (q - 1) * (3 - v)) for q, v in zip(LEVELS, (1, 2, 3, 4, 5), strict=True)
    ]
    assert pinball(logs, quantiles)[0] == pytest.approx(np.mean(first))


def test_coverage_of_counts_as_forecast_is_80_percent_also_where_most_posts_get_nothing() -> None:
    rng = np.random.default_rng(7)
    draws = 200_000
    for middle, down, up in ((0.2, 0.2, 0.9), (3.0, 0.8, 1.5), (8.0, 1.0, 1.0)):
        quantiles = np.tile([middle - down, 0, middle, 0, middle + up], (draws, 1))
        above = rng.uniform(size=draws)  # the chance of more than what is drawn
        tail = np.where(above < 0.5, above, 1 - above)
        away = np.where(tail > 0.1, (0.5 - tail) / 0.4, 1 - 0.445 * np.log(tail / 0.1))
        drawn = middle + np.where(above < 0.5, up, -down) * away
        counts = np.maximum(np.rint(np.expm1(drawn)), 0)
        logs = np.log1p(counts)
        assert covered(logs, quantiles).mean() == pytest.approx(0.8, abs=0.003)
        if middle > 5:
            assert is_inside(logs, quantiles).mean() == pytest.approx(0.8, abs=0.003)
        if middle < 1:
            assert is_inside(logs, quantiles).mean() > 0.84


def test_chance_of_any_like_lies_between_the_quantiles_of_one() -> None:
    half = float(np.log1p(0.5))
    rows = np.array([
        [0, 0, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, half, 1, 1], [0, 0, 0, half - 0.1, half + 0.1],
    ])  # fmt: skip
    assert at_least_one(rows) == pytest.approx([0.05, 0.95, 0.5, 1 - (0.75 + 0.15 / 2)])


def test_intervals_are_of_authors_and_of_days_where_authors_are_few() -> None:
    many, few = judged(authors=30), judged(authors=2, posts=600)
    assert clusters_of(many).are_authors
    days = clusters_of(few)
    assert not days.are_authors
    assert days.count == len(np.unique(few.at_s // 86_400))
    for of in (many, few):
        found = skill_of(of, SERVED, FLOOR, clusters_of(of), 200)
        assert found.low <= found.value <= found.high


def test_authors_who_are_all_alike_inside_leave_more_open_than_single_posts_would() -> None:
    of = judged(authors=25, posts=40)
    by_author = (of.authors % 2).astype(np.float64)
    found = mean_of(by_author, clusters_of(of), 500)
    as_posts = 1.96 * np.sqrt(0.25 / len(of))
    assert found.high - found.value > 3 * as_posts


def test_figures_are_the_same_every_time() -> None:
    assert figures_of(judged(), 40) == figures_of(judged(), 40)
