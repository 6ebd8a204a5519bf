"""What describes a trained post encoder: the file `config.json` beside its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from core.errors import ConfigError
from core.heads import HEADS, SPECS, HeadKind
from models.descriptions import read_description, write_description

CONFIG_FILE = "config.json"
MOST_TOKENS: Final = 512
"""The positions that the backbones know."""
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

    def __post_init__(self) -> None:
        """Refuse a head that contradicts itself.

        Raises:
            ValueError: Its activation is unknown, it has no label or a number of scales or biases
                that is not that of its logits, or its cut is no probability between 0 and 1.
        """
        if self.activation not in _ACTIVATIONS.values():
            known = ", ".join(_ACTIVATIONS.values())
            raise ValueError(f"{self.name}: activation {self.activation!r}, expected {known}")
        sizes = (len(self.calibration.scale), len(self.calibration.bias))
        if not self.labels or sizes != (self.logits, self.logits):
            raise ValueError(
                f"{self.name}: {sizes} scales and biases, expected {self.logits} each for "
                f"{len(self.labels)} labels"
            )
        if not 0 < self.cut < 1:
            raise ValueError(f"{self.name}: cut {self.cut}, expected one between 0 and 1")

    @property
    def logits(self) -> int:
        """How many logits the network gives for this head."""
        return logit_count(len(self.labels), self.activation)


def check_heads(heads: Sequence[HeadConfig]) -> None:
    """Refuse heads that a model cannot have.

    Raises:
        ValueError: There is none, or two have one name.
    """
    names = [head.name for head in heads]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"heads are {names}, expected some, each once")


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything but the weights. Lengths in tokens, `min_confidence` a probability.

    `layers` are those of the backbone that are kept, counted from 0; none named, all of them.
    """

    version: str
    backbone: str
    backbone_sha256: str
    normaliser_version: int
    max_tokens: Annotated[int, Meta(ge=1, le=MOST_TOKENS)] = 128
    embedding_size: Annotated[int, Meta(ge=1)] = 384
    layers: tuple[int, ...] = ()
    lora_rank: Annotated[int, Meta(ge=1)] = 16
    lora_alpha: float = 16.0
    heads: tuple[HeadConfig, ...]
    languages: tuple[str, ...] = ("en",)
    min_letters: int = 3
    min_confidence: float = 0.0
    confidence_head: str = "sentiment"

    def __post_init__(self) -> None:
        """Refuse a description without heads, or with one of them twice.

        Raises:
            ValueError: With the heads there are.
        """
        check_heads(self.heads)

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
    """Read `config.json` of a weights folder or of a built model.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    return read_description(folder / CONFIG_FILE, EncoderConfig, "post encoder")


def save_config(config: EncoderConfig, folder: Path) -> None:
    """Write `config.json`, readable and with a stable order."""
    write_description(config, folder / CONFIG_FILE)
