"""Panes that a call brings: what is a correction, what is new, and where knowledge begins."""

from datetime import UTC, datetime, timedelta

from core.schemas import Window
from services.alerting.panes import MAX_QUIET_PANES, panes_of
from services.alerting.state import JudgingState

PANE_S = 10
NOON_S = 1_772_366_400


def window(pane: int, query: str = "all") -> Window:
    start = datetime.fromtimestamp(NOON_S + pane * PANE_S, UTC)
    end = start + timedelta(seconds=PANE_S)
    return Window(query=query, start=start, end=end, revision=0, counters={"posts": 1}, authors=1,
                  closed_at=end)  # fmt: skip


def numbers(panes: list[tuple[int, list[Window]]]) -> list[tuple[int, int]]:
    return [((at - NOON_S) // PANE_S, len(group)) for at, group in panes]


def at(pane: int) -> int:
    return NOON_S + pane * PANE_S


def test_panes_without_a_post_are_new_too_and_what_was_judged_is_a_correction() -> None:
    known = JudgingState()
    first = panes_of([window(0), window(2)], at(4), known, PANE_S, may_begin=True)
    assert (first.known, numbers(first.new)) == ([], [(0, 1), (1, 0), (2, 1), (3, 0)])
    again = panes_of([window(2), window(4)], at(5), known, PANE_S, may_begin=True)
    assert (numbers(again.known), numbers(again.new)) == ([(2, 1)], [(4, 1)])
    assert (known.judged_s, known.begun_s) == (at(5), at(0))


def test_a_post_that_came_a_day_late_is_not_where_a_stream_begins() -> None:
    known = JudgingState()
    found = panes_of([window(-8_640), window(0), window(1)], at(2), known, PANE_S, may_begin=True)
    assert found.begins
    assert numbers(found.new) == [(0, 1), (1, 1)]
    assert known.begun_s == at(0)


def test_it_is_noticed_also_when_the_late_post_was_judged_before() -> None:
    known = JudgingState()
    late = panes_of([window(-900)], at(-899), known, PANE_S, may_begin=True)
    assert numbers(late.new) == [(-900, 1)]
    found = panes_of([window(0)], at(1), known, PANE_S, may_begin=True)
    assert found.begins
    assert numbers(found.new) == [(0, 1)]


def test_a_night_after_a_longer_day_is_quiet_panes_and_no_beginning() -> None:
    known = JudgingState(judged_s=at(0), begun_s=at(-800))
    found = panes_of([window(700)], at(701), known, PANE_S, may_begin=True)
    assert not found.begins
    assert len(found.new) == 701


def test_what_is_open_is_never_forgotten() -> None:
    known = JudgingState(judged_s=at(0), begun_s=at(-10))
    found = panes_of([window(700)], at(701), known, PANE_S, may_begin=False)
    assert not found.begins


def test_nobody_is_told_of_the_panes_of_a_hole_of_days() -> None:
    known = JudgingState(judged_s=at(0), begun_s=at(-90_000))
    found = panes_of([window(MAX_QUIET_PANES)], at(MAX_QUIET_PANES + 1), known, PANE_S,
                     may_begin=True)  # fmt: skip
    assert numbers(found.new) == [(MAX_QUIET_PANES, 1)]
