"""What docs/queries.md promises is what the matcher does."""

import re
from pathlib import Path

import pytest

from stream.queries import Query, parse
from stream.queries.catalog import parse_catalog
from stream.queries.matcher import Matcher

DOCUMENT = (Path(__file__).parents[3] / "docs" / "queries.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| `(.+)` \| (.+) \| (yes|no) \|$", DOCUMENT, re.MULTILINE)
LANGUAGE_TABLE = re.findall(r"^\| `.+` \| .+ \| `(.+)` \|$", DOCUMENT, re.MULTILINE)


def test_examples_were_found() -> None:
    assert len(EXAMPLES) == 28
    assert {answer for _, _, answer in EXAMPLES} == {"yes", "no"}
    assert len(LANGUAGE_TABLE) == 12


@pytest.mark.parametrize(("expression", "text", "answer"), EXAMPLES)
def test_example_of_the_document_holds(expression: str, text: str, answer: str) -> None:
    matcher = Matcher([Query("example", parse(expression))])
    (found,) = matcher.match_batch([text], ["someone"], [""], ["demo"])
    assert (1 in found) == (answer == "yes")


@pytest.mark.parametrize("expression", LANGUAGE_TABLE)
def test_expression_in_the_table_of_the_language_is_valid(expression: str) -> None:
    parse(expression)


def test_catalog_example_of_the_document_is_valid() -> None:
    (toml,) = re.findall(r"```toml\n(.+?)```", DOCUMENT, re.DOTALL)
    (query,) = parse_catalog(toml.encode(), Path("docs/queries.md")).queries
    assert query.labels == {"desk": "civil-protection"}


def test_precedence_example_of_the_document_holds() -> None:
    assert parse("a b OR c NOT d") == parse("(a AND b) OR (c AND (NOT d))")
