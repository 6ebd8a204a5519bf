import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.queries import app

# As wide as what is asserted of: else a narrow terminal would break lines inside it.
RUNNER = CliRunner(env={"COLUMNS": "120"})
GOOD = """
[queries.flood]
title = "Flood [relief]"
expression = 'flood* OR @ann'
labels = { desk = "city" }

[queries.german]
expression = "lang:de regen"
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "queries.toml"
    path.write_text(GOOD, encoding="utf-8")
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.toml"
    path.write_text("[queries.flood]\nexpression = 'flood OR'\n", encoding="utf-8")
    return str(path)


def test_check_of_a_good_catalog_exits_0(good: str) -> None:
    outcome = RUNNER.invoke(app, ["check", good])
    assert outcome.exit_code == 0
    assert "2 queries, version " in outcome.stdout


def test_check_of_a_bad_catalog_shows_the_place_on_standard_error_and_exits_2(bad: str) -> None:
    outcome = RUNNER.invoke(app, ["check", bad])
    assert outcome.exit_code == 2
    assert "queries.flood.expression: column 9" in outcome.stderr
    assert "^" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "no-such-file.toml"],
        ["list", "no-such-file.toml"],
        ["check", "--no-such-option"],
        ["check", "{good}", "--lang", "de"],
        ["no-such-command"],
    ],
)
def test_wrong_use_exits_2(good: str, arguments: list[str]) -> None:
    filled = [argument.format(good=good) for argument in arguments]
    assert RUNNER.invoke(app, filled).exit_code == 2


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--text", "Floods!"], ["all", "flood"]),
        (["--text", "Regen", "--lang", "de"], ["all", "german"]),
        (["--text", "Regen", "--lang", "en"], ["all"]),
        (["--text", "hi", "--author", "ann"], ["all", "flood"]),
    ],
)
def test_check_with_text_prints_the_matching_queries(
    good: str, options: list[str], names: list[str]
) -> None:
    outcome = RUNNER.invoke(app, ["check", good, *options])
    assert outcome.exit_code == 0
    assert outcome.stdout.split() == names


def test_list_shows_titles_as_they_are_and_writes_json(good: str, tmp_path: Path) -> None:
    report = tmp_path / "queries.json"
    outcome = RUNNER.invoke(app, ["list", good, "--json", str(report)])
    assert outcome.exit_code == 0
    assert "[relief]" in outcome.stdout
    written = json.loads(report.read_bytes())
    assert written["figures"] == {"queries": 2, "distinct_terms": 4}
    assert [query["name"] for query in written["tables"]["queries"]] == ["flood", "german"]
    assert {"machine", "versions", "seed", "settings"} <= set(written)


def test_list_is_read_whole_in_80_columns(tmp_path: Path) -> None:
    name = "a-name-of-32-characters-in-whole"
    words = [f"word{number}" for number in range(30)]
    path = tmp_path / "queries.toml"
    path.write_text(
        f"[queries.{name}]\nexpression = '{' OR '.join(words)}'\n"
        "title = 'Many words'\nlabels = { desk = 'travel' }\n"
    )
    shown = RUNNER.invoke(app, ["list", str(path)], env={"COLUMNS": "80"}).stdout
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 20, "an expression has a few words a line and more"
    for piece in (name, "Many words", "desk=travel", *words):
        assert piece in shown


def test_list_of_a_bad_catalog_exits_2(bad: str) -> None:
    assert RUNNER.invoke(app, ["list", bad]).exit_code == 2


def check(tmp_path: Path, expression: str, *options: str) -> Result:
    path = tmp_path / "queries.toml"
    path.write_text(f"[queries.q]\nexpression = '''{expression}'''\n", encoding="utf-8")
    return RUNNER.invoke(app, ["check", str(path), *options])


def test_check_hints_on_standard_error_and_exits_0(tmp_path: Path) -> None:
    outcome = check(tmp_path, "flood or source:twitter")
    assert outcome.exit_code == 0
    assert "1 queries, version" in outcome.stdout
    lines = outcome.stderr.splitlines()
    assert lines[0].startswith("hint: queries.q: column 7: 'or' is read as a word")
    assert lines[1].startswith("hint: queries.q: column 10: no such source 'twitter'")


def test_check_refuses_operators_of_other_products_and_exits_2(tmp_path: Path) -> None:
    outcome = check(tmp_path, "flood, storm")
    assert outcome.exit_code == 2
    assert "write OR" in outcome.stderr


@pytest.mark.parametrize(
    ("expression", "options"),
    [
        ('"food & drink"', ["--text", "food &amp; drink"]),
        ('"food & drink"', ["--text", "<p>food &amp; <b>drink</b></p>"]),
        ("#flood", ["--text", "look", "--tag", "flood"]),
        ("flood", ["--text", "look", "--link", "https://a.test/flood"]),
        ("flood", ["--text", "look", "--card", "a flood"]),
        ("flood", ["--text", "look", "--alt", "a flood"]),
        ("flood", ["--text", "look", "--poll", "a flood"]),
        ("lang:en look", ["--text", "look", "--lang", "English"]),
    ],
)
def test_check_tries_texts_as_they_come_and_what_stands_beside(
    tmp_path: Path, expression: str, options: list[str]
) -> None:
    outcome = check(tmp_path, expression, *options)
    assert outcome.stdout.split() == ["all", "q"]


def test_a_query_that_looks_in_some_parts_only_leaves_out_the_others(tmp_path: Path) -> None:
    path = tmp_path / "parts.toml"
    path.write_text('[queries.q]\nexpression = "flood"\nparts = ["text", "tags"]\n')
    linked = RUNNER.invoke(app, ["check", str(path), "--text", "see https://a.test/flood"])
    tagged = RUNNER.invoke(app, ["check", str(path), "--text", "see", "--tag", "flood"])
    assert linked.stdout.split() == ["all"]
    assert tagged.stdout.split() == ["all", "q"]
    path.write_text('[queries.q]\nexpression = "flood"\nparts = ["txt"]\n')
    refused = RUNNER.invoke(app, ["check", str(path)])
    assert refused.exit_code == 2
    assert "did you mean 'text'?" in refused.stderr
