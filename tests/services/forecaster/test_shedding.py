"""Shedding under lag: doubled slowly, halved only after a long calm, within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from services.forecaster.shedding import Shedder


def test_lag_doubles_what_is_left_untracked_until_it_is_made_up() -> None:
    shedder = Shedder(30.0, 8)
    assert not shedder.look(29.0, 0.0)
    assert shedder.look(31.0, 1.0)
    assert shedder.divisor == 2
    assert not shedder.look(60.0, 5.0), "what the first step does has not shown yet"
    for now_s, divisor in ((11.0, 4), (21.0, 8), (31.0, 8)):
        shedder.look(60.0, now_s)
        assert shedder.divisor == divisor
    assert not shedder.look(20.0, 100.0), "neither behind nor calm"
    for now_s in range(101, 161):
        assert not shedder.look(0.0, float(now_s))
    assert shedder.look(0.0, 161.0)
    assert shedder.divisor == 4
    assert not shedder.look(0.0, 162.0), "a further step needs a calm of its own"


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 50)), max_size=200))
def test_the_divisor_is_a_power_of_two_within_its_bounds(looks: list[tuple[float, float]]) -> None:
    shedder, now_s = Shedder(30.0, 64), 0.0
    for lag_s, passed_s in looks:
        now_s += passed_s
        before = shedder.divisor
        changed = shedder.look(lag_s, now_s)
        assert changed == (shedder.divisor != before)
        assert shedder.divisor in (before * 2, before // 2 or 1, before)
        assert 1 <= shedder.divisor <= 64
