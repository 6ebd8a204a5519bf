"""The reference pages say what the code has, no more and no less."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

from core.metrics import Metrics
from core.reasons import DEAD_REASONS, REPAIRS
from core.settings import Settings
from stream.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def _script(name: str) -> ModuleType:
    """Load a script; `scripts` is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _first_column(page: str, table: str) -> set[str]:
    inside = page.split(f"<!-- table: {table} -->")[1].split("<!-- end -->")[0]
    return set(re.findall(r"^\| `([^`]+)` ", inside, re.MULTILINE))


def test_every_setting_is_documented_and_no_other() -> None:
    known = {
        f"{section}.{field}"
        for section, kind in get_type_hints(Settings).items()
        for field in get_type_hints(kind)
    }
    assert _first_column(SETTINGS, "settings") == known


def test_every_metric_is_documented_and_no_other() -> None:
    known = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        if family.name.startswith("groundswell_")
    }
    assert _first_column(METRICS, "metrics") == known


@pytest.mark.parametrize(
    ("table", "known"),
    [("dead-reasons", DEAD_REASONS), ("repairs", REPAIRS), ("topics", TOPICS)],
    ids=["dead-reasons", "repairs", "topics"],
)
def test_every_code_and_topic_is_documented_and_no_other(
    table: str, known: dict[str, object]
) -> None:
    assert _first_column(METRICS, table) == set(known)


@pytest.mark.parametrize("name", ["settings.md", "metrics.md"])
def test_tables_are_those_of_the_code(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == _script("export_tables").filled(page), "run python scripts/export_tables.py"


def test_exported_schemas_are_those_of_the_code() -> None:
    folder = ROOT / "docs" / "schemas"
    found = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    assert found == _script("export_schemas").schema_files(), "run scripts/export_schemas.py"


def test_the_asyncapi_document_is_that_of_the_code_and_every_reference_leads_somewhere() -> None:
    found = (ROOT / "docs" / "asyncapi.json").read_bytes()
    assert found == _script("export_asyncapi").content(), "run scripts/export_asyncapi.py"
    document = json.loads(found)
    assert set(document["channels"]) == set(TOPICS)
    references = re.findall(r'"\$ref": "#/([^"]+)"', found.decode())
    assert len(references) > 2 * len(TOPICS)
    for reference in references:
        part = document
        for name in reference.split("/"):
            part = part[name]
        assert part, reference


def test_every_metric_that_prose_names_exists() -> None:
    known = _first_column(METRICS, "metrics")
    histograms = ("_bucket", "_count", "_sum")
    for named in set(re.findall(r"groundswell_[a-z_]+", METRICS)):
        assert named in known or named.endswith(histograms), named


def test_every_setting_that_prose_names_exists() -> None:
    known = _first_column(SETTINGS, "settings")
    sections = "|".join(get_type_hints(Settings))
    pages = [SETTINGS, METRICS, *(p.read_text("utf-8") for p in (ROOT / "docs").glob("*.md"))]
    for page in pages:
        for named in re.findall(rf"`((?:{sections})\.[a-z_]+)`", page):
            if not named.endswith((".json", ".toml", ".svg")):  # a file, not a setting
                assert named in known, named


def test_no_metric_has_a_label_for_posts_authors_or_text() -> None:
    labels = {
        label for metric in vars(Metrics()).values() for label in getattr(metric, "_labelnames", ())
    }
    assert not labels & {"post", "post_id", "author", "text", "url", "id"}
