"""A kind of shift is added by one file and one line, and raises alerts under its name."""

from pathlib import Path

import pytest

from testkit.growth import GrowingTree

pytestmark = pytest.mark.slow

KIND = '''"""Labels: the crowd speaks less plainly than usual, whatever it leans to."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import alerts, cusum
from stream.shifts.alerts import AlertCandidate
from stream.shifts.columns import RecordColumn, Flags, Floats, Records, Rows
from stream.shifts.gates import Gate, enough_posts, of
from stream.shifts.kinds.base import CrowdMinute, JudgedPane, ShiftKind
from stream.shifts.layout import SUM, PaneCounts, figures_of
from stream.shifts.signals import ShiftSignal


class PlainMemory(Records):
    """Squares of the sentiment that were seen, and their posts."""

    plain_seen = RecordColumn[Floats]("f8", (2,), start=(0.4 * 20, 20))


def _large(effect: Floats, _sums: Floats, _settings: ShiftSettings) -> Flags:
    return np.abs(effect) >= 0.1


_GATES: Final[dict[str, Gate]] = {"few_posts": enough_posts, "small_effect": _large}


class PlainnessShift(ShiftKind[tuple[Floats, Floats]]):
    """Judged by the mean square of the sentiment."""

    name = "plainness"
    noun = "plainness"
    designs = (1.0, 3.0)
    memory = PlainMemory
    gates = _GATES
    scale = 0.3
    planted = CrowdMinute({"s|en|a": (30, 0.9), "s|en|b": (20, -0.9)}, authors=48, copies=1)

    def expect(self, core: Rows, pane: Rows, feats: Floats) -> tuple[Floats, Floats]:
        """Return the difference of the mean square, and its standard error."""
        seen, counts = PlainMemory(core).plain_seen, PaneCounts(pane)
        posts = np.maximum(counts.rated.sum(axis=1, dtype=np.float64), 1.0)
        return counts.square / posts - seen[:, 0] / seen[:, 1], 0.35 / np.sqrt(posts)

    def chart(self, at: JudgedPane) -> None:
        """Chart the difference."""
        difference, error = at.of(self)
        sums = at.sums.copy()
        sums[:, SUM["opinion"]] = difference * sums[:, SUM["rated"]]
        least = np.full(len(error), 0.1)
        valid = at.known & (sums[:, SUM["rated"]] > 0)
        self.step(at, cusum.Reading(difference, error, least, valid), sums)

    def effect(self, sums: Floats) -> Floats:
        """Return the mean difference since onset."""
        return of(sums, "opinion") / np.maximum(of(sums, "rated"), 1.0)

    def figures(self, found: AlertCandidate, at: JudgedPane) -> Floats:
        """Return the mean square, before and after."""
        seen = PlainMemory(at.core).plain_seen
        before = seen[:, 0] / seen[:, 1]
        return figures_of(
            len(before), before=before, after=before + found.effect, after_error=at.of(self)[1],
            change=found.effect, change_error=at.of(self)[1], posts=of(found.sums, "posts"),
        )

    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Compare with the usual plainness."""
        difference, error = at.of(self)
        effect = at.alerts.effect[:, self.slot]
        return alerts.gone(effect, difference, error, at.known, 0.1), at.known

    def learn(self, at: JudgedPane) -> None:
        """Learn the mean square while it is usual."""
        seen, counts = PlainMemory(at.core).plain_seen, at.counts
        rows = at.heard & ~at.fires(self)
        seen[:, 0] += counts.square * rows
        seen[:, 1] += counts.rated.sum(axis=1) * rows

    def sentence(self, signal: ShiftSignal) -> str:
        """Say how plainly people speak."""
        how = "more plainly" if signal.direction == "up" else "less plainly"
        return f"People speak {how} about {signal.query}."


KIND: Final = PlainnessShift()
'''

ALERT = """
from pathlib import Path
from core.config import load
from core.settings import ShiftSettings
from evaluation.alerts.tuning import Tuned, as_toml, tuned_settings
from services.alerting.alertmanager import postable
from services.alerting.open_alerts import OpenAlert
from stream.shifts.explanation import to_alert
from stream.shifts.judge import ShiftJudge
from stream.shifts.kinds import NAMED
from testkit.checks.shift_kinds import SETTINGS, judged, planted

kind = NAMED["plainness"]
old = ShiftJudge(ShiftSettings(correction_panes=8))
assert old.restore("q3", Path("tests/stream/shifts/states/four_kinds.bin").read_bytes())
assert (old._memory.now["plain_seen"][0] == (8, 20)).all(), "a new kind knows nothing of old states"
assert old._memory.now["panes"][0] > 600
first = next(one for one in judged(ShiftJudge(SETTINGS), planted(kind)) if one.kind == kind.name)
alert = to_alert(first)
posted = postable(OpenAlert.after(None, alert, 0), alert.fired, "")
tuned = tuned_settings(ShiftSettings(), [Tuned("plainness", 9.5, 1.0, 3, 1.0)])
Path("tuned.toml").write_text(as_toml(tuned, 1.0, "a test"))
read = load(Path("tuned.toml"), environ={}).shifts
print(posted[0]["labels"]["kind"], "|", alert.sentence, "|", kind.threshold(read))
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> GrowingTree:
    """A copy of the tree that judges one more kind."""
    tree = GrowingTree.copy_to(tmp_path_factory.mktemp("tree"))
    tree.add_file("stream/shifts/kinds/plainness.py", KIND)
    tree.add_line("stream/shifts/kinds/__init__.py", '    "plainness",', after='    "brigading",')
    return tree


def test_a_kind_is_one_file_and_one_line(grown: GrowingTree) -> None:
    assert list(grown.written) == ["stream/shifts/kinds/plainness.py"]
    assert grown.lines == {"stream/shifts/kinds/__init__.py": 1}


def test_an_alert_of_the_new_kind_is_raised_told_tuned_and_old_states_are_read(
    grown: GrowingTree,
) -> None:
    ended = grown.run("-c", ALERT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout == "plainness | People speak more plainly about trains. | 9.5\n"


@pytest.mark.parametrize(
    "tests",
    [
        ("tests/stream/shifts/kinds", "tests/stream/shifts/test_cusum.py"),
        ("tests/docs", "tests/core/test_schemas.py"),
    ],
    ids=["its battery and the plain charts", "make docs"],
)
def test_in_the_copy_its_tests_pass(grown: GrowingTree, tests: tuple[str, ...]) -> None:
    ended = grown.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr
    assert Path(grown.root, "stream/shifts/kinds/plainness.py").exists()
