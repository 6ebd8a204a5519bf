import os
import sys
from pathlib import Path

import pytest

from services.local import setup
from services.local.setup import SetupFailed, find_python, is_made, make_server_environment


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment to be made, with a lock of two packages and a uv that only notes its words."""
    monkeypatch.delenv("GROUNDSWELL_SERVER_PYTHON", raising=False)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "no-pyenv"))
    folder, lock = tmp_path / "server", tmp_path / "server.txt"
    lock.write_text("one==1\ntwo==2\n")
    said = tmp_path / "said"
    make = f"mkdir -p {folder}/bin && ln -sf {sys.executable} {folder}/bin/python"
    uv = script(tmp_path / "uv", f'echo "$1 $2" >> {said}\n[ "$1" = venv ] && {make}; exit 0')
    monkeypatch.setattr(setup, "find_uv", lambda: uv)
    monkeypatch.setattr(setup, "server_environment", lambda: folder)
    monkeypatch.setattr(setup, "shipped", lambda *_: lock)
    monkeypatch.setattr(setup, "checkout", lambda: None)
    return folder


def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    environment: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    make_server_environment(told.append)
    assert is_made(environment)
    assert any("installing 2 packages" in line for line in told)
    assert (tmp_path / "said").read_text().splitlines()[-2:] == ["venv --quiet", "pip install"]
    told.clear()
    make_server_environment(told.append)
    assert not told
    (tmp_path / "server.txt").write_text("one==2\n")
    assert not is_made(environment)
    make_server_environment(told.append)
    assert any("installing 1 packages" in line for line in told)


def test_what_fails_is_told_with_the_way_on_and_is_not_taken_for_made(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = script(tmp_path / "broken", 'echo "no space left"; exit 2')
    monkeypatch.setattr(setup, "find_uv", lambda: uv)
    with pytest.raises(SetupFailed, match=r"(?s)groundswell setup.*no space left"):
        make_server_environment(lambda _: None)
    assert not is_made(environment)


def test_an_environment_that_somebody_named_is_left_alone_and_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "bin" / "python"
    monkeypatch.setenv("GROUNDSWELL_SERVER_PYTHON", str(named))
    monkeypatch.setattr(setup, "DEFAULT_SERVER_PYTHON", named)
    with pytest.raises(SetupFailed, match=r"GROUNDSWELL_SERVER_PYTHON = .*: there is no such"):
        make_server_environment(lambda _: None)
    script(named, "exit 0")
    assert make_server_environment(lambda _: None) == named
    assert not (tmp_path / ".made").exists()


def test_a_python_without_a_shared_library_or_of_another_version_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyenv = tmp_path / "pyenv" / "versions"
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    uv = script(tmp_path / "uv", "exit 2")
    monkeypatch.setattr(sys, "executable", script(tmp_path / "newer", "echo 3.13 True"))
    static = script(pyenv / "3.11.1" / "bin" / "python3.11", "echo 3.11 False")
    assert find_python(uv) == "3.12"  # which uv fetches
    assert os.access(static, os.X_OK)
    good = script(pyenv / "3.12.4" / "bin" / "python3.12", "echo 3.12 True")
    assert find_python(uv) == good
