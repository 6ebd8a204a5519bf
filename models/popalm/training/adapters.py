"""Adapters of a decoder on disk, under PEFT's names, and the one that was trained from.

`adapter_model.safetensors` and `adapter_config.json` are what PEFT, vLLM and our server read.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import ConfigError
from models.encoder.lora import adapted_layers, adapter_state, inject, load_adapter_state
from models.popalm.training.decoder import ReplyDecoder

WEIGHTS_FILE: Final = "adapter_model.safetensors"
CONFIG_FILE: Final = "adapter_config.json"
_NUMBER: Final = re.compile(r"\.(\d+)\.")


def adapt(decoder: ReplyDecoder, rank: int, alpha: float, first_layer: int = 0) -> list[str]:
    """Put adapters into a decoder, into layers from `first_layer` on; return their names.

    The layers below keep no gradient, so a later first layer costs less.
    """
    return inject(decoder.network, rank, alpha, wants=wanted_layers(decoder, first_layer))


def wanted_layers(decoder: ReplyDecoder, first_layer: int) -> Callable[[str, nn.Linear], bool]:
    """Return which linear layers get adapters: all from `first_layer` on, but the output."""
    output = decoder.network.get_output_embeddings()

    def wants(name: str, layer: nn.Linear) -> bool:
        numbers = _NUMBER.search(f".{name}.")
        return layer is not output and numbers is not None and int(numbers[1]) >= first_layer

    return wants


def save_adapter(decoder: ReplyDecoder, folder: Path) -> None:
    """Write the adapter of a decoder in half precision.

    Args:
        decoder: The decoder with its adapter.
        folder: Where the two files go.
    """
    layers = dict(adapted_layers(decoder.network))
    first = next(iter(layers.values()))
    rank = first.lora_A.out_features
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": decoder.identity,
        "r": rank, "lora_alpha": first.scaling * rank, "lora_dropout": 0.0, "bias": "none",
        "fan_in_fan_out": False, "inference_mode": True,
        "target_modules": sorted({name.rpartition(".")[2] for name in layers}),
        "layers_to_transform": sorted({_number(name) for name in layers}),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().cpu() for name, value in adapter_state(decoder.network).items()}
    save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")


def _number(name: str) -> int:
    return next(int(part) for part in name.split(".") if part.isdigit())


def load_adapter(decoder: ReplyDecoder, folder: Path) -> None:
    """Put the adapter of a folder into a decoder that has none.

    Raises:
        ConfigError: The folder has no adapter, or one of another decoder.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
        state = load_file(folder / WEIGHTS_FILE)
        first = min(config["layers_to_transform"])
        adapt(decoder, config["r"], config["lora_alpha"], first)
        load_adapter_state(decoder.network, {name: one.float() for name, one in state.items()})
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{folder} has no adapter of this decoder: {error}") from error
    missing = set(adapter_state(decoder.network)) - set(state)
    if missing:
        raise ConfigError(f"{folder}: the adapter has no {min(missing)}")


def trained_state(decoder: ReplyDecoder) -> dict[str, Tensor]:
    """Return a copy of the adapter's weights."""
    return adapter_state(decoder.network)


@contextmanager
def as_reference(decoder: ReplyDecoder, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a decoder be what it was when `state` was taken, without gradients."""
    now = adapter_state(decoder.network)
    load_adapter_state(decoder.network, state)
    try:
        with torch.no_grad():
            yield
    finally:
        load_adapter_state(decoder.network, now)


def parameters_of(decoder: ReplyDecoder) -> Sequence[Any]:
    """Return the trained parameters."""
    return [one for one in decoder.network.parameters() if one.requires_grad]
