"""From the folder of a finished training to the folder of weights that ships.

    python -m models.encoder.pack .groundswell/training/post-encoder/chosen

Copies adapters and heads, writes `config.json` (not calibrated yet), the calibration sentences
and, in an environment with torch, the ONNX skeleton.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from models.backbone import find_backbone
from models.encoder.calibration_sentences import SENTENCES_FILE, write_sentences
from models.encoder.config import EncoderConfig, save_config, uncalibrated
from models.serving.normalise import NORMALISER_VERSION

FAMILY: Final = "post-encoder-1"
"""Name and generation; the generation rises when outputs are not comparable any more."""
MIN_CONFIDENCE: Final = 0.40
"""Chance is 0.333 for three classes; see the model card for the bias that a threshold brings."""
TRAINED_FILES: Final = ("adapter_model.safetensors", "heads.safetensors")
RECORD_FILE: Final = "training.json"


def with_version(config: EncoderConfig, weights: Path) -> EncoderConfig:
    """`config` with the version that stands for these weights and this configuration.

    The hash covers everything a score depends on: weights, calibration, thresholds, normaliser.
    """
    digest = hashlib.sha256()
    for name in TRAINED_FILES:
        digest.update((weights / name).read_bytes())
    digest.update(msgspec.json.encode(msgspec.structs.replace(config, version="")))
    return msgspec.structs.replace(config, version=f"{FAMILY}+{digest.hexdigest()[:12]}")


def pack(trained: Path, weights: Path, min_confidence: float = MIN_CONFIDENCE) -> EncoderConfig:
    """Fill the folder `weights` from the folder `trained`; needs no torch."""
    record = json.loads((trained / RECORD_FILE).read_text(encoding="utf-8"))
    settings = record["settings"]
    weights.mkdir(parents=True, exist_ok=True)
    for name in (*TRAINED_FILES, RECORD_FILE):
        shutil.copyfile(trained / name, weights / name)
    sentences = "\n".join(write_sentences()) + "\n"
    (weights / SENTENCES_FILE).write_text(sentences, encoding="utf-8")
    heads = tuple(uncalibrated(name) for name in settings["heads"])
    config = EncoderConfig(
        version="",
        backbone=record["backbone"],
        backbone_sha256=record["backbone_sha256"],
        normaliser_version=NORMALISER_VERSION,
        max_tokens=settings["max_tokens"],
        layers=tuple(settings.get("layers", ())),
        lora_rank=settings["lora_rank"],
        lora_alpha=settings["lora_alpha"],
        heads=heads,
        min_confidence=min_confidence,
    )
    config = with_version(config, weights)
    save_config(config, weights)
    return config


def main(
    trained: Annotated[Path, typer.Argument(help="The `chosen` folder of a training.")],
    weights: Annotated[Path, typer.Option(help="Folder to fill.")] = Path(
        "models/weights/post-encoder"
    ),
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    skeleton: Annotated[bool, typer.Option(help="Export the ONNX skeleton (torch).")] = True,
) -> None:
    """Fill the folder of shipped weights from a finished training."""
    config = pack(trained, weights)
    if skeleton:
        from models.encoder.export import export_skeleton

        found = find_backbone(config.backbone, config.backbone_sha256, backbone)
        names = [head.name for head in config.heads]
        export_skeleton(found.folder, config.embedding_size, names, weights, config.layers)
    typer.echo(f"{weights}: {config.version}; now calibrate it")


if __name__ == "__main__":
    typer.run(main)
