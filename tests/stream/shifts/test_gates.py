"""Gates refuse what they are for, never open on nothing, and are counted by name."""

import numpy as np
import pytest

from core.settings import ShiftSettings
from stream.shifts import gates
from stream.shifts.columns import Floats
from stream.shifts.kinds import KINDS, NAMED
from stream.shifts.layout import SUM, SUMS

SETTINGS = ShiftSettings()
OPINION = NAMED["opinion"]


def sums_of(**values: float) -> Floats:
    sums = np.zeros((1, 1, 2, len(SUMS)))
    for name, value in values.items():
        sums[..., SUM[name]] = value
    return sums


CROWD = {
    "rated": 600.0, "posts": 600.0, "authors": 580.0, "panes": 10.0, "opinion": -120.0,
    "base": 60.0, "variance": 200.0, "repeats_variance": 12.0, "copies_variance": 12.0,
}  # fmt: skip


def verdicts(**changes: float) -> dict[str, bool]:
    sums = sums_of(**(CROWD | changes))
    effect = OPINION.effect(sums)
    return {name: bool(g(effect, sums, SETTINGS).all()) for name, g in OPINION.gates.items()}


def test_a_real_shift_passes_every_gate() -> None:
    assert all(verdicts().values())


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"rated": 10.0, "opinion": -2.0}, "few_posts"),
        ({"authors": 4.0}, "few_authors"),
        ({"opinion": -20.0}, "small_effect"),
        ({"panes": 1.0, "opinion": -40.0, "variance": 200.0}, "one_pane"),
        ({"repeats": 120.0}, "repeated"),
        ({"copies": 120.0}, "repeated"),
    ],
)
def test_each_gate_refuses_its_own_case(changes: dict[str, float], gate: str) -> None:
    assert [name for name, passed in verdicts(**changes).items() if not passed] == [gate]


def test_a_few_repeats_do_not_hide_a_large_shift() -> None:
    assert verdicts(repeats=30.0, opinion=-240.0)["repeated"]


def test_no_gate_opens_on_nothing() -> None:
    nothing = sums_of()
    for kind in KINDS:
        effect, rules = kind.effect(nothing), kind.gates
        passed = [gate(effect, nothing, SETTINGS).all() for gate in rules.values()]
        assert not all(passed)


def test_more_queries_need_more_evidence_and_discoveries_less() -> None:
    asked = [gates.extra_evidence(queries, 0, 100) for queries in (1, 100, 200, 2_000)]
    assert asked[:2] == [0.0, 0.0]
    assert asked == sorted(asked)
    assert gates.extra_evidence(2_000, 5, 100) < asked[-1]


def test_refusals_are_counted_under_the_first_gate_that_refuses() -> None:
    sums = np.concatenate([sums_of(**(CROWD | {"authors": 2.0})), sums_of(**CROWD)])
    effect = OPINION.effect(sums)
    passes = {name: gate(effect, sums, SETTINGS) for name, gate in OPINION.gates.items()}
    over = np.ones((2, 1, 2), dtype=np.bool_)
    assert gates.refusals(OPINION.gates, passes, over) == {"few_authors": 1}
