"""What `up` and `demo` accept and refuse before anything is started."""

from pathlib import Path
from typing import Any

import pytest

from services.cli.main import run
from services.local import demo, runner
from services.local.options import StackOptions


class NotStarted(Exception):
    """In place of a stack."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StackOptions]:
    """Return the stacks that were asked for; none of them is started."""
    asked: list[StackOptions] = []

    def keep(options: StackOptions, *_: Any, **__: Any) -> Any:
        asked.append(options)
        raise NotStarted

    monkeypatch.setattr(runner, "run_in_foreground", keep)
    monkeypatch.setattr(runner, "run_in_background", keep)
    monkeypatch.setattr(demo, "Demo", keep)
    return asked


def asked_words(*words: str) -> int:
    """Return the exit status of a command, 0 if it came to starting a stack."""
    try:
        return run(list(words))
    except NotStarted:
        return 0


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["demo"]])
def test_an_empty_source_starts_none_as_the_help_says(
    started: list[StackOptions], words: list[str]
) -> None:
    assert asked_words(*words, "--source", "") == 0
    (options,) = started
    assert (options.source, options.ingest_arguments) == ("", ())


@pytest.mark.parametrize("command", ["up", "demo"])
def test_an_empty_source_has_no_options(
    started: list[StackOptions], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked_words(command, "--source", "", "--set", "posts=3") == 2
    assert "starts no source" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_replay_without_a_file_is_refused_before_anything_starts(
    started: list[StackOptions], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked_words(command, "--source", "replay") == 2
    assert "--data FILE" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("way", ["--data", "--set", "--options"])
def test_a_replay_of_a_folder_or_of_no_file_is_refused_before_anything_starts(
    started: list[StackOptions], tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing"):
        place = tmp_path / name
        (tmp_path / "options.toml").write_text(f'path = "{place}"\n')
        given = {"--set": f"path={place}", "--options": str(tmp_path / "options.toml")}
        assert asked_words("up", "--source", "replay", way, given.get(way, str(place))) == 2
        err = capsys.readouterr().err
        assert "--data" in err or str(place) in err
    assert not started


def test_options_that_a_source_does_not_have_are_refused_before_anything_starts(
    started: list[StackOptions], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "posts.csv"
    file.write_text("id,text\n1,a\n")
    assert asked_words("up", "--source", "synthetic", "--data", str(file)) == 2
    assert "--data is for the source 'replay'" in capsys.readouterr().err
    assert asked_words("up", "--source", "replay", "--data", str(file), "--set", "tims=x") == 2
    assert "unknown option 'tims'" in capsys.readouterr().err
    assert asked_words("up", "--source", "replay", "--data", str(file)) == 0
    assert [options.ingest_arguments for options in started] == [(f"--path={file}",)]


@pytest.mark.parametrize(
    "words",
    [("--rate", "80"), ("--set", "posts_per_s=80"), ("--set", "speed=0"), ("--options", "FILE")],
)
def test_a_demo_whose_rate_was_said_measures_none(
    started: list[StackOptions], tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "source.toml"
    file.write_text("posts_per_s = 80.0\n")
    assert asked_words("demo", *(str(file) if word == "FILE" else word for word in words)) == 0
    assert asked_words("demo") == asked_words("demo", "--set", "authors=50") == 0
    said, *unsaid = started
    assert said.measured_rate is None
    assert [options.measured_rate for options in unsaid] == [200.0, 200.0]
