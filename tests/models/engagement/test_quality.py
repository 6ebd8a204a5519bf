"""Sums, skill, coverage and ranks of judged outcomes, and when a source is greyed."""

import numpy as np
import pytest

from models.engagement.layout import STEPS, UNKNOWN
from models.engagement.levels import REMEMBERED, UsualCounts
from models.engagement.quality import QualityLog


def judgements(served: int, floor: int, number: int) -> list[tuple[int, int, int, int, int]]:
    return [(3_000 + served, 3_000 + floor, 3_000, 1_000, 1)] * number


def filled(*parts: list[tuple[int, int, int, int, int]], size: int = 100) -> QualityLog:
    log = QualityLog(size)
    for part in parts:
        for judgement in part:
            log.add(judgement)
    return log


def test_skill_is_one_less_the_error_over_that_of_the_floor() -> None:
    log = filled(judgements(300, 600, 10))
    assert log.total().skill == pytest.approx(0.5)
    assert log.total().error == pytest.approx(10 * 300 / STEPS)
    assert log.total().coverage == 1


def test_the_last_outcomes_are_looked_at_and_all_are_summed() -> None:
    log = filled(judgements(300, 600, 500), judgements(600, 300, 100))
    assert log.recent().outcomes == 100
    assert log.recent().skill == pytest.approx(-1)
    assert log.total().outcomes == 600


def test_a_source_is_greyed_as_soon_and_as_long_as_skill_is_gone() -> None:
    assert not filled(judgements(600, 300, 19)).is_greyed()  # too few to say
    assert filled(judgements(600, 300, 20)).is_greyed()
    assert filled(judgements(300, 300, 20)).is_greyed()
    assert not filled(judgements(600, 300, 100), judgements(300, 600, 60)).is_greyed()


def test_outcomes_of_new_authors_count_for_coverage_alone() -> None:
    log = filled([(1, 2, 3, 500, 0)])
    total = log.total()
    assert (total.outcomes, total.judged, total.error) == (1, 0, 0)
    assert (total.coverage, total.skill) == (0.5, None)


def test_ranks_agree_with_a_count_of_pairs() -> None:
    rng = np.random.default_rng(0)
    served = rng.integers(0, 20, 60)
    outcomes = served + rng.integers(0, 20, 60)
    log = filled([(int(s), 0, int(o), 0, 1) for s, o in zip(served, outcomes, strict=True)])

    def ranks(values: np.ndarray) -> np.ndarray:
        return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])

    expected = np.corrcoef(ranks(served), ranks(outcomes))[0, 1]
    assert log.rank_correlation() == pytest.approx(expected)


def test_there_is_no_rank_correlation_of_few_or_equal_ones() -> None:
    assert filled(judgements(1, 1, 9)).rank_correlation() is None
    assert filled(judgements(1, 1, 50)).rank_correlation() is None


def test_what_is_kept_is_what_was() -> None:
    log = filled(judgements(300, 600, 50), judgements(600, 300, 100))
    again = QualityLog.from_parts(log.to_parts(), 100)
    assert (again.recent(), again.total()) == (log.recent(), log.total())
    assert again.to_parts() == log.to_parts()
    with pytest.raises(ValueError, match="part of an outcome"):
        QualityLog.from_parts((1, 1, 1, 1, 1, b"x"), 100)


def test_what_is_usual_is_the_median_of_the_last_known_outcomes() -> None:
    usual = UsualCounts()
    for count in range(200):
        usual.add([count, UNKNOWN, 7])
    last = list(range(200 - REMEMBERED, 200))
    assert usual.outcomes() == [last, [], [7] * REMEMBERED]
    assert usual.medians() == [last[(REMEMBERED - 1) // 2], 0, 7]
