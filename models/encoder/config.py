"""What describes a trained post encoder: the file `config.json` beside its weights."""

from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from core.heads import HEADS, SPECS, HeadKind

CONFIG_FILE = "config.json"
_ACTIVATIONS: Final = {
    HeadKind.EXCLUSIVE: "softmax",
    HeadKind.SEVERAL: "sigmoid",
    HeadKind.ORDERED: "ordinal",
}


def activation_of(head: str) -> str:
    """How the logits of a head of ours are squashed."""
    return _ACTIVATIONS[SPECS[head].kind]


def logit_count(classes: int, activation: str) -> int:
    """Logits of a head: one per class, or one per step between levels."""
    return classes - 1 if activation == "ordinal" else classes


def uncalibrated(name: str) -> "HeadConfig":
    """The head called `name`, as it comes out of training."""
    labels, activation = HEADS[name], activation_of(name)
    width = logit_count(len(labels), activation)
    calibration = HeadCalibration(scale=(1.0,) * width, bias=(0.0,) * width)
    return HeadConfig(name=name, labels=labels, activation=activation, calibration=calibration)


class HeadCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """How logits become probabilities: squashed from `scale * logits + bias`, elementwise.

    One scale and bias per logit. `method` is `none`, `temperature` (all scales equal, no bias),
    `vector`, `shared` (one scale and one bias for all), or `prior` (one scale, and biases that also
    move the class shares from those of training to `prior`, the shares where the model is used).
    The errors are expected calibration errors on held-out posts, cross-fitted.
    """

    method: str = "none"
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    prior: tuple[float, ...] = ()
    ece_before: float | None = None
    ece_after: float | None = None
    fitted_on: str = ""


class HeadConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One head: its classes in output order, how its logits are squashed, its calibration.

    `activation` is `softmax` (classes exclude one another), `sigmoid` (each by itself) or
    `ordinal` (levels from gates, one logit fewer than levels). `cut` is the probability from which
    a yes-or-no question of this head is answered yes (for levels: any level above the first),
    chosen on held-out posts.
    """

    name: str
    labels: tuple[str, ...]
    activation: str = "softmax"
    cut: float = 0.5
    calibration: HeadCalibration

    @property
    def logits(self) -> int:
        """How many logits the network gives for this head."""
        return logit_count(len(self.labels), self.activation)


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything but the weights. Lengths in tokens, `min_confidence` a probability.

    `layers` are those of the backbone that are kept, counted from 0; none named, all of them.
    """

    version: str
    backbone: str
    backbone_sha256: str
    normaliser_version: int
    max_tokens: int = 128
    embedding_size: int = 384
    layers: tuple[int, ...] = ()
    lora_rank: int = 16
    lora_alpha: float = 16.0
    heads: tuple[HeadConfig, ...]
    languages: tuple[str, ...] = ("en",)
    min_letters: int = 3
    min_confidence: float = 0.0
    confidence_head: str = "sentiment"

    def head(self, name: str) -> HeadConfig:
        """The head called `name`.

        Raises:
            ConfigError: there is no such head; the message names those there are.
        """
        for head in self.heads:
            if head.name == name:
                return head
        raise ConfigError(f"no head {name!r}; there are {[head.name for head in self.heads]}")


def load_config(folder: Path) -> EncoderConfig:
    """Read `config.json` of a weights folder or of a built model."""
    return msgspec.json.decode((folder / CONFIG_FILE).read_bytes(), type=EncoderConfig)


def save_config(config: EncoderConfig, folder: Path) -> None:
    """Write `config.json`, readable and with a stable order."""
    text = msgspec.json.format(msgspec.json.encode(config), indent=2)
    (folder / CONFIG_FILE).write_bytes(text + b"\n")
