import json
from pathlib import Path

import msgspec

from models.encoder.config import load_config
from models.encoder.pack import pack, with_version
from models.serving.normalise import NORMALISER_VERSION


def trained(folder: Path) -> Path:
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    (folder / "heads.safetensors").write_bytes(b"heads")
    record = {
        "settings": {
            "heads": ["sentiment"], "max_tokens": 128, "lora_rank": 16, "lora_alpha": 16.0,
        },
        "backbone": "some/model",
        "backbone_sha256": "0" * 64,
    }  # fmt: skip
    (folder / "training.json").write_text(json.dumps(record))
    return folder


def test_packed_folder_describes_itself(tmp_path: Path) -> None:
    config = pack(trained(tmp_path / "run"), tmp_path / "weights")
    assert load_config(tmp_path / "weights") == config
    assert config.version.startswith("post-encoder-1+")
    assert config.normaliser_version == NORMALISER_VERSION
    assert config.head("sentiment").labels == ("negative", "neutral", "positive")


def test_version_changes_with_weights_and_with_thresholds_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "weights"
    config = pack(trained(tmp_path / "run"), weights)
    assert with_version(config, weights).version == config.version
    stricter = msgspec.structs.replace(config, min_confidence=0.9)
    assert with_version(stricter, weights).version != config.version
    (weights / "heads.safetensors").write_bytes(b"other heads")
    assert with_version(config, weights).version != config.version
