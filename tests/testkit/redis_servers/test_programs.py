"""Servers to try: named, wrapped for the search path, and failed by name where there is none."""

import shutil
from pathlib import Path

import pytest

from core.errors import ConfigError
from testkit.redis_servers.command import run_tests
from testkit.redis_servers.programs import WHEELS, NoServer, place, version_of


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_is_found_on_the_search_path_by_the_name_of_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = _program(tmp_path / "own/valkey server", 'echo "Valkey server v=9.1.2 sha=0:1"')
    folder = place(str(program), tmp_path / "root")
    assert version_of(folder) == "Valkey 9.1.2"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert shutil.which("redis-server") == str(folder / "redis-server")


def test_a_link_is_started_by_its_own_name(tmp_path: Path):
    """A package has one program, which is a server if it is called one."""
    script = 'case "$0" in *redis-server) echo "Redis server v=7.0.15";; *) echo checked;; esac'
    _program(tmp_path / "bin/redis-check-rdb", script)
    link = tmp_path / "bin/redis-server"
    link.symlink_to("redis-check-rdb")
    assert version_of(place(str(link), tmp_path / "root")) == "Redis 7.0.15"


@pytest.mark.parametrize("name", sorted(WHEELS))
def test_a_server_that_was_not_installed_is_said(tmp_path: Path, name: str):
    with pytest.raises(NoServer, match=r"there is no .*-server"):
        place(name, tmp_path)


def test_a_name_that_is_none_is_wrong_use(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"'valkey-19': no such name \(did you mean 'valkey-9'"):
        place("valkey-19", tmp_path)


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 3", "status 3"), ("echo 'Memcached 1.6'", "no Redis and no Valkey: 'Memcached")],
)
def test_a_server_that_does_not_start_fails_and_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    script: str, why: str,
):  # fmt: skip
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    program = _program(tmp_path / "bad-server", script)
    assert run_tests([str(program)], slow=False, jobs=1) == 1
    said = capsys.readouterr().out
    assert why in said
    assert said.splitlines()[-1].split()[1:3] == ["-", "failed"]
