"""What describes a trained post encoder: the file `config.json` beside its weights."""

from pathlib import Path

import msgspec

CONFIG_FILE = "config.json"


class HeadCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """How logits become probabilities: `softmax(scale * logits + bias)`, elementwise.

    `method` is `none`, `temperature` (all scales equal, no bias) or `vector`. The errors are
    expected calibration errors on the validation split, cross-fitted where `method` was chosen.
    """

    method: str = "none"
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    ece_before: float | None = None
    ece_after: float | None = None
    fitted_on: str = ""


class HeadConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One head: its classes in output order, how its logits are squashed, its calibration."""

    name: str
    labels: tuple[str, ...]
    activation: str = "softmax"
    calibration: HeadCalibration


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything but the weights. Lengths in tokens, `min_confidence` a probability."""

    version: str
    backbone: str
    backbone_sha256: str
    normaliser_version: int
    max_tokens: int = 128
    embedding_size: int = 384
    lora_rank: int = 16
    lora_alpha: float = 16.0
    heads: tuple[HeadConfig, ...]
    languages: tuple[str, ...] = ("en",)
    min_letters: int = 3
    min_confidence: float = 0.0
    confidence_head: str = "sentiment"

    def head(self, name: str) -> HeadConfig:
        """The head called `name`; KeyError names those there are."""
        for head in self.heads:
            if head.name == name:
                return head
        raise KeyError(f"no head {name!r}; there are {[head.name for head in self.heads]}")


def load_config(folder: Path) -> EncoderConfig:
    """Read `config.json` of a weights folder or of a built model."""
    return msgspec.json.decode((folder / CONFIG_FILE).read_bytes(), type=EncoderConfig)


def save_config(config: EncoderConfig, folder: Path) -> None:
    """Write `config.json`, readable and with a stable order."""
    text = msgspec.json.format(msgspec.json.encode(config), indent=2)
    (folder / CONFIG_FILE).write_bytes(text + b"\n")
