"""Restarts are waited for until they are over, and not for ever."""

from testkit.chaos.patience import Patience


def _looked(patience: Patience, restarting: list[tuple[int, int]], until: int) -> None:
    for second in range(until + 1):
        patience.look(float(second), any(began < second <= end for began, end in restarting))


def test_with_every_part_up_patience_ends_after_its_limit():
    patience = Patience(45.0)
    _looked(patience, [], 100)
    assert not patience.is_over(55.0, 100.0)
    assert patience.is_over(54.0, 100.0)


def test_a_restart_is_waited_for_however_long_the_machine_takes():
    patience = Patience(45.0)
    _looked(patience, [(10, 110)], 150)
    assert not patience.is_over(5.0, 150.0)
    assert patience.is_over(4.0, 150.0)
    assert patience.restarting_s(0.0) == 100.0


def test_only_what_was_restarted_since_then_is_excused():
    patience = Patience(45.0)
    _looked(patience, [(10, 40), (60, 70)], 100)
    assert patience.restarting_s(30.0) == 20.0
    assert patience.restarting_s(70.0) == 0.0
    assert patience.is_over(30.0, 100.0 - 4.0)


def test_a_part_that_never_comes_back_ends_the_run():
    patience = Patience(45.0, restarts_limit_s=300.0)
    _looked(patience, [(0, 1_000)], 1_000)
    assert not patience.is_over(0.0, 345.0)
    assert patience.is_over(0.0, 346.0)


def test_restarts_again_and_again_are_one_wait():
    patience = Patience(45.0, restarts_limit_s=300.0)
    _looked(patience, [(at, at + 9) for at in range(0, 1_000, 10)], 1_000)
    assert not patience.is_over(0.0, 345.0)
    assert patience.is_over(0.0, 346.0)
