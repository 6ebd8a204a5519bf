"""What a child of the local stack inherits."""

import sys
from pathlib import Path

import pytest

from services.local.child import Command, run_to_end
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT

CACHE = str(DEFAULT_PATHS.cache / "bytecode")


def test_a_child_that_may_not_write_bytecode_beside_the_code_writes_it_to_our_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    program = "import core.errors as e, sys; print(sys.dont_write_bytecode, e.__cached__)"
    status, output = run_to_end(Command((sys.executable, "-c", program), cwd=PROJECT_ROOT), 60)
    assert status == 0, output
    stays_silent, cached = output.split()
    assert stays_silent == "False"
    assert cached.startswith(CACHE)
    assert Path(cached).is_file()


@pytest.mark.parametrize("cwd", [None, Path("/")])
def test_programs_of_others_keep_what_they_are_told(
    monkeypatch: pytest.MonkeyPatch, cwd: Path | None
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    environment = Command(("true",), cwd=cwd).environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONPYCACHEPREFIX" not in environment


def test_a_cache_that_somebody_chose_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/elsewhere")
    environment = Command(("true",), cwd=PROJECT_ROOT).environment()
    assert environment["PYTHONPYCACHEPREFIX"] == "/elsewhere"
    # Whoever sets the variable for this child means it.
    told = Command(("true",), {"PYTHONDONTWRITEBYTECODE": "1"}, PROJECT_ROOT).environment()
    assert told["PYTHONDONTWRITEBYTECODE"] == "1"


def test_children_write_where_they_would_if_nobody_forbids_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert "PYTHONPYCACHEPREFIX" not in Command(("true",), cwd=PROJECT_ROOT).environment()
