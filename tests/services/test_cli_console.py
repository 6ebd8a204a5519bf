"""`groundswell console`: keys are made, listed and taken away, and the link is printed."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from services.cli.console import app
from services.console.keys import KeyRing, Role
from services.console.sessions import KEYS_FILE, LocalLink
from testkit.builders import NOON

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDSWELL__CONSOLE__DATA_DIR", str(tmp_path / "console"))
    return tmp_path / "console"


def test_a_key_is_shown_once_and_kept_as_a_hash(folder: Path) -> None:
    added = RUN.invoke(app, ["keys", "add", "desk", "--role", "analyst"])
    assert added.exit_code == 0, added.output
    key = added.output.strip()
    found = KeyRing(folder / KEYS_FILE).find(key)
    assert found is not None
    assert (found.name, found.role) == ("desk", Role.ANALYST)
    assert key.rsplit("_", 1)[1] not in (folder / KEYS_FILE).read_text()
    listed = RUN.invoke(app, ["keys", "list"]).output
    assert listed.split()[:2] == ["desk", "analyst"]


def test_a_name_has_one_key_and_is_refused_if_it_is_none(folder: Path) -> None:
    assert RUN.invoke(app, ["keys", "add", "desk"]).exit_code == 0
    for name in ("desk", "a b", "", "../x"):
        again = RUN.invoke(app, ["keys", "add", name])
        assert again.exit_code != 0
    assert [one.name for one in reloaded(folder).all()] == ["desk"]


def reloaded(folder: Path) -> KeyRing:
    ring = KeyRing(folder / KEYS_FILE)
    ring.load()
    return ring


def test_a_key_is_taken_away_once(folder: Path) -> None:
    RUN.invoke(app, ["keys", "add", "desk"])
    assert RUN.invoke(app, ["keys", "remove", "desk"]).exit_code == 0
    assert RUN.invoke(app, ["keys", "remove", "desk"]).exit_code == 1
    assert reloaded(folder).all() == []


def test_the_key_that_the_settings_give_is_listed_and_taken_away_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "console_key"
    file.write_text(f"gw_0123456789ab_{'s' * 43}\n")
    monkeypatch.setenv("GROUNDSWELL__CONSOLE__OPERATOR_KEY_FILE", str(file))
    assert RUN.invoke(app, ["keys", "list"]).output.split()[:2] == ["deployment", "operator"]
    for words in (["keys", "add", "deployment"], ["keys", "remove", "deployment"]):
        assert RUN.invoke(app, words).exit_code != 0
    assert not (folder / KEYS_FILE).exists()


def test_the_link_is_printed_while_there_is_one(folder: Path) -> None:
    assert RUN.invoke(app, ["link"]).exit_code == 1
    link = LocalLink(folder, "http://127.0.0.1:1")
    link.renew()
    printed = RUN.invoke(app, ["link"])
    assert printed.exit_code == 0
    assert link.redeem(printed.output.strip().partition("token=")[2])
    link.remove()
    assert RUN.invoke(app, ["link"]).exit_code == 1


def test_a_file_of_keys_that_is_none_is_no_open_door(folder: Path) -> None:
    key = RUN.invoke(app, ["keys", "add", "desk"]).output.strip()
    ring = KeyRing(folder / KEYS_FILE)
    assert ring.find(key) is not None
    (folder / KEYS_FILE).write_text("{}x")
    assert ring.find(key) is None


@pytest.mark.parametrize(
    "rubbish",
    [
        b'{"keys": [{"name": "\xff\xfe"}]}',
        b'{"\xff": 1}',
        b"[" * 100_000,
        b'{"keys": ' + b"[" * 100_000,
        b'{"keys": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x": ' * 50_000,
        b"",
        b"null",
        b"\x00" * 64,
    ],
    ids=range(9),
)
def test_a_file_of_keys_that_is_rubbish_is_refused_by_name(folder: Path, rubbish: bytes) -> None:
    folder.mkdir()
    (folder / KEYS_FILE).write_bytes(rubbish)
    ring = KeyRing(folder / KEYS_FILE)
    for use in (ring.load, lambda: ring.add("desk", Role.VIEWER, NOON), lambda: ring.remove("x")):
        with pytest.raises(ConfigError, match=KEYS_FILE):
            use()
    assert ring.find("gw_000000000000_" + "A" * 43) is None
    assert (folder / KEYS_FILE).read_bytes() == rubbish


def test_of_two_who_add_a_key_at_once_both_have_one(folder: Path) -> None:
    names, rings = [f"n{n}" for n in range(16)], [KeyRing(folder / KEYS_FILE) for _ in range(16)]
    ready = threading.Barrier(len(names))

    def add(ring: KeyRing, name: str) -> str:
        ready.wait()
        return ring.add(name, Role.VIEWER, NOON)

    with ThreadPoolExecutor(len(names)) as pool:
        keys = list(pool.map(add, rings, names))
    assert [one.name for one in reloaded(folder).all()] == sorted(names)
    assert all(reloaded(folder).find(key) for key in keys)


def test_a_key_of_an_earlier_version_is_listed_and_opens_nothing(folder: Path) -> None:
    key = RUN.invoke(app, ["keys", "add", "desk"]).output.strip()
    file = folder / KEYS_FILE
    stored = json.loads(file.read_text())
    del stored["keys"][0]["hash"]
    file.write_text(json.dumps(stored))
    assert reloaded(folder).find(key) is None
    assert "good no more" in RUN.invoke(app, ["keys", "list"]).output
    assert RUN.invoke(app, ["keys", "remove", "desk"]).exit_code == 0
