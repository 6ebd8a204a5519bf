# ruff: noqa: S101 -- a battery of checks: asserting is its trade
"""What every kind of shift must pass: silent on a usual stream, found where planted, and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.codec import alert_decoder, encode
from core.schemas import Window
from core.settings import ShiftSettings
from stream.shifts.explanation import sentence, to_alert
from stream.shifts.judge import ShiftJudge
from stream.shifts.kinds.base import USUAL, CrowdMinute, ShiftKind
from stream.shifts.signals import JudgeContext, ShiftSignal
from testkit.shifts import make_window

SETTINGS: Final = ShiftSettings(warmup_s=3_600, correction_panes=8)
CONTEXT: Final = JudgeContext(model_version="m1")
QUIET_MINUTES: Final = 130
SHIFT_MINUTES: Final = 40


def minute(number: int, crowd: CrowdMinute) -> Window:
    """Return the window of a minute of a crowd."""
    return make_window(number, crowd.strata, authors=crowd.authors, copies=crowd.copies)


def planted(kind: ShiftKind[Any]) -> list[Window]:
    """Return usual minutes, then minutes of a shift of the kind."""
    quiet = [minute(number, USUAL) for number in range(QUIET_MINUTES)]
    after = range(QUIET_MINUTES, QUIET_MINUTES + SHIFT_MINUTES)
    return quiet + [minute(number, kind.planted) for number in after]


def judged(judge: ShiftJudge, windows: list[Window]) -> list[ShiftSignal]:
    """Return what a judge says of windows, one after the other."""
    return [signal for window in windows for signal in judge.judge(window, CONTEXT)]


def is_silent_on_a_usual_stream(kind: ShiftKind[Any]) -> None:
    """Nothing is said while nothing changes."""
    said = judged(ShiftJudge(SETTINGS), [minute(number, USUAL) for number in range(170)])
    assert [one for one in said if one.kind == kind.name] == []


def finds_its_planted_shift_and_tells_it(kind: ShiftKind[Any]) -> None:
    """A planted shift is found soon, with its evidence, and told in a sentence to the end."""
    signals = [one for one in judged(ShiftJudge(SETTINGS), planted(kind)) if one.kind == kind.name]
    first = signals[0]
    begin_s = int(minute(QUIET_MINUTES, USUAL).start.timestamp())
    assert first.state == "firing"
    assert 0 <= first.fired_s - begin_s <= 60 * SHIFT_MINUTES
    assert first.evidence >= first.threshold == kind.threshold(SETTINGS)
    assert first.change.low < first.change.value < first.change.high
    assert first.posts > 0
    assert first.direction in kind.directions
    alert = to_alert(first)
    assert alert_decoder.decode(encode(alert)) == alert
    assert "trains" in alert.sentence
    assert alert.sentence.endswith(".")
    assert 1 <= alert.severity <= 10
    assert kind.noun in sentence(ended(first))


def ended(signal: ShiftSignal) -> ShiftSignal:
    """Return the end of a shift that fires."""
    fields = {name: getattr(signal, name) for name in signal.__slots__}
    return ShiftSignal(
        **fields | {"state": "resolved", "ended_s": signal.decided_s, "ended_as": "over"}
    )


def its_threshold_is_a_setting_that_is_kept(kind: ShiftKind[Any]) -> None:
    """The threshold can be set, it is documented, and beyond any evidence nothing is found."""
    named = kind.setting or "further_thresholds"
    assert named in ShiftSettings.__struct_fields__
    assert kind.threshold(ShiftSettings()) >= kind.least_threshold > 0
    assert kind.noun
    assert type(kind).__doc__
    never = kind.with_threshold(SETTINGS, 1e6)
    assert kind.threshold(never) == 1e6
    said = judged(ShiftJudge(never), planted(kind))
    assert [one for one in said if one.kind == kind.name] == []


def its_state_is_taken_up_at_any_pane(kind: ShiftKind[Any]) -> None:
    """A judge that takes a state up says what an uninterrupted one says."""
    windows = planted(kind)[: QUIET_MINUTES + 12]
    whole = ShiftJudge(SETTINGS)
    said = judged(whole, windows)
    first, second = ShiftJudge(SETTINGS), ShiftJudge(SETTINGS)
    begun = judged(first, windows[: QUIET_MINUTES + 2])
    assert second.restore("trains", first.state_bytes("trains"))
    assert begun + judged(second, windows[QUIET_MINUTES + 2 :]) == said
    assert second.state_bytes("trains") == whole.state_bytes("trains")


CHECKS: Final[tuple[Callable[[ShiftKind[Any]], None], ...]] = (
    is_silent_on_a_usual_stream,
    finds_its_planted_shift_and_tells_it,
    its_threshold_is_a_setting_that_is_kept,
    its_state_is_taken_up_at_any_pane,
)
