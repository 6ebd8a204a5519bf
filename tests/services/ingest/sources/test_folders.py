"""Every source of a network is a folder of one shape, registered once and documented by itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest
from msgspec import Struct

from core.errors import ConfigError
from services.cli.main import run
from services.ingest.options import load_options
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source
from services.ingest.sources.live import LiveSource
from services.ingest.sources.options import (
    LiveLimits,
    LiveOptions,
    Manifest,
    check_values,
    describe_options,
)
from services.ingest.sources.remembering import RememberingSource
from testkit.checks.live_sources import LIVE

FOLDER = Path(__file__).parents[4] / "services" / "ingest" / "sources"
NEEDED = {"__init__.py", "source.py", "parse.py", "options.py"}
ALLOWED: Mapping[str, str] = {
    "client.py": "how the platform is reached",
    "wire.py": "the bytes that it sends, as typed values",
    "position.py": "where to go on, where that is more than a cursor says",
    "memory.py": "what is remembered, where that is something else than posts",
}
"""What a folder may have beside its four files, and why."""


@pytest.mark.parametrize("name", LIVE)
def test_the_folder_of_a_source_has_the_files_it_needs_and_no_others(name: str) -> None:
    found = {path.name for path in (FOLDER / name).iterdir() if path.name != "__pycache__"}
    assert found >= NEEDED
    assert found - NEEDED <= set(ALLOWED)


def test_every_folder_is_of_a_registered_source() -> None:
    folders = {path.name for path in FOLDER.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(SOURCES.names())


@pytest.mark.parametrize("name", LIVE)
def test_a_source_is_named_once_in_its_manifest(name: str) -> None:
    manifest = import_module(f"services.ingest.sources.{name}").MANIFEST
    kind: type[Source] = SOURCES.get(name)
    assert isinstance(manifest, Manifest)
    assert (manifest.name, kind.name, kind.manifest) == (name, name, manifest)
    assert manifest.title.endswith(".")
    assert issubclass(kind, RememberingSource)
    assert kind.__module__ == f"services.ingest.sources.{name}.source"
    assert manifest.memory in ("", *(f"{name}.{of}.sqlite" for of in ("held", "posts", "requests")))


@pytest.mark.parametrize("name", LIVE)
def test_every_option_of_a_source_says_what_it_means(name: str) -> None:
    kind: type[Source] = SOURCES.get(name)
    assert issubclass(kind.Options, LiveOptions)
    for options in (kind.Options, LiveLimits):
        assert [option for option, _, meaning in describe_options(options) if not meaning] == []


@pytest.mark.parametrize("name", SOURCES.names())
def test_a_source_is_shown_with_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sources", "show", name]) == 0
    shown = capsys.readouterr().out
    kind: type[Source] = SOURCES.get(name)
    for option, default, _ in describe_options(kind.Options):
        assert f"  {option} = {default}" in shown
    for sentence in kind.manifest.needs:
        assert sentence in shown


class Some(Struct, frozen=True):
    """A table.

    Attributes:
        one, two: The numbers,
            on two lines.
        limits: Bounds.
    """

    one: int = 1
    two: int = 2
    limits: LiveLimits = LiveLimits()


def test_meanings_are_those_of_the_docstring() -> None:
    assert describe_options(Some) == [
        ("one", "1", "The numbers, on two lines."),
        ("two", "2", "The numbers, on two lines."),
        ("limits", "a table", "Bounds."),
    ]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (LiveLimits(idle_min_s=-1), r"idle_min_s = -1: expected `float` > 0.0"),
        (LiveLimits(max_buffered_items=0), r"max_buffered_items = 0: expected `int` >= 1"),
    ],
)
def test_bounds_hold_where_options_are_made_by_a_program_too(limits: LiveLimits, said: str) -> None:
    with pytest.raises(ConfigError, match=f"rss: {said}"):
        check_values("rss", limits)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"every_s": 0}, r"every_s = 0: expected `float` > 0\.0"),
        ({"limits": {"idle_min_s": -2}}, r"limits\.idle_min_s = -2: expected `float` > 0\.0"),
        ({"feeds": ["x", 7]}, r"feeds\[1\] = 7: expected `str`, got `int`"),
        ({"limits": 7}, r"limits = 7: expected `object`, got `int`"),
        ({"authors": "none"}, r"authors = 'none': invalid enum value 'none'"),
    ],
)
def test_a_fault_names_key_value_and_what_was_expected(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_options(SOURCES.get("rss").Options, None, given)


def test_live_sources_are_read_by_a_thread() -> None:
    assert all(issubclass(SOURCES.get(name), LiveSource) for name in LIVE)
