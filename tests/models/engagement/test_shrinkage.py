"""How far the model is believed that posts of a source differ in how uncertain they are."""

import math

import numpy as np
import pytest

from models.engagement.conformal import Spread
from models.engagement.shrinkage import AS_MODELLED, FIRST, ShrunkWidths, are_shrunk

POSTS = 4_000


def taught(power: float, seed: int = 1) -> ShrunkWidths:
    """Return what is learnt where true widths are the usual one times the modelled to a power."""
    rng = np.random.default_rng(seed)
    widths = ShrunkWidths()
    for modelled, off in zip(rng.normal(0, 0.4, POSTS), rng.normal(0, 0.8, POSTS), strict=True):
        width = math.exp(modelled)
        count = round(math.expm1(8 + off * math.exp(power * modelled)))
        widths.update(0, Spread(width, 8.0, 2 * width), count)
    return widths


def test_where_nothing_is_known_widths_are_as_modelled() -> None:
    widths = ShrunkWidths()
    assert widths.shrunk(0, 0.3, 1.7) == (0.3, 1.7)
    widths.use()
    assert widths.shrunk(2, 0.3, 1.7) == (0.3, 1.7)


@pytest.mark.parametrize("seed", [1, 2])
def test_differences_that_are_not_there_are_shrunk_away(seed: int) -> None:
    widths = taught(0.0, seed)
    assert widths.shrunk(0, 3.0, 0.2) == (3.0, 0.2), "not in use before it is said"
    widths.use()
    down, up = widths.shrunk(0, math.exp(0.8), 2 * math.exp(-0.8))
    assert 0.8 < down < 1.25, "the usual one below, and not 2.2 of it"
    assert 1.6 < up < 2.5, "the usual one above, and not 0.45 of it"
    assert widths.shrunk(1, 3.0, 0.2) == (3.0, 0.2), "of another target nothing was learnt"


@pytest.mark.parametrize("seed", [1, 2])
def test_differences_that_are_true_are_kept(seed: int) -> None:
    widths = taught(1.0, seed)
    widths.use()
    down, up = widths.shrunk(0, math.exp(0.8), 2 * math.exp(-0.8))
    assert down > 0.85 * math.exp(0.8)
    assert up < 2 * math.exp(-0.8) / 0.85


def test_half_of_a_difference_that_is_half_true_is_kept() -> None:
    widths = taught(0.5)
    *_, share, _, _ = widths.to_parts()[0][0]
    assert 0.35 < share < 0.65


def test_wild_outcomes_and_no_widths_leave_numbers_that_can_be_kept() -> None:
    widths = ShrunkWidths()
    for count in (0, 10**9, 0, 10**9, 3) * 50:
        widths.update(1, Spread(0.0, 2.0, 0.0), count)
        widths.update(2, Spread(60.0, 0.0, 60.0), count)
    widths.use()
    assert are_shrunk(*widths.to_parts())
    assert all(math.isfinite(width) for width in widths.shrunk(1, 0.0, 60.0))
    again = ShrunkWidths(*widths.to_parts())
    assert again.shrunk(2, 0.5, 0.5) == widths.shrunk(2, 0.5, 0.5)
    assert not are_shrunk([FIRST] * 3, [AS_MODELLED] * 2)


def test_however_wide_a_forecast_is_what_is_learnt_of_it_can_be_kept() -> None:
    widths = ShrunkWidths()
    for wide in (1e300, 0.0):
        widths.update(0, Spread(wide, 1.0, wide), 5)
        assert are_shrunk(*widths.to_parts())
