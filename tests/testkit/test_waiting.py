from __future__ import annotations

import pytest

from testkit.waiting import wait_until


def test_the_answer_that_is_waited_for_is_returned_as_soon_as_it_is_there() -> None:
    answers = iter((0, "", 7, 8))
    assert wait_until(lambda: next(answers), "a number", every_s=0) == 7
    assert next(answers) == 8


def test_who_waits_in_vain_says_for_what_and_why() -> None:
    with pytest.raises(AssertionError, match=r"not true in 0 s: the end\nthe last words"):
        wait_until(lambda: False, "the end", why=lambda: "the last words", every_s=0, patience_s=0)


def test_what_cannot_come_true_any_more_is_not_waited_for() -> None:
    looks: list[int] = []

    def look() -> bool:
        looks.append(1)
        return False

    with pytest.raises(AssertionError, match="cannot come true any more: the end"):
        wait_until(look, "the end", can_still=lambda: False)
    assert len(looks) == 2


def test_what_came_true_with_the_end_of_who_did_it_is_returned() -> None:
    answers = iter((0, 5))
    assert wait_until(lambda: next(answers), "a number", can_still=lambda: False) == 5
