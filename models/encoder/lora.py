"""Low-rank adaptation of linear layers (Hu et al. 2021, arXiv 2106.09685, section 4.1).

A frozen layer `y = W x + b` becomes `y = W x + b + (alpha / r) B A x` with `A` of shape
(r, in) and `B` of shape (out, r). As in PEFT the base layer is wrapped, not subclassed, and
merging is an explicit act; adapter weights are saved under PEFT's names, so either library
reads the other's files.

Shapes: `B` batch, `T` tokens, `I` inputs, `O` outputs, `r` rank.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

PEFT_PREFIX = "base_model.model."


class LoRALinear(nn.Module):
    """A linear layer with a low-rank update beside it.

    Starts as the identity change: `lora_B` is zero. Not safe to merge and train at once:
    while merged the update is inside `base_layer` and the adapter is bypassed.
    """

    def __init__(
        self, base_layer: nn.Linear, rank: int, alpha: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        self.base_layer = base_layer
        self.lora_A = nn.Linear(base_layer.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base_layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)
        self.dropout = nn.Dropout(dropout)
        self.scaling = alpha / rank
        self._unmerged_weight: Tensor | None = None

    @property
    def is_merged(self) -> bool:
        """Whether the update is inside the base weight at present."""
        return self._unmerged_weight is not None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, I) to (B, T, O)."""
        y = self.base_layer(x)
        if self.is_merged:
            return y
        # (x A) B costs r (I + O) a token; forming A B first would cost I O.
        return y + self.lora_B(self.lora_A(self.dropout(x))) * self.scaling

    def delta_weight(self) -> Tensor:
        """The update as a full matrix (O, I)."""
        return (self.lora_B.weight @ self.lora_A.weight) * self.scaling

    @torch.no_grad()
    def merge(self) -> None:
        """Add the update to the base weight; does nothing when merged already."""
        if self.is_merged:
            return
        # Kept, since (W + d) - d is not W in floating point and unmerge promises exactly W.
        self._unmerged_weight = self.base_layer.weight.detach().clone()
        self.base_layer.weight.add_(self.delta_weight().to(self.base_layer.weight.dtype))

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the base weight bit for bit; does nothing when not merged."""
        if self._unmerged_weight is None:
            return
        self.base_layer.weight.copy_(self._unmerged_weight)
        self._unmerged_weight = None


def inject(
    model: nn.Module,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    wants: Callable[[str, nn.Linear], bool] = lambda name, layer: True,
) -> list[str]:
    """Replace every linear layer that `wants(name, layer)` accepts, in place.

    Returns:
        Dotted names of the wrapped layers. Their base weights are frozen; whether their biases
        and the rest of the model are trained is the caller's choice.
    """
    chosen = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and wants(name, layer)
    ]
    for name, layer in chosen:
        parent_name, _, child_name = name.rpartition(".")
        layer.weight.requires_grad_(False)
        setattr(
            model.get_submodule(parent_name), child_name, LoRALinear(layer, rank, alpha, dropout)
        )
    return [name for name, _ in chosen]


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Yield every wrapped layer with its dotted name."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoRALinear):
            yield name, layer


def merge(model: nn.Module) -> None:
    """Merge every adapter of `model`."""
    for _, layer in adapted_layers(model):
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """Undo `merge`, restoring every base weight bit for bit."""
    for _, layer in adapted_layers(model):
        layer.unmerge()


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The trained parameters (adapters and whatever else is unfrozen) under PEFT's names."""
    return {
        PEFT_PREFIX + name: parameter.detach().clone().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write `state` (as made by `adapter_state`) into an injected model.

    Raises:
        KeyError: a name in `state` has no parameter in `model`.
    """
    parameters = dict(model.named_parameters())
    unknown = sorted(set(state) - {PEFT_PREFIX + name for name in parameters})
    if unknown:
        raise KeyError(
            f"adapter names unknown to the model, e.g. {unknown[0]!r}: other rank or base?"
        )
    with torch.no_grad():
        for name, value in state.items():
            parameters[name.removeprefix(PEFT_PREFIX)].copy_(value)
