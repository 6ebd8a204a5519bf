import hashlib
import sys
from pathlib import Path

import pytest

from core.errors import ConfigError
from models import backbone
from models.backbone import MINILM_ID, find_backbone, package_folder, verify

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}"}
SHA256 = hashlib.sha256(b"weights").hexdigest()


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_local_folder_is_verified_and_described(tmp_path: Path) -> None:
    found = find_backbone("some/model", SHA256, checkpoint(tmp_path / "m"))
    assert (found.identity, found.sha256) == ("some/model", SHA256)
    assert found.weights.read_bytes() == b"weights"
    assert found.tokenizer.is_file()


def test_other_weights_are_refused_with_both_hashes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{SHA256}, expected {'0' * 64}"):
        verify("some/model", checkpoint(tmp_path), "0" * 64)


@pytest.mark.parametrize("missing", sorted(FILES))
def test_an_incomplete_folder_names_what_is_missing(tmp_path: Path, missing: str) -> None:
    (checkpoint(tmp_path) / missing).unlink()
    with pytest.raises(ConfigError, match=f"lacks {missing}"):
        verify("some/model", tmp_path, SHA256)


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_backbone(folder=tmp_path / "none")


def test_the_package_is_found_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_package_with_a_model"
    checkpoint(package / "model")
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_folder(package.name) == package / "model"
    assert package.name not in sys.modules
    monkeypatch.setattr(backbone, "package_folder", lambda: package_folder(package.name))
    assert find_backbone(MINILM_ID, SHA256).folder == package / "model"


def test_an_absent_package_is_no_error() -> None:
    assert package_folder("no_such_package_anywhere") is None
