"""Waiting until those beside the workers are done: what is waited for in vain is said."""

from collections.abc import Iterable

from testkit.chaos.settling import EVERY_S, LOOKS, settle


class _Beside:
    """Waits for what it was told, look by look; the last for ever."""

    def __init__(self, looks: Iterable[tuple[list[str], bool]]) -> None:
        self._looks = list(looks)
        self.has_moved = False
        self.asked = 0
        self.now_s = 0.0

    def waits_for(self) -> list[str]:
        self.asked += 1
        waits, self.has_moved = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return waits

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def settle(self, limit_s: float) -> str:
        return settle(self, limit_s, lambda: None, lambda: self.now_s, self.sleep)


def test_all_must_be_done_for_some_looks_in_a_row():
    beside = _Beside([([], True), (["the forecaster"], True), ([], False)])
    assert beside.settle(60.0) == ""
    assert beside.asked == 2 + LOOKS


def test_what_is_waited_for_in_vain_is_said():
    beside = _Beside([(["an answer (no topic)", "the closer"], False)])
    said = beside.settle(6.0)
    assert said == "after 6 s still to be done: an answer (no topic), the closer"
    assert beside.asked == round(6.0 / EVERY_S) + 2


def test_while_something_moves_it_is_not_given_up():
    moving = [(["the responder"], True)] * 100
    beside = _Beside([*moving, ([], False)])
    assert beside.settle(10.0) == ""


def test_what_moves_for_ever_is_given_up():
    beside = _Beside([(["the responder"], True)])
    assert beside.settle(10.0) == "after 50 s still to be done: the responder"
