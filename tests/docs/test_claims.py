"""What the pages name is there: tests, files, commands with their options, targets, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.cli.main import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if "decisions" not in path.parts  # they say how things were when they were decided
)
FOLDERS = (
    "benchmarks", "configs", "core", "deploy", "docs", "evaluation", "models", "requirements",
    "scripts", "services", "stream", "testkit", "tests",
)  # fmt: skip
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES]
)


def spans(page: Path) -> list[str]:
    """Return what a page says in backticks and in blocks of code, line by line."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*inline, *indented, *(line for block in blocks for line in block.splitlines())]


def test_every_invariant_names_its_tests() -> None:
    page = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 30
    for number, shown_by in rows:
        assert "`test_" in shown_by, f"invariant {number}"


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    written = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    known = set(re.findall(r"^\s*(?:async )?def (test_\w+)", written, re.MULTILINE))
    named = {span for span in spans(page) if re.fullmatch(r"test_\w+", span)}
    assert sorted(named - known) == []


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    missing = []
    for span in spans(page):
        path = span.strip().split("::")[0].split(":")[0]
        if re.fullmatch(rf"(?:\.\./)?(?:{'|'.join(FOLDERS)})/[\w./*-]+", path) and "<" not in path:
            pattern = path.removeprefix("../").rstrip("/")
            if not any(ROOT.glob(pattern)):
                missing.append(path)
    assert missing == []


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@each_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {found[1] for span in spans(page) if (found := re.match(r"make ([a-z][a-z-]+)", span))}
    assert sorted(named - targets) == []


def words_after_program(span: str) -> list[str] | None:
    """Return the words of one call of the program, None where a span is none."""
    found = re.match(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*groundswell ([^|;&>]*)", span.strip())
    return None if found is None else found[1].split()


def command_of(words: list[str]) -> tuple[Any, str]:
    """Return the command that words call, and its name.

    Raises:
        AssertionError: There is no such command.
    """
    assert words[0] in COMMANDS, f"groundswell {words[0]}"
    command, name = load_command(words[0]), words[0]
    for word in words[1:]:
        if not hasattr(command, "commands") or word.startswith("-"):
            break
        name = f"{name} {word}"
        assert word in command.commands, f"groundswell {name}"
        command = command.commands[word]
    return command, name


def calls(page: Path) -> Iterator[list[str]]:
    for span in spans(page):
        words = words_after_program(span)
        if words and re.fullmatch(r"[a-z][a-z-]+", words[0]):
            yield words


@each_page
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    for words in calls(page):
        command, name = command_of(words)
        options = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        } | {"--help"}
        named = {word.split("=")[0] for word in words if word.startswith("--")}
        assert sorted(named - options) == [], f"groundswell {name}"
