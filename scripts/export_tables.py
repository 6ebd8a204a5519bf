"""Fill the tables of `docs/settings.md` and `docs/metrics.md` from the code they describe.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the prose around it is written by
hand. Run after changing a setting, a metric, a reason code or a topic; a test fails until then.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from core.metrics import Metrics
from core.reasons import DEAD_REASONS, REPAIRS
from core.settings import Secret, Settings
from stream.topics import TOPICS

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGES: Final = ("settings.md", "metrics.md")
_TABLE: Final = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _rows(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _field_docs(kind: type) -> dict[str, str]:
    """Return field -> the string below it; Python keeps none at run time."""
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__)
    docs: dict[str, str] = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            docs[field.target.id] = str(text.value.value)
    return docs


def _range(kind: Any) -> str:
    if kind is Secret:
        return "secret"
    found = msgspec.json.schema(kind)
    if found.get("type") == "boolean":
        return "`true`, `false`"
    if "pattern" in found:
        return f"`{found['pattern']}`".replace("|", "\\|")
    if "enum" in found:
        return ", ".join(f"`{value}`" for value in found["enum"])
    if found.get("type") == "array":
        of = found["items"].get("type")
        return "list of whole numbers" if of == "integer" else "list of words"
    word = {"integer": "whole number", "number": "number"}
    text = word.get(found.get("type", ""), "text")
    if "minimum" in found:
        text += f" ≥ {found['minimum']}"
    if "maximum" in found:
        text += f", ≤ {found['maximum']}"
    if "exclusiveMinimum" in found:
        text += f" > {found['exclusiveMinimum']:g}"
    return text


def _default(value: Any) -> str:
    if isinstance(value, Secret) or value == "":
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{value}`"


def settings_table() -> str:
    """One row a setting, by section."""
    rows: list[tuple[str, ...]] = []
    for section, kind in get_type_hints(Settings).items():
        docs, present = _field_docs(kind), kind()
        rows.extend(
            (f"`{section}.{field}`", _default(getattr(present, field)), _range(hint), docs[field])
            for field, hint in get_type_hints(kind, include_extras=True).items()
        )
    return _rows(("setting", "default", "range", "meaning"), rows)


def metrics_table() -> str:
    """One row a metric, in order of definition."""
    kinds: dict[type, str] = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    rows: list[tuple[str, ...]] = []
    for metric in vars(Metrics()).values():
        if not isinstance(metric, (Counter, Gauge, Histogram)):
            continue
        # prometheus_client has no public way to ask a metric for its name, text and labels.
        name, labels = metric._name, ", ".join(f"`{label}`" for label in metric._labelnames)
        suffix = "_total" if isinstance(metric, Counter) else ""
        kind = kinds[type(metric)]
        rows.append((f"`{name}{suffix}`", kind, labels or "–", metric._documentation))
    return _rows(("metric", "kind", "labels", "meaning"), rows)


def _codes(codes: dict[str, str]) -> str:
    return _rows(("code", "meaning"), ((f"`{code}`", text) for code, text in codes.items()))


def topics_table() -> str:
    """One row a topic."""
    rows = (
        (
            f"`{spec.name}`",
            spec.key.replace("|", "\\|"),
            str(spec.partitions or "`kafka.partitions`"),
            "compacted" if spec.compacted else f"{spec.retention_ms / 3_600_000:g} h",
            f"[{spec.schema}](schemas/{spec.schema}.json)",
        )
        for spec in TOPICS.values()
    )
    return _rows(("topic", "key", "partitions", "kept", "carries"), rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings_table,
    "metrics": metrics_table,
    "dead-reasons": lambda: _codes(DEAD_REASONS),
    "repairs": lambda: _codes(REPAIRS),
    "topics": topics_table,
}


def filled(page: str) -> str:
    """Return a page with its tables made anew."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


def main() -> None:
    """Rewrite the pages."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
