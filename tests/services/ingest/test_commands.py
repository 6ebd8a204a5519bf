from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.authors import author_hasher
from core.errors import ConfigError
from services.cli.ingest import chosen_options, merged, parse_assignments
from services.cli.main import run
from services.cli.replay import preview_for_stack
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Gap, Ignored, PacedSource, SourceItem
from services.ingest.sources.synthetic.options import SyntheticOptions
from testkit.builders import make_post
from testkit.ingest import Rig, make_source, sample_of


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(str(sample_of("replay", tmp_path).options["path"]))


def test_sources_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sources", "list"]) == 0
    printed = capsys.readouterr().out
    assert "replay: Recorded posts from a file" in printed
    assert "synthetic: A generated conversation" in printed


def test_check_of_a_file_counts_its_rows_and_says_why_some_will_not_count(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sources", "check", "replay", "--set", f"path={sample}", "--json", "check.json"]
    assert run(arguments) == 1
    printed = capsys.readouterr().out
    assert "408: 400 will count, 8 will not" in printed
    assert "4 rows will not count: row 52: the time 'not a time'" in printed
    assert "4 rows will not count: row 53: 2 columns, expected 5" in printed
    report = json.loads(Path("check.json").read_text())
    assert report["figures"] == {"posts": 400, "unmappable": 8}
    assert set(report) >= {"machine", "versions", "seed", "settings"}


def test_check_counts_what_a_source_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    posts = ["--set", "posts=50", "--set", "speed=0", "--set", "malformed_share=0"]
    assert run(["sources", "check", "synthetic", *posts]) == 0
    assert "posts: 50" in capsys.readouterr().out


def test_check_of_a_file_in_which_nothing_can_be_read_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in ("created_at,text\n", "", "created_at,text\nnever,hi\n", "a,b\nc,d\n"):
        path = tmp_path / "file.csv"
        path.write_text(content)
        assert run(["sources", "check", "replay", "--set", f"path={path}"]) == 2
        assert "file.csv" in capsys.readouterr().err
    assert run(["sources", "check", "replay", "--set", f"path={tmp_path}"]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_check_of_a_file_all_of_which_will_count_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.csv"
    path.write_text("id,created_at,text\n1,2026-03-01,hi\n")
    assert run(["sources", "check", "replay", "--set", f"path={path}"]) == 0
    assert "1: 1 will count" in capsys.readouterr().out


def test_command_that_a_refused_file_is_mended_by_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.csv"
    for content, remedies in (
        ("id,created_at,text\n1,03/01/2026 10:00,hi\n", 2),
        ("1,ana,2026-03-01T10:00:00Z,hi\n", 1),
        ("id,wann,Was ist\n1,2026-03-01,hi there\n", 1),
    ):
        path.write_text(content)
        assert run(["sources", "check", "replay", "--set", f"path={path}"]) == 2
        printed = capsys.readouterr().err.replace("\\\n", " ")
        commands = [line.strip(" →") for line in printed.splitlines() if "→" in line]
        assert len(commands) == remedies
        for command in commands:
            words = shlex.split(command)
            assert words[0] == "groundswell"
            assert run(words[1:]) == 0, command
            capsys.readouterr()


def test_tail_prints_so_many_posts_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["sources", "tail", "synthetic", "-n", "3", "--set", "speed=0"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == ["synthetic"] * 3
    assert list(tmp_path.iterdir()) == []


def test_tail_of_a_file_newest_first_prints_its_posts_in_order_and_nothing_else(
    tmp_path: Path,
) -> None:
    rows = [f"{n},2026-03-0{n}T10:00:00Z,post {n}\n" for n in (4, 3, 2, 1)]
    path = tmp_path / "posts.csv"
    path.write_text("id,created_at,text\n" + "".join(rows))
    words = ["sources", "tail", "replay", "-n", "9", "--set", f"path={path}"]
    ran = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words], capture_output=True, text=True
    )
    assert [json.loads(line)["id"] for line in ran.stdout.splitlines()] == ["1", "2", "3", "4"]


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


class PeopleSpeak(PacedSource[SyntheticOptions]):
    """Four posts of two people, one a copy, and things that are no posts."""

    name = "people"
    Options = SyntheticOptions

    def items(self, cursor: object) -> Iterator[SourceItem]:
        hidden = author_hasher(self.context.author_key)
        text = "Every train to the harbour was replaced by buses today, says the council"
        for number in range(4):
            said = text if number % 2 else f"{number} {'letters and gardens ' * 3}"
            yield SourceItem(
                make_post(number, author=hidden("ann"), source="people", text=said, lang=""), number
            )
        yield SourceItem(Ignored(), 5)
        yield SourceItem(Gap("too_old", 3.0), 6)


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    real = SOURCES.get
    monkeypatch.setattr(
        SOURCES, "get", lambda name: PeopleSpeak if name == "people" else real(name)
    )


@pytest.mark.usefixtures("people")
def test_check_of_a_live_source_needs_no_key_and_says_how_it_flows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sources", "check", "people", "--json", "check.json"]) == 0
    printed = capsys.readouterr().out
    assert "posts: 4" in printed
    assert "ignored: 1" in printed
    assert "gaps: 1" in printed
    assert "languages: en" in printed
    figures = json.loads(Path("check.json").read_text())["figures"]
    assert figures["near_duplicate_share"] == 0.5
    assert figures["median_lag_s"] == 1


@pytest.mark.usefixtures("people")
def test_tail_shows_no_author_of_a_live_source_in_the_clear(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sources", "tail", "people", "-n", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert all(len(line["author"]) == 32 for line in lines)


@pytest.mark.usefixtures("people")
def test_ingest_of_a_live_source_without_a_key_is_wrong_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ingest", "--source", "people"]) == 2
    assert "author_key is empty" in capsys.readouterr().err


def test_stack_is_not_started_for_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a stack was started")

    monkeypatch.setattr("services.local.runner.run_in_foreground", start)
    monkeypatch.setattr("services.local.demo.Demo.run", start)
    path = tmp_path / "posts.csv"
    path.write_text("id,created_at,text\n1,03/01/2026 10:00,hi\n")
    for command in ("up", "demo"):
        assert run([command, "--source", "replay", "--data", str(path)]) == 2
        printed = " ".join(capsys.readouterr().err.replace("\\\n", " ").split())
        assert "can be read day first or month first" in printed
        assert f"→ groundswell {command} --source replay --data {path} --set" in printed
    # Fresh, whatever has run in this checkout before.
    words = ["up", "--source", "replay", "--data", str(path), "--fresh"]
    with pytest.raises(AssertionError, match="a stack was started"):
        run([*words, "--set", "time_format=day_first"])
    assert "first post 1" in capsys.readouterr().out


def test_second_file_without_fresh_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path, cursors = tmp_path / "posts.csv", tmp_path / "cursors"
    path.write_text("id,created_at,text\n1,2026-03-01,hi\n")
    source = make_source("replay", {"path": str(path)}, tmp_path)
    Rig(source, cursors).run()
    preview_for_stack("up", path, None, None, cursors, fresh=False)
    path.write_text("id,created_at,text\n2,2026-03-02,you\n")
    with pytest.raises(ConfigError, match="--fresh"):
        preview_for_stack("up", path, None, None, cursors, fresh=False)
    preview_for_stack("up", path, None, None, cursors, fresh=True)
    with pytest.raises(ConfigError, match="--fresh"):
        preview_for_stack("up", path, None, ["order=file"], cursors, fresh=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "text"], "expected FIELD=NAME"),
        (["--column", "txt=Body"], "did you mean 'text'"),
        (["--order", "random"], "random"),
        (["--encoding", "utf9"], "did you mean"),
        (["--time-format", "epoch"], "did you mean 'epoch_s'"),
        (["--delimiter", "semi"], "expected one character"),
    ],
)
def test_wrong_words_about_a_file_are_refused_before_the_broker_is_asked(
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("posts.csv").write_text("id,created_at,Body\n1,2026-03-01,hi\n")
    assert run(["ingest", "--source", "replay", "--path", "posts.csv", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_words_of_the_command_line_become_options_of_the_file() -> None:
    given = {"delimiter": ";", "column": {"text": "Body"}, "lang": "en", "order": "time"}
    chosen = chosen_options("replay", given)
    assert merged(chosen, parse_assignments(["columns.id=Nr", "order=file"])) == {
        "delimiter": ";",
        "columns": {"text": "Body", "id": "Nr"},
        "constants": {"lang": "en"},
        "order": "file",
    }
