from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.main import run
from services.ingest.testing import sample_of


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(str(sample_of("replay", tmp_path).options["path"]))


def test_sources_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sources", "list"]) == 0
    printed = capsys.readouterr().out
    assert "replay: Recorded posts from a file" in printed
    assert "synthetic: A generated conversation" in printed


def test_check_counts_what_a_source_delivers(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sources", "check", "replay", "--set", f"path={sample}", "--json", "check.json"]
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    assert "posts: 400" in printed
    assert "unmappable: 8" in printed
    report = json.loads(Path("check.json").read_text())
    assert report["figures"] == {"posts": 400, "unmappable": 8}
    assert set(report) >= {"machine", "versions", "seed", "settings"}


def test_check_says_no_when_there_are_no_posts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("created_at,text\n")
    assert run(["sources", "check", "replay", "--set", f"path={empty}"]) == 1
    assert "delivered no post" in capsys.readouterr().err


def test_tail_prints_so_many_posts_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["sources", "tail", "synthetic", "-n", "3", "--set", "speed=0"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == ["synthetic"] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sources", "check", "replya"], "did you mean 'replay'"),
        (["sources", "check", "synthetic", "--set", "sed=1"], "did you mean 'seed'"),
        (["ingest", "--source", "replay"], "`path` is empty"),
        (["ingest", "--source", "synthetic", "--options", "none.toml"], "there is no such file"),
    ],
)
def test_wrong_use_exits_with_two_and_the_nearest_name(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "--source", "synthetic", "--path", "x.csv"],
        ["ingest", "--source", "replay", "--authors", "20"],
        ["ingest", "--set", "no-equals-sign"],
    ],
)
def test_option_of_another_source_is_wrong_use(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    capsys.readouterr()
