"""Where a session goes on: by number on the server that gave it, by time elsewhere."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from services.ingest.sources.bluesky.position import Place, Renumbered, Resume, Resumption

SECOND = 1_000_000
T0 = 1_800_000_000 * SECOND


def at(number: int, host: str = "a", step_us: int = SECOND) -> Place:
    return Place(host, number, T0 + number * step_us, number)


def moved_through(*numbers: int, rewind_s: float = 5.0) -> Resumption:
    resumption = Resumption(rewind_s)
    for number in numbers:
        resumption.moved(at(number))
    return resumption


def test_without_a_place_it_starts_where_it_is_told() -> None:
    assert Resumption(5).plan("a", 77) == Resume("start", 77)


def test_on_the_same_server_it_goes_back_by_number_as_far_as_asked() -> None:
    resumption = moved_through(*range(1, 21))
    assert resumption.plan("a") == Resume("seq", 15, T0 + 15 * SECOND)


def test_a_restored_cursor_is_asked_for_exactly_and_its_repeats_are_known() -> None:
    resumption = Resumption(5)
    resumption.restore(["a", 20, T0, 99])
    assert resumption.plan("a") == Resume("seq", 20, T0)
    assert resumption.is_repeat("a", 20)
    assert not resumption.is_repeat("a", 21)
    assert not resumption.is_repeat("b", 20)


def test_a_cursor_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigError, match="cursor"):
        Resumption(5).restore({"row": 7})


def test_on_another_server_it_goes_back_by_time() -> None:
    assert moved_through(9, 10).plan("b") == Resume("time", T0 + 5 * SECOND)


def test_the_last_event_coming_again_proves_that_nothing_is_missing() -> None:
    resumption = moved_through(*range(1, 21))
    plan = resumption.plan("a")
    assert resumption.judge(plan.cursor, plan.us) == 0.0


def test_a_first_event_after_the_last_one_is_a_gap_of_the_time_between() -> None:
    resumption = moved_through(10)
    resumption.plan("a")
    assert resumption.judge(500, T0 + 100 * SECOND) == 90.0


def test_servers_that_see_an_event_at_slightly_other_times_make_no_gap() -> None:
    resumption = moved_through(10)
    resumption.plan("b")
    assert resumption.judge(500, T0 + 10 * SECOND + SECOND // 2) == 0.0


@pytest.mark.parametrize(
    ("seq", "us"),
    [(3, T0 + 20 * SECOND), (10, T0 + 9 * SECOND), (11, T0 - 100 * SECOND)],
    ids=["a lower number", "another event of that number", "a later number long before"],
)
def test_numbers_that_do_not_fit_are_distrusted_and_time_is_used(seq: int, us: int) -> None:
    resumption = moved_through(10)
    resumption.plan("a")
    with pytest.raises(Renumbered):
        resumption.judge(seq, us)
    assert resumption.plan("a").by == "time"
    assert resumption.judge(seq, T0 + 6 * SECOND) == 0.0
    resumption.moved(Place("a", 4, T0 + 11 * SECOND, 11))
    assert resumption.plan("a") == Resume("seq", 4, T0 + 11 * SECOND)


def test_what_is_refused_is_asked_by_time_and_then_not_at_all() -> None:
    resumption = moved_through(10)
    assert resumption.plan("a").by == "seq"
    resumption.refused()
    assert resumption.plan("a").by == "time"
    resumption.refused()
    assert resumption.plan("a").by == "live"
    assert resumption.judge(99, T0 + 60 * SECOND) == 50.0


def test_a_server_without_numbers_is_asked_by_time() -> None:
    resumption = Resumption(5)
    resumption.moved(Place("a", 0, T0, 1))
    assert resumption.plan("a") == Resume("time", T0 - 5 * SECOND)
