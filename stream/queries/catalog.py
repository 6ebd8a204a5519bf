"""The catalog of queries: `configs/queries.toml`, validated as a whole.

::

    [queries.flood-relief]
    title = "Flood relief"                       # optional, default: the name
    expression = 'flood* AND (relief OR #help)'
    labels = { team = "civil-protection" }       # optional, copied to alerts
    parts = ["text", "tags"]                     # optional, default: all of a post
    alerts = { direction = "down" }              # optional, see `stream.queries.alert_rules`
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec

from core.errors import ConfigError
from core.suggest import did_you_mean
from stream.queries.alert_rules import read_alert_rules
from stream.queries.expression import Node, look_in
from stream.queries.grammar import QuerySyntaxError, parse
from stream.queries.parts import ALL_PARTS, PART_NAMES, Part, names_of, parts_named
from stream.shifts.rules import NO_RULES, AlertRules

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LABEL = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RESERVED = {
    "all": "the query that every post matches",
    "heartbeat": "the query of the stream's own heartbeats",
}
_KEYS = ("expression", "title", "labels", "parts", "alerts")
_MAX_TITLE_CHARACTERS = 120
_MAX_LABEL_CHARACTERS = 200


class CatalogError(ConfigError):
    """A query catalog cannot be used; nothing of it is.

    Attributes:
        path: the file.
        problems: one per mistake, each naming the key, the value and what was expected.
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        listed = "\n".join(f"- {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{path}: {count}\n{listed}")
        self.path = path
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Query:
    """A named expression that is watched.

    Attributes:
        name: key of its windows; ``[a-z0-9][a-z0-9-]{0,62}``, never ``all`` or ``heartbeat``.
        expression: the parsed expression; its terms know the parts that they are looked for in.
        title: for people.
        labels: copied to its alerts, for routing.
        parts: the parts of a post that it looks in.
        written: the expression as it stands in the file.
        alerts: what is asked of its alerts.
    """

    name: str
    expression: Node
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Part = ALL_PARTS
    written: str = field(default="", compare=False)
    alerts: AlertRules = NO_RULES


@dataclass(frozen=True, slots=True)
class QueryCatalog:
    """The queries of one version of the catalog file.

    Attributes:
        queries: ascending by name, so their order in the file does not matter.
        version: 16 hexadecimal digits of a hash of what the queries mean; comments, order and
            layout of the file do not change it.
    """

    queries: tuple[Query, ...]
    version: str


def load_catalog(path: Path) -> QueryCatalog:
    """Read and validate the catalog in `path`. A catalog without queries is valid.

    Raises:
        CatalogError: the file cannot be read or holds mistakes; all of them are listed.
    """
    return parse_catalog(read_catalog_file(path), path)


def parse_catalog(content: bytes, path: Path) -> QueryCatalog:
    """Validate the `content` of the catalog file `path` (named in errors, not read).

    Raises:
        CatalogError: the content holds mistakes; all of them are listed.
    """
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"byte {error.start}: expected UTF-8, found 0x{content[error.start]:02x}"
        raise CatalogError(path, [problem]) from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(path, [f"not valid TOML: {error}"]) from error
    except RecursionError as error:
        problem = "nested too deep; expected tables [queries.<name>] with their keys"
        raise CatalogError(path, [problem]) from error
    except ValueError as error:  # a date that is none, or an integer of thousands of digits
        raise CatalogError(path, [f"not valid TOML: {error}"]) from error
    reader = _CatalogReader()
    queries = reader.read(document)
    if reader.problems:
        raise CatalogError(path, reader.problems)
    return QueryCatalog(queries, _version_of(queries))


def read_catalog_file(path: Path) -> bytes:
    """Return the content of a catalog file.

    Raises:
        CatalogError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); expected a query catalog in TOML"
        raise CatalogError(path, [problem]) from error


def _version_of(queries: tuple[Query, ...]) -> str:
    meaning = [
        (q.name, str(q.expression), q.title, sorted(q.labels.items()))
        # As it was before there were parts, where all are meant.
        + (() if q.parts == ALL_PARTS else names_of(q.parts))
        + (() if q.alerts == NO_RULES else _rules_meaning(q.alerts))
        for q in queries
    ]
    return hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()[:16]


def _rules_meaning(rules: AlertRules) -> tuple[object, ...]:
    return (sorted(rules.thresholds.items()), rules.direction, sorted(rules.muted))


class _CatalogReader:
    """Walks the document and gathers every mistake on the way."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def _complain(self, key: str, found: object, expected: str) -> None:
        self.problems.append(f"{key}: expected {expected}, found {_shown(found)}")

    def read(self, document: dict[str, object]) -> tuple[Query, ...]:
        for key in document:
            if key != "queries":
                self.problems.append(
                    f"{key}: unknown key{did_you_mean(key, ['queries'])}; "
                    "expected only tables [queries.<name>]"
                )
        tables = self._table("queries", document.get("queries", {}))
        queries = [self._query(name, value) for name, value in tables.items()]
        return tuple(sorted((q for q in queries if q is not None), key=lambda q: q.name))

    def _table(self, key: str, value: object) -> dict[str, object]:
        if isinstance(value, dict):
            return cast("dict[str, object]", value)
        self._complain(key, value, "a table")
        return {}

    def _query(self, name: str, value: object) -> Query | None:
        key = f"queries.{name}"
        if not _NAME.fullmatch(name):
            self._complain(
                key, name, "a name of 1 to 63 lower-case letters, digits and '-', not '-' first"
            )
        if name in _RESERVED:
            self._complain(key, name, f"another name: {name!r} is {_RESERVED[name]}")
        if not isinstance(value, dict):
            self._complain(key, value, "a table with an expression")
            return None
        table = cast("dict[str, object]", value)
        for unknown in [k for k in table if k not in _KEYS]:
            self.problems.append(
                f"{key}.{unknown}: unknown key{did_you_mean(unknown, _KEYS)}; "
                f"expected one of {', '.join(_KEYS)}"
            )
        title = name
        if "title" in table:
            title = self._text(f"{key}.title", table["title"], _MAX_TITLE_CHARACTERS)
        labels = self._labels(f"{key}.labels", table.get("labels", {}))
        expression = self._expression(f"{key}.expression", table.get("expression"))
        parts = self._parts(f"{key}.parts", table["parts"]) if "parts" in table else ALL_PARTS
        alerts = NO_RULES
        if "alerts" in table:
            alerts = read_alert_rules(f"{key}.alerts", table["alerts"], self._complain)
        if expression is None:
            return None
        written = cast("str", table["expression"])
        return Query(name, look_in(expression, parts), title, labels, parts, written, alerts)

    def _parts(self, key: str, value: object) -> Part:
        names = cast("list[object]", value if isinstance(value, list) else [])
        wrong = [name for name in names if name not in PART_NAMES]
        if names and not wrong:
            return parts_named([str(name) for name in names])
        found = wrong[0] if wrong else cast("object", value)
        near = did_you_mean(found, PART_NAMES) if isinstance(found, str) else ""
        self._complain(key, found, f"a list of some of {', '.join(PART_NAMES)}{near}")
        return ALL_PARTS

    def _text(self, key: str, value: object, most: int) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
            self._complain(key, value, f"1 to {most} printable characters")
            return ""
        return value

    def _labels(self, key: str, value: object) -> dict[str, str]:
        labels: dict[str, str] = {}
        for name, content in self._table(key, value).items():
            if not _LABEL.fullmatch(name):
                self._complain(
                    f"{key}.{name}", name, "a label of lower-case letters, digits and '_'"
                )
            labels[name] = self._text(f"{key}.{name}", content, _MAX_LABEL_CHARACTERS)
        return labels

    def _expression(self, key: str, value: object) -> Node | None:
        if not isinstance(value, str):
            found = "nothing" if value is None else _shown(value)
            self.problems.append(f"{key}: expected an expression in quotes, found {found}")
            return None
        try:
            return parse(value)
        except QuerySyntaxError as error:
            self.problems.append(f"{key}: {error}".replace("\n", "\n  "))
            return None


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # hexadecimal digits have no bound of their own
        return "a number of thousands of digits, or something nested too deep"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
