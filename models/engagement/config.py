"""What an engagement model is, beside its numbers: the file `config.json` in its folder."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from core.errors import ConfigError
from models.descriptions import read_description, write_description
from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.layout import LEVELS, TARGETS

ENGAGEMENT_CONFIG: Final = "config.json"
ENGAGEMENT_TENSORS: Final = "model.safetensors"


class EngagementConfig(Struct, frozen=True, kw_only=True):
    """An engagement model.

    Attributes:
        version: The version that every answer carries.
        kind: The network: `mlp` (`models.engagement.network`) or `transformer`
            (`models.engagement.transformer`).
        horizon_s: The age of a post, in seconds, at which its counts were taken in training.
        heads: The number of attention heads of a transformer.
        features: The names of its inputs of a post.
        sequence: The names of its inputs of each earlier post.
        targets: The names of the counts.
        levels: The quantiles.
    """

    version: str
    kind: Literal["mlp", "transformer"]
    horizon_s: Annotated[float, Meta(gt=0)]
    heads: Annotated[int, Meta(ge=1)] = 1
    features: tuple[str, ...] = FEATURES
    sequence: tuple[str, ...] = SEQUENCE
    targets: tuple[str, ...] = TARGETS
    levels: tuple[float, ...] = LEVELS

    def check(self, folder: Path) -> None:
        """Refuse a model of other inputs or outputs than this program's.

        Raises:
            ConfigError: They differ.
        """
        for name, ours in (
            ("features", FEATURES), ("sequence", SEQUENCE), ("targets", TARGETS), ("levels", LEVELS)
        ):  # fmt: skip
            theirs = getattr(self, name)
            if theirs != ours:
                other = sorted(set(map(str, theirs)) ^ set(map(str, ours)))
                raise ConfigError(
                    f"{folder}: the model has other {name} than this program"
                    f" ({', '.join(other[:5]) or 'in another order'}): train it anew, or use the"
                    " program that it came with"
                )


def load_engagement_config(folder: Path) -> EngagementConfig:
    """Read and check the configuration of a model.

    Raises:
        ConfigError: There is none, it cannot be read, or it is of another program.
    """
    config = read_description(folder / ENGAGEMENT_CONFIG, EngagementConfig, "engagement model")
    config.check(folder)
    return config


def save_engagement_config(config: EngagementConfig, folder: Path) -> None:
    """Write the configuration of a model into its folder."""
    write_description(config, folder / ENGAGEMENT_CONFIG)
