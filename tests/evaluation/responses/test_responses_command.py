"""One command measures replies; what it is asked wrongly is said before anything is read."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from core.errors import ConfigError
from core.report import Report
from evaluation.responses import __main__ as program
from evaluation.responses.floors import FLOORS
from evaluation.responses.judging import known_mean
from services.cli.models import app
from tests.evaluation.responses.recorded import made_up, write_popalm

RUNNER = CliRunner()
WIDTH = 80


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """Return an interpreter that writes down how it was called."""
    called = tmp_path / "python"
    called.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    called.chmod(0o755)
    return called


def test_the_command_starts_the_measuring_where_an_encoder_is(
    recorder: Path, tmp_path: Path
) -> None:
    words = ["--data", str(tmp_path), "--sets", "popalm,bluesky", "--posts", "50", "--json", "f"]
    said = RUNNER.invoke(app, ["evaluate", "responses", *words, "--python", str(recorder)])
    assert said.exit_code == 0, said.output
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"-m evaluation.responses --data {tmp_path} --json f --sets popalm,bluesky --posts 50"
    ]


@pytest.mark.parametrize(
    ("head", "words", "named"),
    [
        ("responses", ("--split", "time", "--fit"), "--split, --fit"),
        ("engagement", ("--posts", "3"), "--posts"),
        ("sentiment", ("--posts", "3"), "--posts"),
        ("sentiment", ("--sets", "musk"), "--sets"),
    ],
)
def test_options_of_something_else_are_refused(
    head: str, words: tuple[str, ...], named: str, recorder: Path, tmp_path: Path
) -> None:
    command = ["evaluate", head, "--data", str(tmp_path), "--python", str(recorder)]
    said = RUNNER.invoke(app, [*command, *words])
    assert said.exit_code == 2
    assert named in " ".join(said.output.split())
    assert not (tmp_path / "calls").exists()


def test_a_set_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="responses_popalm"):
        program.chosen_sets(tmp_path, "")
    write_popalm(tmp_path, made_up(1))
    assert program.chosen_sets(tmp_path, "") == ["popalm"]
    with pytest.raises(ConfigError, match="no set fax; it has popalm"):
        program.chosen_sets(tmp_path, "popalm,fax")


def test_a_report_has_every_floor_and_its_table_fits_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_popalm(tmp_path, [*made_up(30, seed=1, order="train"), *made_up(40)])
    file = tmp_path / "f.json"
    program.main(tmp_path, "popalm", posts=20, json_file=file, resamples=20)
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= WIDTH
    assert not any(word.endswith("…") for line in shown for word in line.split())  # cut short
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.figures["popalm.posts"] == 20
    assert report.figures["popalm.removed.train_of_test"] == 0
    for system in FLOORS:
        low, high = (report.figures[f"popalm.{system}.lift_{end}"] for end in ("low", "high"))
        assert low <= report.figures[f"popalm.{system}.lift"] <= high
        assert f"popalm.{system}.embedding_lift" not in report.figures  # nothing reads Chinese
    assert report.figures["popalm.human.lift_low"] > 0
    assert [row["draw"] for row in report.tables["seeds"] if row["system"] == "elsewhere"] == [
        0, 1, 2,
    ]  # fmt: skip
    assert "--chinese-encoder" in report.notes[0]


def test_one_judged_post_cannot_be_compared(tmp_path: Path) -> None:
    write_popalm(tmp_path, [*made_up(3, seed=1, order="train"), *made_up(4)])
    with pytest.raises(typer.Exit):
        program.main(tmp_path, "popalm", posts=1)


def test_what_is_not_known_is_left_out_of_a_mean() -> None:
    found = known_mean(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]))
    assert found[0] == 2
    assert np.isnan(found[1])
