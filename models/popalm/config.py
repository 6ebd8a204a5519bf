"""What a responder is, beside its numbers: the file `config.json` in its folder."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from core.errors import ConfigError
from models.descriptions import read_description, write_description
from models.popalm.base import SMOLLM2_ID, SMOLLM2_SHA256
from models.popalm.sampling import Sampling

RESPONDER_CONFIG: Final = "config.json"
ADAPTER_FILE: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
"""Both as PEFT writes them."""
REWARD_FOLDER: Final = "reward"
"""Beside the network in a built model."""
MAX_REPLIES: Final = 8
"""As the port says: of one post nobody is shown more."""
MAX_SEED: Final = 2**31
MAX_POST_CHARACTERS: Final = 10_000
"""Of a longer post the rest is not read: the decoder sees about 400 anyway."""


class ResponderConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A responder: a decoder, and how it is asked; an adapter of it may lie beside.

    Attributes:
        version: The version that every answer carries.
        base: The decoder's name on the model hub.
        base_sha256: The SHA-256 of its GGUF file; empty accepts any.
        sampling: How pieces are drawn.
        reward: The reward that puts candidates in order, a folder of `models/weights/reward`; empty
            leaves it to the decoder's own likelihood.
        reward_sha256: The SHA-256 of its weights; the build fills it in.
        spare: So many times the replies that are asked for are written; the best are kept.
        limit_s: How long a post may take, in seconds.
    """

    version: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\w.+-]+$")]
    base: str = SMOLLM2_ID
    base_sha256: str = SMOLLM2_SHA256
    sampling: Sampling = Sampling()
    reward: Annotated[str, Meta(max_length=32, pattern=r"^[\w-]*$")] = ""
    reward_sha256: str = ""
    spare: Annotated[int, Meta(ge=1, le=8)] = 2
    limit_s: Annotated[float, Meta(gt=0)] = 15.0


class AdapterConfig(Struct, frozen=True, kw_only=True):
    """What is read of PEFT's description of an adapter.

    Attributes:
        base_model_name_or_path: The decoder that it changes.
        r: The rank of its changes.
        lora_alpha: What they are multiplied by, times the rank.
        use_dora, use_rslora: Other arithmetic, which is not ours.
    """

    base_model_name_or_path: str
    r: Annotated[int, Meta(ge=1, le=256)]
    lora_alpha: Annotated[float, Meta(gt=0)]
    use_dora: bool = False
    use_rslora: bool = False


def load_adapter_config(folder: Path, base: str) -> AdapterConfig | None:
    """Read the description of a folder's adapter; None where there is no adapter.

    Args:
        folder: The folder of a responder.
        base: The decoder that it has to be for.

    Raises:
        ConfigError: It cannot be read, or the adapter is of another decoder or another kind.
    """
    if not (folder / ADAPTER_FILE).is_file():
        return None
    path = folder / ADAPTER_CONFIG
    found = read_description(path, AdapterConfig, f"responder's {ADAPTER_FILE}")
    if found.base_model_name_or_path != base:
        raise ConfigError(
            f"{path}: base_model_name_or_path is {found.base_model_name_or_path!r}, "
            f"expected {base!r}"
        )
    if found.use_dora or found.use_rslora:
        raise ConfigError(f"{path}: expected plain LoRA, found use_dora or use_rslora")
    return found


def load_responder_config(folder: Path) -> ResponderConfig:
    """Read and check the configuration of a responder.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    return read_description(folder / RESPONDER_CONFIG, ResponderConfig, "responder")


def save_responder_config(config: ResponderConfig, folder: Path) -> None:
    """Write the configuration of a responder into its folder."""
    write_description(config, folder / RESPONDER_CONFIG)


def check_question(number: int, seed: int) -> None:
    """Refuse what no responder is asked.

    Raises:
        ValueError: `number` or `seed` are outside their ranges.
    """
    if not 1 <= number <= MAX_REPLIES:
        raise ValueError(f"number {number}: expected 1 to {MAX_REPLIES}")
    if not 0 <= seed < MAX_SEED:
        raise ValueError(f"seed {seed}: expected 0 to {MAX_SEED - 1}")


def as_sent(text: str) -> str:
    """Return what a responder reads of a post: its beginning, as UTF-8 can say it."""
    return text[:MAX_POST_CHARACTERS].encode("utf-8", "replace").decode()
