import hashlib
from pathlib import Path

import pytest

from core.errors import ConfigError
from models.backbone import find_backbone, hub_folder

pytestmark = pytest.mark.server

WEIGHTS = b"tiny weights"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache as the hub's own client lays it out, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--someone--tiny-encoder"
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    (snapshot / "model.safetensors").write_bytes(WEIGHTS)
    for name in ("config.json", "tokenizer.json"):
        (snapshot / name).write_text("{}")
    return tmp_path


def test_a_model_of_the_hub_is_found_and_verified(hub_cache: Path) -> None:
    found = find_backbone(
        "someone/tiny-encoder", hashlib.sha256(WEIGHTS).hexdigest(), cache_dir=hub_cache
    )
    assert found.weights.read_bytes() == WEIGHTS


def test_a_model_of_the_hub_with_other_weights_is_refused(hub_cache: Path) -> None:
    with pytest.raises(ConfigError, match="expected 0000"):
        find_backbone("someone/tiny-encoder", "0" * 64, cache_dir=hub_cache)


def test_what_the_hub_cannot_give_names_the_ways_out(hub_cache: Path) -> None:
    with pytest.raises(ConfigError, match="--backbone DIR"):
        hub_folder("someone/else", cache_dir=hub_cache)
