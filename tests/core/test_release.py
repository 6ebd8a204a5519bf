"""Which release runs: the one installed, else the one that an image was built as."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from core import release as module
from core.release import release

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "docker" / "app.Dockerfile"


def test_what_is_installed_comes_before_what_an_image_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.VARIABLE, "7.7")
    monkeypatch.setattr(module, "version", lambda name: f"{name} 1.2")
    assert release() == "groundswell 1.2"


@pytest.mark.parametrize(("said", "expected"), [("7.7", "7.7"), ("", "not installed")])
def test_an_image_says_what_it_was_built_as(
    monkeypatch: pytest.MonkeyPatch, said: str, expected: str
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", absent)
    monkeypatch.setenv(module.VARIABLE, said)
    assert release() == expected


def test_the_image_of_the_programs_is_built_with_it() -> None:
    last = DOCKERFILE.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert last.index("ARG VERSION=") < last.index(f"{module.VARIABLE}=${{VERSION}}")
