"""The example options fit the sources, and `up` says what is missing before it starts anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import fields

from core.errors import ConfigError
from core.settings import IngestSettings, Secret, Settings
from services.ingest.launch import check_source
from services.ingest.sources import SOURCES
from testkit.checks.live_sources import LIVE

REPOSITORY = Path(__file__).parents[4]
DOCS = (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.stem for path in (REPOSITORY / "configs" / "sources").glob("*.toml"))
SECTIONS = [name for name in LIVE if f"\n## {name}\n" in DOCS]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in LIVE])
def test_the_example_options_are_accepted(name: str) -> None:
    settings = Settings(ingest=IngestSettings(source_secret=Secret("of-sixteen-characters")))
    check_source(settings, name, REPOSITORY / "configs" / "sources" / f"{name}.toml")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_option_is_documented(name: str) -> None:
    section = DOCS.split(f"\n## {name}\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([a-z_]+)`", section))
    assert {field.name for field in fields(SOURCES.get(name).Options)} <= documented


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("mastodon", "`server`"),
        ("reddit", "`communities`"),
        ("rss", "`feeds`"),
        ("webhook", "`ingest.source_secret`"),
    ],
)
def test_what_is_missing_is_named_before_anything_starts(name: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        check_source(Settings(), name)


@pytest.mark.slow
def test_up_ends_with_status_2_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "up", "--source", "mastodon"],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ran.returncode == 2
    assert "the option `server` is missing" in ran.stderr
    assert list(tmp_path.iterdir()) == []
