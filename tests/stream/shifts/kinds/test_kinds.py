"""Every kind of shift passes the battery, and states of before one was appended are read."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from core.settings import ShiftSettings
from stream.shifts import memory
from stream.shifts.cores import CORE, core_type, new_cores, widened
from stream.shifts.judge import ShiftJudge
from stream.shifts.kinds import KINDS, check_thresholds
from stream.shifts.layout import AlertSlots
from stream.shifts.memory import Memory
from testkit.checks.shift_kinds import CHECKS

STATE = Path(__file__).parents[1] / "states" / "four_kinds.bin"
"""Of a judge of November 2026, before kinds had files: eight panes, copies of a text found."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_kind_passes(check: object, kind: object) -> None:
    assert callable(check)
    check(kind)


def test_a_state_of_the_version_before_is_taken_over_byte_by_byte() -> None:
    judge, state = ShiftJudge(ShiftSettings(correction_panes=8)), STATE.read_bytes()
    assert judge.restore("q3", state)
    again = judge.state_bytes("q3")
    if memory._LAYOUTS[memory._LAYOUT] == 4:
        assert again == state
    found = judge._memory
    assert found.now["panes"][0] > 600
    assert sorted(found.strata[0]) == ["s|en|a", "s|en|b", "s|en|x", "t|de|c"]


def test_a_state_of_fewer_kinds_is_taken_over_and_the_new_kind_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fewer = len(KINDS) - 1
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 99, core_type(fewer).itemsize, dtype=np.uint8)
    old = np.frombuffer(raw.tobytes(), core_type(fewer))
    new, blank = widened(old, new_cores(1)), new_cores(1)
    assert new.dtype == CORE
    last = KINDS[-1]
    assert new[last.chart_name].tobytes() == blank[last.chart_name].tobytes()
    for column in AlertSlots.columns():
        assert new[column.name][:, :fewer].tobytes() == old[column.name].tobytes()
        assert new[column.name][:, fewer:].tobytes() == blank[column.name][:, fewer:].tobytes()
    for kind in KINDS[:fewer]:
        assert new[kind.chart_name].tobytes() == old[kind.chart_name].tobytes()
    saved = Memory(8)
    saved.row("trains")
    state = memory.dump(saved, "trains")
    monkeypatch.setattr(memory, "_LAYOUTS", {})
    assert not memory.load(Memory(8), "trains", state)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("opinion=3", "'opinion' is no kind of shift without a setting of its own"),
        ("surprise=", "'surprise=' is wrong, expected kind=number above 0"),
        ("surprise=-1", "'surprise=-1' is wrong"),
        ("surprise=nan", "'surprise=nan' is wrong"),
        ("9", "'9' is wrong"),
    ],
)
def test_a_threshold_of_no_such_kind_is_refused_by_name(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=r"shifts\.further_thresholds") as refused:
        check_thresholds(ShiftSettings(further_thresholds=text))
    assert expected in str(refused.value)
