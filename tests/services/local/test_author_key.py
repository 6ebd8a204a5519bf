import stat
from pathlib import Path

import pytest

from core import config
from services.local.options import StackOptions
from services.local.paths import AUTHOR_KEY_VARIABLE, KEY_BYTES, RuntimePaths, ensure_author_key
from services.local.stack import plan_stack


def plan(tmp_path: Path, **settings: str) -> dict[str, str]:
    options = StackOptions(
        paths=RuntimePaths(tmp_path), scorer="fake", metrics_stack=False, settings=settings
    )
    return plan_stack(options, usual_ports=False).environment


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "author.key"
    ensure_author_key(path)
    made = path.read_text()
    assert len(bytes.fromhex(made)) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ensure_author_key(path)
    assert path.read_text() == made
    assert list(path.parent.iterdir()) == [path]


def test_two_stacks_have_keys_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        ensure_author_key(tmp_path / name)
    assert (tmp_path / "one").read_text() != (tmp_path / "two").read_text()


def test_every_process_of_the_stack_finds_the_key_and_none_is_told_it(tmp_path: Path) -> None:
    environment = plan(tmp_path)
    path = RuntimePaths(tmp_path).author_key
    assert environment[AUTHOR_KEY_VARIABLE] == str(path)
    ensure_author_key(path)
    settings = config.load(environ=environment)
    assert settings.ingest.author_key.reveal() == path.read_text()
    assert path.read_text() not in repr(environment)


@pytest.mark.parametrize("name", ["AUTHOR_KEY", "AUTHOR_KEY_FILE"])
def test_a_key_that_was_chosen_stays(tmp_path: Path, name: str) -> None:
    chosen = tmp_path / "chosen"
    chosen.write_text("mine")
    value = "mine" if name == "AUTHOR_KEY" else str(chosen)
    environment = plan(tmp_path, **{f"GROUNDSWELL__INGEST__{name}": value})
    assert config.load(environ=environment).ingest.author_key.reveal() == "mine"


def test_the_key_outlives_a_fresh_start(tmp_path: Path) -> None:
    paths = RuntimePaths(tmp_path)
    assert not paths.author_key.is_relative_to(paths.state)
