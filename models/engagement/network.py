"""The engagement models as they are served: numpy alone, with the same bits for a row in any batch.

Shapes: `B` posts, `F` features, `S` numbers of each earlier post, `E` networks that are averaged.
A network ends in fifteen numbers a post, see `models.engagement.answer`.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement import exact
from models.engagement.exact import Doubles
from models.engagement.expected import OF_INPUTS, check_perceptron, check_transformer
from models.engagement.features import SEQUENCE, Floats
from models.engagement.layout import OUTCOMES, TARGETS

INPUT_LIMIT: Final = 8.0
"""So many deviations from the centre an input may be."""
Tensors = Mapping[str, NDArray[Any]]


class Inputs:
    """Features as a network takes them: centred, scaled, bounded, with what is missing marked."""

    def __init__(self, tensors: Tensors) -> None:
        self._centre = np.asarray(tensors["centre"], np.float32)
        self._scale = np.asarray(tensors["scale"], np.float32)
        self._missing = np.asarray(tensors["missing"], np.int64)

    @property
    def width(self) -> int:
        """How many numbers a post becomes."""
        return len(self._centre) + len(self._missing)

    def of(self, features: Floats) -> Doubles:
        """Return (B, width) inputs of (B, F) features."""
        scaled = (features - self._centre) * self._scale
        bounded = np.clip(scaled, -INPUT_LIMIT, INPUT_LIMIT)
        is_missing = np.isnan(features[:, self._missing])
        return exact.activations(np.concatenate([bounded, is_missing], axis=1))


class Perceptron:
    """A multi-layer perceptron on the features of a post; the earlier posts are not looked at."""

    def __init__(self, tensors: Tensors) -> None:
        """Take the tensors: of layer i `wi` (E, inputs, outputs) and `bi` (E, outputs).

        Raises:
            ValueError: One has a shape that does not fit.
        """
        check_perceptron(tensors)
        self._inputs = Inputs(tensors)
        layers = sum(name.startswith("w") for name in tensors)
        self._weights = [exact.weights(tensors[f"w{layer}"]) for layer in range(layers)]
        self._biases = [exact.activations(tensors[f"b{layer}"]) for layer in range(layers)]

    def run(self, features: Floats, sequence: Floats) -> Doubles:
        """Return (B, 15) what `models.engagement.answer` makes quantiles of."""
        del sequence
        flowing = self._inputs.of(features)[None]
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            flowing = exact.rectified(np.matmul(flowing, weight) + bias[:, None])
        found = exact.activations(np.matmul(flowing, self._weights[-1]) + self._biases[-1][:, None])
        return found.sum(axis=0) / len(found)


class Transformer:
    """A transformer encoder over the author's last posts and this one.

    Compression of each earlier post and of this one to one width, sinusoids of the elapsed time,
    encoder layers with normalisation before each part, and the last place's numbers as the answer.
    An earlier post sees those before it alone.
    """

    def __init__(self, tensors: Tensors, heads: int) -> None:
        """Take the tensors, named as in `models.engagement.training.networks`.

        Raises:
            ValueError: One has a shape that does not fit.
        """
        self._layers = check_transformer(tensors)
        self._inputs = Inputs(tensors)
        self._heads = heads
        self._of = {
            name: exact.weights(values) if values.ndim > 1 else exact.activations(values)
            for name, values in tensors.items()
            if name not in OF_INPUTS
        }
        width = self._of["post_b1"].shape[0]
        if width % (2 * heads):
            raise ValueError(f"has a width of {width}, expected a multiple of twice {heads} heads")
        self._slowness = 10.0 ** (4 * np.arange(width // 2) * 2 / width)

    def run(self, features: Floats, sequence: Floats) -> Doubles:
        """Return (B, 15) what `models.engagement.answer` makes quantiles of."""
        is_there = ~np.isnan(sequence[:, :, _HOURS])
        past = self._compressed("past", past_inputs(sequence))
        post = self._compressed("post", self._inputs.of(features))
        tokens = np.concatenate([past, post[:, None]], axis=1)
        elapsed = np.concatenate(
            [np.nan_to_num(sequence[:, :, _HOURS]), np.zeros((len(sequence), 1))], axis=1
        )
        flowing = exact.activations(tokens + self._sinusoids(elapsed.astype(np.float64)))
        seen = np.concatenate([is_there, np.ones((len(sequence), 1), np.bool_)], axis=1)
        for layer in range(self._layers):
            flowing = self._layer(layer, flowing, seen)
        last = self._normalised("out", flowing[:, -1])
        return exact.activations(last @ self._of["out_w"] + self._of["out_b"])

    def _compressed(self, what: str, inputs: Doubles) -> Doubles:
        hidden = exact.rectified(inputs @ self._of[f"{what}_w0"] + self._of[f"{what}_b0"])
        return exact.activations(hidden @ self._of[f"{what}_w1"] + self._of[f"{what}_b1"])

    def _sinusoids(self, elapsed: Doubles) -> Doubles:
        """Return (B, 33, width) sine and cosine of the log of the elapsed hours."""
        angles = elapsed[:, :, None] / self._slowness
        waves = [exact.sine(angles), exact.sine(angles + np.pi / 2)]
        return exact.activations(np.concatenate(waves, axis=2))

    def _normalised(self, what: str, values: Doubles) -> Doubles:
        return exact.normalised(values, self._of[f"{what}_gain"], self._of[f"{what}_bias"])

    def _layer(self, layer: int, flowing: Doubles, seen: NDArray[np.bool_]) -> Doubles:
        """Return (B, 33, width) what a layer makes of it; of the last layer, (B, 1, width)."""
        name = f"l{layer}"
        asking = slice(-1, None) if layer == self._layers - 1 else slice(None)
        ready = self._normalised(f"{name}_attend", flowing)
        mixed = self._attended(name, ready, seen, asking)
        flowing = exact.activations(flowing[:, asking] + self._linear(f"{name}_mix", mixed))
        ready = self._normalised(f"{name}_feed", flowing)
        hidden = exact.rectified(
            np.matmul(ready, self._of[f"{name}_up_w"]) + self._of[f"{name}_up_b"]
        )
        return exact.activations(flowing + self._linear(f"{name}_down", hidden))

    def _linear(self, what: str, values: Doubles) -> Doubles:
        found = np.matmul(values, self._of[f"{what}_w"]) + self._of[f"{what}_b"]
        return exact.activations(found)

    def _attended(
        self, name: str, ready: Doubles, seen: NDArray[np.bool_], asking: slice
    ) -> Doubles:
        """Return what each asking place takes from those that it sees."""
        query = self._split(self._linear(f"{name}_query", ready[:, asking]))
        key = self._split(self._linear(f"{name}_key", ready))
        value = self._split(self._linear(f"{name}_value", ready))
        places = np.arange(OUTCOMES + 1)
        may_see = seen[:, None, None, :] & (places[asking, None] >= places)[None, None]
        scores = np.matmul(query, key.swapaxes(2, 3)) / np.sqrt(query.shape[-1])
        scores = np.where(may_see, scores, -np.inf)
        most = scores.max(axis=3, keepdims=True)
        shares = exact.exponential(scores - np.where(np.isfinite(most), most, 0))
        shares = exact.activations(np.where(may_see, shares, 0))
        total = np.maximum(shares.sum(axis=3, keepdims=True), 1)  # the largest of them is one
        mixed = exact.activations(np.matmul(shares, value) / total)
        return mixed.swapaxes(1, 2).reshape(len(ready), mixed.shape[2], ready.shape[2])

    def _split(self, values: Doubles) -> Doubles:
        """Return (B, heads, places, width / heads)."""
        width = values.shape[2] // self._heads
        split = values.reshape(*values.shape[:2], self._heads, width)
        return split.swapaxes(1, 2)


_HOURS: Final = SEQUENCE.index("hours_before")


def past_inputs(sequence: Floats) -> Doubles:
    """Return (B, 32, `PAST_WIDTH`) inputs of the earlier posts, with unknown counts marked."""
    is_missing = np.isnan(sequence[:, :, : len(TARGETS)])
    bounded = np.clip(sequence, -INPUT_LIMIT, INPUT_LIMIT)
    return exact.activations(np.concatenate([bounded, is_missing], axis=2))
