"""Baselines: the split into mix and opinion is exact, seasons are learnt, doubt is honest."""

import numpy as np
import pytest

from core.settings import ShiftSettings
from stream.shifts import baseline, seasons
from stream.shifts.advance import advance
from stream.shifts.columns import Rows
from stream.shifts.cores import new_cores
from stream.shifts.kinds import volume
from stream.shifts.layout import PANE, F, S

SETTINGS = ShiftSettings(warmup_s=0)
MONDAY_S = 1_772_409_600


def pane(minute: int, counts: list[float], means: list[float]) -> Rows:
    found = np.zeros(1, dtype=PANE)
    found["start"] = MONDAY_S + 60 * minute
    found["posts"] = found["authors"] = sum(counts)
    found["rated"][0, 1 : 1 + len(counts)] = counts
    found["sentiment"][0, 1 : 1 + len(counts)] = np.multiply(counts, means)
    found["square"] = sum(counts) * 0.36
    return found


def taught(hours: int, every: int = 10, depth: float = 0.0) -> Rows:
    """Return a core that has seen some hours, a pane every so many minutes."""
    core = new_cores(1)
    for minute in range(0, hours * 60, every):
        mood = depth * np.cos(2 * np.pi * minute / 1440)
        advance(core, pane(minute, [400, 300, 200], [0.3 + mood, -0.2 + mood, mood]), SETTINGS, 60)
    return core


@pytest.mark.parametrize("hours", [1, 30])
def test_parts_of_the_strata_add_up_to_observed_less_expected(hours: int) -> None:
    core, now = taught(hours), pane(hours * 60, [100, 500, 50], [0.1, -0.6, 0.4])
    found = baseline.expect(core, now, seasons.features(now["start"]))
    observed = now["sentiment"].sum() / now["rated"].sum()
    assert found.shares.sum() == pytest.approx(1.0, abs=1e-6)
    assert (found.shares * found.levels).sum() == pytest.approx(found.base[0], abs=1e-6)
    assert found.opinion[0] + found.mix[0] == pytest.approx(observed - found.base[0], abs=1e-6)
    assert found.opinion_strata.sum() / 650 == pytest.approx(found.opinion[0], abs=1e-6)
    assert found.mix_strata.sum() / 650 == pytest.approx(found.mix[0], abs=1e-6)


def test_a_change_of_shares_alone_is_all_mix() -> None:
    core, now = taught(30), pane(1800, [900, 100, 100], [0.3, -0.2, 0.0])
    found = baseline.expect(core, now, seasons.features(now["start"]))
    assert found.mix[0] > 0.1
    assert abs(found.opinion[0]) < 0.01


def test_a_change_within_strata_alone_is_all_opinion() -> None:
    core, now = taught(30), pane(1800, [400, 300, 200], [0.1, -0.4, -0.2])
    found = baseline.expect(core, now, seasons.features(now["start"]))
    assert found.opinion[0] == pytest.approx(-0.2, abs=0.01)
    assert abs(found.mix[0]) < 0.005


def test_a_daily_season_is_expected_on_the_third_day() -> None:
    core = taught(48, depth=0.1)
    core["firing"] = 0
    for hour in (2, 9, 15):
        at = np.array([MONDAY_S + 2 * 86_400 + 3600 * hour])
        expected = seasons.features(at) @ core["weights"][0, :, 0]
        usual = (0.3 * 4 - 0.2 * 3) / 9
        assert expected[0] == pytest.approx(usual + 0.1 * np.cos(np.pi * hour / 12), abs=0.02)


def test_hours_that_were_never_seen_are_doubted_more() -> None:
    core = taught(30)
    at = np.array([MONDAY_S + 30 * 3600, MONDAY_S + 5 * 86_400])
    outer = seasons.products(seasons.features(at))
    doubt = seasons.quadratic(np.repeat(core["inverse"], 2, axis=0), outer)
    assert doubt[1] > 2 * doubt[0]


def test_volume_on_its_scale_has_unit_variance_for_few_and_for_many_posts() -> None:
    rng = np.random.default_rng(3)
    for rate in (5.0, 50.0, 5_000.0):
        core = new_cores(4_000)
        core["volume_weights"][:, 0] = np.log(rate)
        core["excess"] = (0.02, 1.0)
        found = np.zeros(4_000, dtype=PANE)
        found["posts"] = rng.poisson(rate * rng.gamma(50, 0.02, 4_000))
        seen = volume.KIND.expect(core, found, seasons.features(np.full(4_000, MONDAY_S)))
        errors = seen.log_ratio / seen.error
        assert errors.std() == pytest.approx(1.0, abs=0.08)
        assert errors.mean() == pytest.approx(0.0, abs=0.08)


def test_shapes_are_those_that_states_are_kept_in() -> None:
    assert seasons.features(np.array([MONDAY_S])).shape == (1, F)
    matrix = np.arange(F * F, dtype=np.float64).reshape(1, F, F)
    symmetric = matrix + matrix.transpose(0, 2, 1)
    assert seasons.unpacked(seasons.packed(symmetric)).tolist() == symmetric.tolist()
    assert new_cores(1)["tilt"].shape == (1, S)
