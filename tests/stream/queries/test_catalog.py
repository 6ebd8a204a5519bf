import os
from pathlib import Path

import pytest

from core.errors import ConfigError
from stream.queries import CatalogError, CatalogWatcher, load_catalog, parse
from stream.queries.catalog import parse_catalog
from stream.queries.matcher import Matcher

PROJECT = Path(__file__).parents[3]

GOOD = """
[queries.flood]
title = "Flood relief"
expression = 'flood* AND (relief OR #help)'
labels = { desk = "city" }

[queries.climate]
expression = "climat*"
"""


def problems_of(content: str) -> tuple[str, ...]:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(content.encode(), Path("queries.toml"))
    return caught.value.problems


def test_queries_are_read_and_sorted_by_name() -> None:
    climate, flood = parse_catalog(GOOD.encode(), Path("queries.toml")).queries
    assert (climate.name, climate.title, climate.labels) == ("climate", "climate", {})
    assert (flood.name, flood.title, flood.labels) == ("flood", "Flood relief", {"desk": "city"})
    assert flood.expression == parse("flood* (relief OR #help)")


def test_shipped_catalog_is_valid_and_finds_its_topics() -> None:
    catalog = load_catalog(PROJECT / "configs" / "queries.toml")
    matcher = Matcher(catalog.queries)
    posts = {
        "The transit strike goes on": "transit-strike",
        "Huelga de metro mañana": "transit-strike",
        "Hochwasserhilfe gesucht": "flood-relief",
        "Otro vuelo con retraso": "airline-delays",
        "Neues Handy, neue Kamera": "phone-launch",
        "Que golo no dérbi!": "football-derby",
        "Les loyers montent": "housing-rents",
        "A candidata ganhou o debate": "election-debate",
        "Marche pour le climat": "climate-march",
        "@SouthwestAir thanks": "southwest",
        "us airways again": "us-airways",
    }
    columns = ["someone"] * len(posts), ["en"] * len(posts), ["synthetic"] * len(posts)
    for (text, name), found in zip(
        posts.items(), matcher.match_batch(list(posts), *columns), strict=True
    ):
        assert name in [matcher.names[i] for i in found], text


@pytest.mark.parametrize("content", ["", "[queries]\n"])
def test_catalog_without_queries_is_valid(content: str) -> None:
    assert parse_catalog(content.encode(), Path("queries.toml")).queries == ()


def test_version_follows_meaning_and_not_layout() -> None:
    def version(content: str) -> str:
        return parse_catalog(content.encode(), Path("queries.toml")).version

    first, second = GOOD.split("\n\n")
    same = f"# a comment\n{second}\n{first.replace(' AND ', '  ')}"
    assert version(same) == version(GOOD)
    assert version(GOOD.replace("flood*", "floods")) != version(GOOD)
    assert version(GOOD.replace("Flood relief", "Floods")) != version(GOOD)
    assert version(GOOD.replace('"city"', '"country"')) != version(GOOD)
    assert version(GOOD.replace("queries.flood", "queries.floods")) != version(GOOD)


def test_all_problems_are_reported_at_once_with_file_key_value_and_expectation() -> None:
    content = """
    extra = 1
    [queries]
    d = "flood"
    [queries.Bad_Name]
    expression = "ok"
    [queries.all]
    expression = "ok"
    [queries.a]
    expresion = "ok"
    [queries.b]
    expression = 5
    title = ""
    labels = { "Bad Label" = "x", good = 7 }
    [queries.c]
    expression = "flood OR"
    """
    with pytest.raises(ConfigError) as caught:
        parse_catalog(content.encode(), Path("some/queries.toml"))
    message = str(caught.value)
    assert message.startswith("some/queries.toml: 11 problems\n")
    for expected in (
        "extra: unknown key; expected only tables [queries.<name>]",
        "queries.d: expected a table with an expression, found 'flood'",
        "queries.Bad_Name: expected a name of 1 to 63 lower-case letters, digits and '-'",
        "queries.all: expected another name",
        "queries.a.expresion: unknown key (did you mean 'expression'?)",
        "queries.a.expression: expected an expression in quotes, found nothing",
        "queries.b.expression: expected an expression in quotes, found 5",
        "queries.b.title: expected 1 to 120 printable characters, found ''",
        "queries.b.labels.Bad Label: expected a label of lower-case letters",
        "queries.b.labels.good: expected 1 to 200 printable characters, found 7",
        "queries.c.expression: column 9: expected a word",
    ):
        assert expected in message
    assert "      flood OR\n              ^" in message


@pytest.mark.parametrize("name", ["a" * 63, "0", "a--b", "a-"])
def test_name_at_the_edge_of_the_rule_is_accepted(name: str) -> None:
    parse_catalog(f"[queries.{name}]\nexpression = 'x'\n".encode(), Path("queries.toml"))


@pytest.mark.parametrize("name", ["a" * 64, "-a", "A", "ä", "a.b", "a_b", ""])
def test_name_outside_the_rule_is_refused(name: str) -> None:
    (problem,) = problems_of(f"[queries.{name!r}]\nexpression = 'x'\n")
    assert "expected a name of 1 to 63" in problem


def test_broken_toml_and_wrong_encoding_are_one_problem() -> None:
    (problem,) = problems_of("[queries.a\n")
    assert "not valid TOML" in problem
    assert "line 1" in problem
    with pytest.raises(CatalogError, match="byte 2: expected UTF-8, found 0xff"):
        parse_catalog(b"# \xff", Path("queries.toml"))


def test_queries_that_are_no_table_are_refused() -> None:
    assert problems_of("queries = 3") == ("queries: expected a table, found 3",)


def test_missing_file_is_a_catalog_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(tmp_path / "queries.toml")
    with pytest.raises(CatalogError, match="cannot be read"):
        CatalogWatcher(tmp_path / "queries.toml")


class EditedFile:
    """A file whose modification time moves by a second with each edit, without waiting."""

    def __init__(self, path: Path, content: str) -> None:
        self.path = path
        self._time_s = 1_000_000_000
        self.edit(content)

    def edit(self, content: str) -> None:
        self.path.write_text(content, encoding="utf-8")
        self._time_s += 1
        os.utime(self.path, (self._time_s, self._time_s))


@pytest.fixture
def edited(tmp_path: Path) -> EditedFile:
    return EditedFile(tmp_path / "queries.toml", GOOD)


def names_of(watcher: CatalogWatcher) -> list[str]:
    return [query.name for query in watcher.catalog.queries]


def test_changed_file_is_taken_up_once(edited: EditedFile) -> None:
    watcher = CatalogWatcher(edited.path)
    assert not watcher.reload_if_changed().is_changed
    edited.edit("[queries.rain]\nexpression = 'rain'\n")
    assert watcher.reload_if_changed().is_changed
    assert names_of(watcher) == ["rain"]
    assert not watcher.reload_if_changed().is_changed


def test_untouched_file_is_not_read(edited: EditedFile) -> None:
    reads: list[Path] = []

    def read(path: Path) -> bytes:
        reads.append(path)
        return path.read_bytes()

    watcher = CatalogWatcher(edited.path, read)
    for _ in range(3):
        watcher.reload_if_changed()
    assert len(reads) == 1


def test_touched_or_reformatted_file_is_no_change(edited: EditedFile) -> None:
    watcher = CatalogWatcher(edited.path)
    before = watcher.catalog.version
    for content in (GOOD, f"# comment\n{GOOD}"):
        edited.edit(content)
        outcome = watcher.reload_if_changed()
        assert (outcome.is_changed, outcome.error) == (False, None)
    assert watcher.catalog.version == before


def test_bad_file_is_reported_once_and_the_old_queries_stay(edited: EditedFile) -> None:
    watcher = CatalogWatcher(edited.path)
    edited.edit("[queries.flood]\nexpression = 'flood OR'\n")
    outcome = watcher.reload_if_changed()
    assert not outcome.is_changed
    assert outcome.error is not None
    assert "column 9" in str(outcome.error)
    assert names_of(watcher) == ["climate", "flood"]
    assert watcher.reload_if_changed().error is None
    assert watcher.last_error is outcome.error


@pytest.mark.parametrize(
    ("content", "is_changed"), [(GOOD, False), ("[queries.rain]\nexpression = 'rain'", True)]
)
def test_repaired_file_is_taken_up_and_clears_the_error(
    edited: EditedFile, content: str, is_changed: bool
) -> None:
    watcher = CatalogWatcher(edited.path)
    edited.edit("not toml")
    assert watcher.reload_if_changed().error is not None
    edited.edit(content)
    assert watcher.reload_if_changed().is_changed is is_changed
    assert watcher.last_error is None


def test_removed_file_is_reported_and_its_return_is_seen(edited: EditedFile) -> None:
    watcher = CatalogWatcher(edited.path)
    edited.path.unlink()
    outcome = watcher.reload_if_changed()
    assert outcome.error is not None
    assert "cannot be read" in str(outcome.error)
    assert names_of(watcher) == ["climate", "flood"]
    assert watcher.reload_if_changed().error is None
    edited.edit("[queries.rain]\nexpression = 'rain'\n")
    assert watcher.reload_if_changed().is_changed
    assert watcher.last_error is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("direction = 'sideways'", "alerts.direction: expected up, down or both"),
        ("mute = ['opinions']", "alerts.mute: expected true, false or a list"),
        ("mute = 1", "alerts.mute: expected true, false or a list"),
        ("thresholds = { opinion = 0 }", "alerts.thresholds.opinion: expected evidence in nats"),
        ("thresholds = { opinion = nan }", "alerts.thresholds.opinion: expected evidence in nats"),
        (f"thresholds = {{ opinion = 1{'0' * 400} }}", "alerts.thresholds.opinion: expected"),
        ("thresholds = { mood = 3 }", "alerts.thresholds.mood: expected a kind of opinion, mix"),
        ("thresholds = 3", "alerts.thresholds: expected a table of kind = nats"),
        ("muted = true", "alerts.muted: expected one of thresholds, direction, mute"),
    ],
)
def test_wrong_rules_of_alerts_are_named(written: str, problem: str) -> None:
    (found,) = problems_of(f"[queries.a]\nexpression = 'a'\n[queries.a.alerts]\n{written}")
    assert f"queries.a.{problem}" in found


def test_rules_of_alerts_are_part_of_the_version_and_none_change_nothing() -> None:
    def catalog(rules: str):
        content = f"[queries.a]\nexpression = 'a'\n{rules}"
        return parse_catalog(content.encode(), Path("queries.toml"))

    plain, empty = catalog(""), catalog("[queries.a.alerts]")
    muted = catalog("[queries.a.alerts]\nmute = true")
    assert plain.version == empty.version != muted.version
    (query,) = muted.queries
    assert query.alerts.muted == {"opinion", "mix", "volume", "brigading"}


@pytest.mark.parametrize(
    "content",
    [
        f"a = {'1' * 5_000}",
        f"a = {'[' * 20_000}{']' * 20_000}",
        "a = { b = " * 20_000,
        f"a = 0x{'f' * 5_000}",
        f"[queries.a]\nexpression = 'late'\nlabels = 0x{'f' * 5_000}",
        f"[queries.a]\nexpression = 'a'\nalerts = {{ thresholds = {{ mix = 0x{'f' * 5_000} }} }}",
        f"[queries.a]\nexpression = 0x{'f' * 5_000}",
        f"[queries.a]\nexpression = 'late'\nparts = [0x{'f' * 5_000}]",
        f"[queries.a]\nexpression = 'late'\nlabels = {'[' * 200}{']' * 200}",
    ],
    ids=lambda content: content[:40].replace("\n", " "),
)
def test_numbers_without_end_and_nests_without_ground_are_refused_by_name(content: str) -> None:
    with pytest.raises(CatalogError, match=r"queries\.toml: 1 problem"):
        parse_catalog(content.encode(), Path("queries.toml"))
