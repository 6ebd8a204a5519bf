import hashlib
import sys
from pathlib import Path

import pytest

from core.errors import ConfigError
from models.popalm import base
from models.popalm.base import SMOLLM2_ID, find_base, packaged_gguf, verify

SHA256 = hashlib.sha256(b"weights").hexdigest()


def checkpoint(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("tiny.gguf",):
        (folder / name).write_bytes(b"weights")
    return folder


def test_a_file_and_a_folder_that_holds_it_are_the_same_decoder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    found = find_base("some/model", SHA256, folder)
    assert found == find_base("some/model", SHA256, folder / "tiny.gguf")
    assert (found.identity, found.sha256, found.gguf) == (
        "some/model", SHA256, folder / "tiny.gguf",
    )  # fmt: skip


def test_another_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{SHA256}, expected {'0' * 64}"):
        verify("some/model", checkpoint(tmp_path) / "tiny.gguf", "0" * 64)


@pytest.mark.parametrize("names", [("a.txt",), ("a.gguf", "b.gguf")])
def test_a_folder_without_exactly_one_decoder_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"holds \d GGUF files, expected one"):
        find_base(path=checkpoint(tmp_path, *names))


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_base(path=tmp_path / "none.gguf")


def test_the_package_is_found_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = checkpoint(tmp_path / "some_package_with_a_decoder")
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_gguf(package.name) == package / "tiny.gguf"
    assert package.name not in sys.modules
    monkeypatch.setattr(base, "packaged_gguf", lambda: packaged_gguf(package.name))
    assert find_base(SMOLLM2_ID, SHA256).gguf == package / "tiny.gguf"


def test_an_absent_package_is_no_error() -> None:
    assert packaged_gguf("no_such_package_anywhere") is None


def test_without_a_hub_the_message_says_what_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"huggingface_hub is not installed.*--decoder PATH"):
        find_base("some/other", cache_dir=tmp_path)
