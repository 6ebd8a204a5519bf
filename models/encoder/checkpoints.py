"""Stop and continue a training run as if nothing had happened. Needs torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.encoder.model import (
    ADAPTER_FILE,
    HEADS_FILE,
    PostEncoder,
    load_trained_state,
    trained_state,
)

STATE_FILE: Final = "training_state.pt"


def save_checkpoint(
    folder: Path, model: PostEncoder, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Everything needed to continue as if nothing had happened; the old one is replaced last."""
    folder.mkdir(parents=True, exist_ok=True)
    adapter, heads = trained_state(model)
    save_file(adapter, folder / ADAPTER_FILE)
    save_file(heads, folder / HEADS_FILE)
    fresh = folder / (STATE_FILE + ".new")
    torch.save({**state, "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, fresh)
    fresh.replace(folder / STATE_FILE)


def resume(folder: Path, model: PostEncoder, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load the last checkpoint into model and optimizer; {} when there is none."""
    if not (folder / STATE_FILE).is_file():
        return {}
    load_trained_state(model, load_file(folder / ADAPTER_FILE), load_file(folder / HEADS_FILE))
    # Our own file: it holds the optimizer's tensors and numbers, no code.
    state = torch.load(folder / STATE_FILE, weights_only=True)
    optimizer.load_state_dict(state.pop("optimizer"))
    torch.set_rng_state(state.pop("rng"))
    return state


def made_once(file: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make` gives, kept in `file`, so that a run that is continued does not ask again."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        save_file(make(), fresh)
        fresh.replace(file)
    return load_file(file)
