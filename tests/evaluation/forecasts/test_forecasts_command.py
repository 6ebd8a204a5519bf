"""One command measures forecasts; what it is asked wrongly is said before anything is read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from evaluation.forecasts.__main__ import chosen_sets
from services.cli.models import app
from tests.evaluation.forecasts.recorded import write_set

RUNNER = CliRunner()


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """Return an interpreter that writes down how it was called."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    program.chmod(0o755)
    return program


def calls(recorder: Path) -> list[str]:
    return (recorder.parent / "calls").read_text().splitlines()


def evaluate(recorder: Path, tmp_path: Path, *words: str) -> str:
    command = ["evaluate", "engagement", "--data", str(tmp_path), *words]
    pythons = ["--python", str(recorder), "--train-python", str(recorder)]
    said = RUNNER.invoke(app, [*command, *pythons])
    assert said.exit_code == 0, said.output
    return said.output


def test_the_shipped_model_is_measured_without_fitting(recorder: Path, tmp_path: Path) -> None:
    evaluate(recorder, tmp_path, "--sets", "musk,accounts", "--split", "all", "--json", "f.json")
    assert calls(recorder) == [
        f"-m evaluation.forecasts --data {tmp_path} --json f.json --sets musk,accounts --split all"
    ]


@pytest.mark.parametrize("words", [("--fit",), ("--left-out", "musk")])
def test_fitting_makes_head_scores_first_and_fits_where_torch_is(
    words: tuple[str, ...], recorder: Path, tmp_path: Path
) -> None:
    evaluate(recorder, tmp_path, *words)
    first, second = calls(recorder)
    assert first == f"-m models.engagement.training.heads --data {tmp_path}"
    assert second.startswith(f"-m evaluation.forecasts --data {tmp_path}")
    assert second.endswith("--fit")


def test_options_of_forecasts_are_refused_beside_a_head(recorder: Path, tmp_path: Path) -> None:
    command = ["evaluate", "sentiment", "--data", str(tmp_path), "--python", str(recorder)]
    said = RUNNER.invoke(app, [*command, "--split", "time", "--fit"])
    assert said.exit_code == 2
    assert "--split, --fit" in " ".join(said.output.split())
    assert not (tmp_path / "calls").exists()


def test_sets_are_those_of_the_folder_or_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engagement_NAME"):
        chosen_sets(tmp_path, "")
    write_set(tmp_path, "one", authors=1, posts=2)
    write_set(tmp_path, "musk", authors=1, posts=2)
    assert chosen_sets(tmp_path, "") == ["musk", "one"]
    assert chosen_sets(tmp_path, "one, one") == ["one"]
    with pytest.raises(ConfigError, match="no set two; it has musk, one"):
        chosen_sets(tmp_path, "one,two")
