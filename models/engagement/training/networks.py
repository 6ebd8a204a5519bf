"""The networks as torch trains them, and their tensors as `models.engagement.network` serves them.

Shapes: `B` posts, `F` features, `S` numbers of each earlier post, `W` width of a place.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engagement.expected import OUTPUTS, PAST_WIDTH
from models.engagement.features import SEQUENCE, Floats
from models.engagement.layout import LEVELS, OUTCOMES, TARGETS
from models.engagement.network import INPUT_LIMIT
from models.engagement.training.variants import Variant

_HOURS = SEQUENCE.index("hours_before")


def rectified(values: Tensor) -> Tensor:
    """Return x/2 (1 + x / sqrt(1 + x^2)), as `models.engagement.exact` has it."""
    return 0.5 * values * (1 + values * torch.rsqrt(1 + values * values))


class Prepared(nn.Module):
    """Features, centred and scaled by the middle and the quartiles of training."""

    def __init__(self, features: Floats) -> None:
        super().__init__()
        # What is unknown of every post, as heads are without an encoder, is centred at zero.
        features = np.where(np.isnan(features).all(axis=0), np.float32(0), features)
        is_missing = np.isnan(features).any(axis=0)
        lower, middle, upper = np.nanquantile(features, (0.25, 0.5, 0.75), axis=0)
        # Of what hardly ever differs from its middle, such as a rare topic, the deviation.
        spread = np.maximum((upper - lower) / 1.35, 0.5 * np.nanstd(features, axis=0))
        scale = 1 / np.maximum(spread, 1e-3)
        self.centre = nn.Buffer(torch.tensor(middle, dtype=torch.float32))
        self.scale = nn.Buffer(torch.tensor(scale, dtype=torch.float32))
        self.missing = nn.Buffer(torch.tensor(np.flatnonzero(is_missing)))
        self.width = features.shape[1] + len(self.missing)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width) inputs."""
        scaled = torch.nan_to_num((features - self.centre) * self.scale)
        is_missing = torch.isnan(features[:, self.missing]).float()
        return torch.cat([scaled.clamp(-INPUT_LIMIT, INPUT_LIMIT), is_missing], dim=1)


class Perceptrons(nn.Module):
    """Several perceptrons side by side, each with weights of its own; they are averaged."""

    def __init__(self, prepared: Prepared, variant: Variant) -> None:
        super().__init__()
        self.prepared = prepared
        widths = [prepared.width, *variant.widths, OUTPUTS]
        members, self._dropout = variant.members, variant.dropout
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise(widths):
            scale = 0.02 if after == OUTPUTS else (2 / before) ** 0.5
            self.weights.append(torch.randn(members, before, after) * scale)
            self.biases.append(torch.zeros(members, after))

    def forward(self, features: Tensor, sequence: Tensor) -> Tensor:
        """Return (members, B, 15)."""
        del sequence
        flowing = self.prepared(features)[None].expand(len(self.weights[0]), -1, -1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            flowing = rectified(torch.baddbmm(bias[:, None], flowing, weight))
            flowing = nn.functional.dropout(flowing, self._dropout, self.training)
        return torch.baddbmm(self.biases[-1][:, None], flowing, self.weights[-1])

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors of `models.engagement.network.Perceptron`."""
        found = _inputs(self.prepared)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            found |= {f"w{layer}": _array(weight), f"b{layer}": _array(bias)}
        return found


class _Compression(nn.Module):
    """Two layers that make one width of what a place is told."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self._dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = nn.functional.dropout(rectified(self.first(inputs)), self._dropout, self.training)
        return self.second(hidden)


class _Layer(nn.Module):
    """One encoder layer, with normalisation before each part."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend, self.feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.mix = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self._heads, self._dropout = heads, dropout

    def forward(self, flowing: Tensor, may_see: Tensor) -> Tensor:
        ready = self.attend(flowing)
        query, key, value = (
            part(ready).unflatten(2, (self._heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, may_see)
        mixed = self.mix(mixed.transpose(1, 2).flatten(2))
        flowing = flowing + nn.functional.dropout(mixed, self._dropout, self.training)
        fed = self.down(rectified(self.up(self.feed(flowing))))
        return flowing + nn.functional.dropout(fed, self._dropout, self.training)


class Encoder(nn.Module):
    """The transformer of `models.engagement.network`: see there."""

    def __init__(self, prepared: Prepared, variant: Variant) -> None:
        super().__init__()
        width, self.heads = variant.widths[0], variant.heads
        self.prepared = prepared
        self.past = _Compression(PAST_WIDTH, width, variant.dropout)
        self.post = _Compression(prepared.width, width, variant.dropout)
        self.layers = nn.ModuleList(
            _Layer(width, variant.heads, variant.dropout) for _ in range(variant.layers)
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, OUTPUTS)
        nn.init.normal_(self.out.weight, std=0.02)
        self._slowness = 10.0 ** (4 * torch.arange(width // 2) * 2 / width)

    def forward(self, features: Tensor, sequence: Tensor) -> Tensor:
        """Return (1, B, 15)."""
        hours = sequence[:, :, _HOURS]
        tokens = [self.past(past_inputs(sequence)), self.post(self.prepared(features))[:, None]]
        now = torch.zeros(len(hours), 1)
        angles = torch.cat([torch.nan_to_num(hours), now], 1)[:, :, None] / self._slowness
        waves = torch.cat([torch.sin(angles), torch.sin(angles + torch.pi / 2)], 2)
        seen = torch.cat([~torch.isnan(hours), now == 0], 1)[:, None, None, :]
        order = torch.ones(OUTCOMES + 1, OUTCOMES + 1, dtype=torch.bool).tril()
        itself = torch.eye(OUTCOMES + 1, dtype=torch.bool)  # a place of nothing sees itself
        flowing = torch.cat(tokens, 1) + waves
        for layer in self.layers:
            flowing = layer(flowing, (seen & order) | itself)
        return self.out(self.norm(flowing[:, -1]))[None]

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors of `models.engagement.network.Transformer`."""
        found = _inputs(self.prepared)
        for what, part in (("past", self.past), ("post", self.post)):
            found |= {
                f"{what}_w0": _array(part.first.weight.T),
                f"{what}_b0": _array(part.first.bias),
            }
            found |= {
                f"{what}_w1": _array(part.second.weight.T),
                f"{what}_b1": _array(part.second.bias),
            }
        for number, layer in enumerate(self.layers):
            for name in ("query", "key", "value", "mix", "up", "down"):
                part = getattr(layer, name)
                found[f"l{number}_{name}_w"] = _array(part.weight.T)
                found[f"l{number}_{name}_b"] = _array(part.bias)
            for name in ("attend", "feed"):
                found |= _norm(f"l{number}_{name}", getattr(layer, name))
        found |= {"out_w": _array(self.out.weight.T), "out_b": _array(self.out.bias)}
        return found | _norm("out", self.norm)


class Recurrent(nn.Module):
    """A GRU over the author's last posts; its last state beside the features of this one."""

    def __init__(self, prepared: Prepared, variant: Variant) -> None:
        super().__init__()
        width = variant.widths[0]
        self.prepared = prepared
        self.gru = nn.GRU(PAST_WIDTH, width, variant.layers, batch_first=True)
        self.post = _Compression(prepared.width + width, width, variant.dropout)
        self.out = nn.Linear(width, OUTPUTS)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, features: Tensor, sequence: Tensor) -> Tensor:
        """Return (1, B, 15)."""
        states, _ = self.gru(past_inputs(sequence))
        together = torch.cat([self.prepared(features), states[:, -1]], 1)
        return self.out(rectified(self.post(together)))[None]


def past_inputs(sequence: Tensor) -> Tensor:
    """Return (B, 32, `PAST_WIDTH`) inputs of the earlier posts, with unknown counts marked."""
    is_missing = torch.isnan(sequence[:, :, : len(TARGETS)]).float()
    bounded = torch.nan_to_num(sequence).clamp(-INPUT_LIMIT, INPUT_LIMIT)
    return torch.cat([bounded, is_missing], 2)


def network_of(variant: Variant, features: Floats) -> nn.Module:
    """Return an untrained network whose inputs are scaled by these features."""
    kinds = {"mlp": Perceptrons, "transformer": Encoder, "gru": Recurrent}
    return kinds[variant.network](Prepared(features), variant)


def shrunk(tensors: dict[str, NDArray[Any]], share: float) -> dict[str, NDArray[Any]]:
    """Return the tensors of a network whose points are nearer to the base, by their last layer."""
    layers = sum(name[0] == "w" for name in tensors)
    names = (f"w{layers - 1}", f"b{layers - 1}") if layers else ("out_w", "out_b")
    kept = np.ones(OUTPUTS, np.float32)
    kept[:: len(LEVELS)] = share
    return tensors | {name: tensors[name] * kept for name in names}


def _array(values: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(values.detach().numpy())


def _inputs(prepared: Prepared) -> dict[str, NDArray[Any]]:
    return {name: _array(getattr(prepared, name)) for name in ("centre", "scale", "missing")}


def _norm(name: str, norm: nn.LayerNorm) -> dict[str, NDArray[Any]]:
    return {f"{name}_gain": _array(norm.weight), f"{name}_bias": _array(norm.bias)}
