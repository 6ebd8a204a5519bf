"""What a crowd model is, beside its numbers: the file `config.json` in its folder."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from core.errors import ConfigError
from core.heads import HEADS, SENTIMENT
from models.descriptions import read_description, write_description

CROWD_CONFIG: Final = "config.json"
CROWD_TENSORS: Final = "model.safetensors"
CROWD_HEADS: Final = ("sentiment", "emotion")
"""The heads of a post that its forecast is made of."""
HEAD_CLASSES: Final = sum(len(HEADS[name]) for name in CROWD_HEADS)
LABELS: Final = len(SENTIMENT)


class CrowdConfig(Struct, frozen=True, kw_only=True):
    """A crowd model.

    Attributes:
        version: The version that every answer carries.
        labels: The labels of answers.
        heads: The names of its heads, each with its classes.
    """

    version: str
    labels: tuple[str, ...] = SENTIMENT
    heads: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
        (name, HEADS[name]) for name in CROWD_HEADS
    )


def load_crowd_config(folder: Path) -> CrowdConfig:
    """Read and check the configuration of a model.

    Raises:
        ConfigError: There is none, it cannot be read, or it is of another program.
    """
    config = read_description(folder / CROWD_CONFIG, CrowdConfig, "crowd model")
    ours = CrowdConfig(version=config.version)
    if config != ours:
        raise ConfigError(
            f"{folder}: the model has other labels or heads than this program: use the program "
            "that it came with, or fit it anew"
        )
    return config


def save_crowd_config(config: CrowdConfig, folder: Path) -> None:
    """Write the configuration of a model into its folder."""
    write_description(config, folder / CROWD_CONFIG)
