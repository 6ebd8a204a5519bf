"""The command line of chaos, and its report."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from services.cli.main import run
from testkit.chaos.books import Audit
from testkit.chaos.faults import FAULTS
from testkit.chaos.fired import Fired, Run
from testkit.chaos.report import show, write
from testkit.chaos.run import ChaosOptions, Outcome, judge
from testkit.chaos.schedule import Planned


def _outcome(
    tmp_path: Path,
    resumed_s: float | None = 2.0,
    audit: Audit | None = None,
    returned_s: float = 0.0,
) -> Outcome:
    wanted = {"redis-killed": 1, "worker-killed": 1}
    schedule = (Planned(0.2, "redis-killed", False, 1), Planned(0.5, "worker-killed", True, 2))
    fired = [
        Fired(planned, target, 1.0, unread=5, returned_s=returned_s, resumed_s=resumed_s)
        for planned, target in zip(schedule, ("redis", "worker-1"), strict=True)
    ]
    options = ChaosOptions(posts=100, seed=1, wanted=wanted, root=tmp_path)
    audit = audit or Audit(figures={"posts_in_panes": 100.0})
    outcome = Outcome(options, schedule, Run(fired), audit, "maxmemory")
    outcome.faults = judge(outcome)
    return outcome


def test_a_run_with_balanced_books_and_all_faults_passes(tmp_path: Path):
    assert _outcome(tmp_path).passed


def test_a_fault_that_never_fired_does_not_pass(tmp_path: Path):
    outcome = _outcome(tmp_path)
    outcome.run.fired.pop()
    assert "worker-killed (0 of 1)" in judge(outcome)[0]


def test_counting_that_resumed_late_or_never_does_not_pass(tmp_path: Path):
    assert "only 31.0 s after redis-killed" in _outcome(tmp_path, resumed_s=31.0).faults[0]
    assert "did not resume after redis-killed" in _outcome(tmp_path, resumed_s=None).faults[0]


def test_how_long_a_server_takes_to_start_is_no_fault_of_the_stream(tmp_path: Path):
    outcome = _outcome(tmp_path, resumed_s=120.0, returned_s=90.0)
    assert outcome.passed
    assert outcome.figures()["returned_s.redis-killed.max"] == 90.0
    late = _outcome(tmp_path, resumed_s=120.0, returned_s=89.0)
    assert "only 31.0 s after redis-killed (redis) was over" in late.faults[0]


def test_a_batch_that_waits_beyond_the_time_out_while_a_scorer_is_left_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outcome = _outcome(tmp_path)
    late = outcome.run.replays.figures() | {"scorer_timeouts": 3.0}
    monkeypatch.setattr(outcome.run.replays, "figures", lambda: late)
    assert judge(outcome) == []  # with one scorer whoever waits for it waits
    outcome.options = replace(outcome.options, scorers=2)
    assert judge(outcome) == ["3 batches waited beyond the scorer's time-out while one was left"]


def test_books_that_do_not_balance_do_not_pass(tmp_path: Path):
    outcome = _outcome(tmp_path, audit=Audit(faults=["a post is missing"]))
    assert outcome.faults == ["a post is missing"]
    assert outcome.figures()["books_balance"] == 0


def test_a_stuck_run_does_not_pass(tmp_path: Path):
    outcome = _outcome(tmp_path)
    outcome.run.stuck = "nothing moved"
    assert judge(outcome) == ["nothing moved"]


def test_report_says_what_fired_and_why_it_does_not_pass(tmp_path: Path):
    outcome = _outcome(tmp_path, resumed_s=31.0, audit=Audit(figures={"longest_wait_s": 1.52}))
    write(outcome, tmp_path / "deep" / "report.json")
    report = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert {"figures", "machine", "versions", "seed", "settings"} <= report.keys()
    assert report["figures"]["passed"] == 0
    assert len(report["notes"]) == 2
    assert report["figures"]["fired.redis-killed"] == 1
    assert report["figures"]["resumed_s.max"] == 31.0
    assert [fault["overlaps"] for fault in report["tables"]["faults"]] == [False, True]
    console = Console(record=True, width=100, file=(tmp_path / "out").open("w"))
    show(outcome, console)
    console.file.close()
    shown = console.export_text()
    assert "this run does not pass" in shown
    assert re.search(r"longest wait of a post for its scores \(s\) +│ +1\.5 ", shown)


def test_wrong_use_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]):
    assert run(["chaos", "--faults", "redis-kiled"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert run(["chaos", "--scorer", "none"]) == 2


def test_every_kind_is_in_the_help_and_in_the_documentation(capsys: pytest.CaptureFixture[str]):
    assert run(["chaos", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())
    documented = (Path(__file__).parents[3] / "docs" / "chaos.md").read_text()
    for kind in FAULTS:
        assert kind[:10] in shown
        assert f"`{kind}`" in documented
