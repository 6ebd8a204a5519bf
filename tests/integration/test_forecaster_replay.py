"""Real posts with their counts through ingest, worker and forecaster, against the same offline.

What is exported is what the same posts give offline: in order of time, each post's counts a day
after it. Whole sets: `docs/forecasts-evaluation.md`, *Through the whole stack*.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.forecasts.live_run import app

pytestmark = pytest.mark.integration

POSTS = 1_500


@pytest.mark.parametrize("name", ["musk", "accounts"])
def test_a_replayed_set_is_worth_live_what_it_is_worth_offline(
    data_dir: Path, tmp_path: Path, name: str
) -> None:
    report = tmp_path / "report.json"
    words = ["replay", "--data", str(data_dir), "--set", name, "--posts", str(POSTS)]
    found = CliRunner().invoke(app, [*words, "--json", str(report)])
    assert found.exit_code == 0, found.output
    figures = json.loads(report.read_bytes())["figures"]
    assert figures[f"{name}.disagreements"] == 0
    assert figures[f"{name}.total_outcomes"] > POSTS / 2
