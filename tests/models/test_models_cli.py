import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.models import app

RUNNER = CliRunner()


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """An interpreter that writes down its arguments and exits with 3."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nexit 3\n')
    python.chmod(0o755)
    return python


def arguments(recorder: Path) -> list[str]:
    return (recorder.parent / "arguments").read_text().split("\n")[:-1]


def test_list_shows_the_shipped_model_and_that_nothing_is_built(tmp_path: Path) -> None:
    shown = RUNNER.invoke(app, ["list", "--repository", str(tmp_path)])
    assert shown.exit_code == 0
    assert re.search("post-encoder-1[+][0-9a-f]{12} ", shown.output)
    assert "sentiment (3)" in shown.output
    assert "not built" in shown.output


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (["build"], "groundswell setup"),
        (["evaluate", "sentiment", "--data", "."], "groundswell setup"),
        (["calibrate", "--data", "."], "groundswell setup"),
        (["train", "--data", "."], "make setup-train"),
    ],
)
def test_without_its_environment_a_command_says_how_to_make_it(
    command: list[str], remedy: str, tmp_path: Path
) -> None:
    said = RUNNER.invoke(app, [*command, "--python", str(tmp_path / "none")])
    assert said.exit_code == 2
    assert remedy in said.output


def test_arguments_and_exit_status_are_handed_on(recorder: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = ["evaluate", "sentiment", "--data", str(tmp_path), "--json", str(file)]
    said = RUNNER.invoke(app, [*command, "--python", str(recorder)])
    assert said.exit_code == 3
    handed = arguments(recorder)
    assert handed[:3] == ["-m", "evaluation.encoder", "sentiment"]
    assert handed[handed.index("--data") + 1] == str(tmp_path)
    assert handed[handed.index("--json") + 1] == str(file)
    assert "--url" not in handed


def test_settings_of_a_baseline_are_handed_on(recorder: Path, tmp_path: Path) -> None:
    command = ["baseline", "roberta", "--data", str(tmp_path), "--checkpoint", "x/y"]
    command += ["--task", "layered", "--set", "epochs=3", "--set", "cut=0.5"]
    said = RUNNER.invoke(app, [*command, "--python", str(recorder)])
    assert said.exit_code == 3
    handed = arguments(recorder)
    assert handed[:3] == ["-m", "evaluation.baselines", "roberta"]
    assert [handed[i + 1] for i, word in enumerate(handed) if word == "--set"] == [
        "epochs=3",
        "cut=0.5",
    ]


def test_shares_are_measured_with_or_without_fitting(recorder: Path, tmp_path: Path) -> None:
    for option in ("--fit", "--no-fit"):
        command = ["quantify-eval", "--data", str(tmp_path), option, "--python", str(recorder)]
        assert RUNNER.invoke(app, command).exit_code == 3
        assert arguments(recorder)[-1] == option


@pytest.mark.parametrize(
    ("name", "remedy"), [("centroid", "groundswell setup"), ("roberta", "make setup-train")]
)
def test_a_baseline_runs_where_its_packages_are(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from evaluation.encoder import command as models_evaluate

    monkeypatch.setattr(models_evaluate, "SERVER_PYTHON", tmp_path / "none")
    monkeypatch.setattr(models_evaluate, "TRAIN_PYTHON", tmp_path / "none")
    said = RUNNER.invoke(app, ["baseline", name, "--data", str(tmp_path)])
    assert said.exit_code == 2
    assert remedy in said.output


def test_training_hands_on_that_it_is_distilled_or_of_fewer_layers(
    recorder: Path, tmp_path: Path
) -> None:
    command = ["train", "encoder", "--data", str(tmp_path), "--python", str(recorder)]
    assert RUNNER.invoke(app, [*command, "--distil"]).exit_code == 3
    handed = arguments(recorder)
    assert "--distil" in handed
    assert "--layers" not in handed
    assert RUNNER.invoke(app, [*command, "--layers", "4"]).exit_code == 3
    handed = arguments(recorder)
    assert handed[handed.index("--layers") + 1] == "4"
    assert "--distil" not in handed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(["--distil", "--layers", "4"], "always taught"), (["--layers", "4", "--pack"], "teacher")],
)
def test_a_student_is_neither_distilled_in_stages_nor_put_in_its_teachers_place(
    wrong: list[str], said: str, recorder: Path, tmp_path: Path
) -> None:
    command = ["train", "--data", str(tmp_path), "--python", str(recorder), *wrong]
    found = RUNNER.invoke(app, command)
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())
    assert not (tmp_path / "arguments").exists()


def test_building_uses_the_weights_that_are_named_or_leaves_it_to_the_settings(
    recorder: Path, tmp_path: Path
) -> None:
    assert RUNNER.invoke(app, ["build", "--python", str(recorder)]).exit_code == 3
    assert "--weights" not in arguments(recorder)
    command = ["build", "--weights", str(tmp_path), "--python", str(recorder)]
    assert RUNNER.invoke(app, command).exit_code == 3
    assert arguments(recorder)[-1] == str(tmp_path)


def test_missing_data_is_wrong_use(recorder: Path, tmp_path: Path) -> None:
    said = RUNNER.invoke(
        app, ["calibrate", "--data", str(tmp_path / "none"), "--python", str(recorder)]
    )
    assert said.exit_code == 2
    assert not (tmp_path / "arguments").exists()


@pytest.mark.parametrize(
    "command",
    ["train", "compare", "calibrate", "build", "evaluate", "quantify-eval", "baseline"],
)
def test_help_has_an_example(command: str) -> None:
    assert "Example: groundswell models" in RUNNER.invoke(app, [command, "--help"]).output


def test_shipped_figures_meet_the_promise() -> None:
    from services.cli.models import WEIGHTS

    report = json.loads((WEIGHTS / "post-encoder" / "evaluation.json").read_text())
    config = json.loads((WEIGHTS / "post-encoder" / "config.json").read_text())
    assert report["settings"]["model_version"] == config["version"] + ".int8"
    assert report["figures"]["sentiment_model_macro_recall"] >= 0.68
    assert (
        report["figures"]["sentiment_model_macro_recall"]
        > report["figures"]["sentiment_tfidf_macro_recall"]
    )
    card = (WEIGHTS / "post-encoder" / "README.md").read_text()
    assert f"{report['figures']['sentiment_model_macro_recall']:.3f}" in card
    assert config["version"] in card


def test_training_of_engagement_scores_the_posts_first_and_then_trains(
    recorder: Path, tmp_path: Path
) -> None:
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\nexit 0\n")
    server.chmod(0o755)
    command = ["train", "engagement", "--data", str(tmp_path), "--sets", "musk,accounts"]
    command += ["--python", str(recorder)]
    assert RUNNER.invoke(app, [*command, "--server-python", str(recorder)]).exit_code == 3
    assert arguments(recorder)[:2] == ["-m", "models.engagement.training.heads"]
    assert RUNNER.invoke(app, [*command, "--server-python", str(server)]).exit_code == 3
    handed = arguments(recorder)
    assert handed[:2] == ["-m", "models.engagement.training.train"]
    assert handed[handed.index("--sets") + 1] == "musk,accounts"
    assert handed[handed.index("--weights") + 1].endswith("weights/engagement")
    command += ["--server-python", str(server), "--variant", "transformer_shipped"]
    assert RUNNER.invoke(app, command).exit_code == 3
    handed = arguments(recorder)
    assert handed[handed.index("--weights") + 1].endswith("weights/engagement-transformer")


def test_there_is_no_training_of_anything_else(recorder: Path, tmp_path: Path) -> None:
    said = RUNNER.invoke(
        app, ["train", "poetry", "--data", str(tmp_path), "--python", str(recorder)]
    )
    assert said.exit_code == 2
    assert "poetry" in said.output


def test_comparison_hands_on_what_is_compared(recorder: Path, tmp_path: Path) -> None:
    command = ["compare", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    command += ["--losses", "mae", "--sets", "musk", "--python", str(recorder)]
    assert RUNNER.invoke(app, command).exit_code == 3
    handed = arguments(recorder)
    assert handed[:2] == ["-m", "models.engagement.training.compare"]
    assert handed[handed.index("--losses") + 1] == "mae"
    assert handed[handed.index("--variants") + 1] == "mlp,gru,transformer,trees"


def test_list_shows_the_engagement_model_and_what_is_built_of_it(tmp_path: Path) -> None:
    from models.build_engagement import build_engagement

    version, _ = build_engagement(tmp_path, "engagement")
    shown = RUNNER.invoke(app, ["list", "--repository", str(tmp_path)])
    assert "likes, replies, reposts" in shown.output
    assert version[:20] in shown.output
