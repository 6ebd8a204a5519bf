"""A decoder as an OpenVINO network with its own cache, weights in 8 bits.

Every matrix is kept as int8 with a scale for some weights of a row, the vocabulary with one a
row; OpenVINO multiplies with them without unfolding them. Keys and values are the network's state:
row `i` of a call goes on from what row `rows[i]` of the last call has read, so one post is read
once for all its candidates, and those that have ended fall out.

Inputs: `tokens` (B, T) int64; `positions` (T,) int64; `mask` (T, S) float32, added to what
attention scores, `S` the tokens read so far and `T` new ones; `rows` (B,) int32. Output: `logits`
(B, V) of what follows the last token.
"""

from typing import Any, Final

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op
from openvino.op.util import Variable, VariableInfo

from models.assemble import Arrays
from models.popalm.checkpoint import EMBEDDINGS, LAST_NORM, OUTPUT, DecoderShape

CONTEXT: Final = 256
"""Positions that are known: the instruction, the longest post and the longest reply fit."""
GROUP: Final = 64
"""So many weights of a row share a scale. With one scale a row the log-probability of a piece is
off by .11 on average, so by .06, and as fast."""
_STEPS: Final = 127


def quantised(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix in 8 bits: (rows, columns) int8, and (rows, 1) the scale of each row."""
    largest = np.abs(weights).max(axis=1, keepdims=True)
    scales = (np.where(largest > 0, largest, 1) / _STEPS).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


class _Builder:
    """Makes one network."""

    def __init__(self, shape: DecoderShape, tensors: Arrays) -> None:
        self._shape = shape
        self._tensors = tensors
        self._sinks: list[Any] = []
        self._variables: list[Any] = []
        self._tokens = op.parameter([-1, -1], np.int64, name="tokens")
        self._positions = op.parameter([-1], np.int64, name="positions")
        self._mask = op.parameter([-1, -1], np.float32, name="mask")
        self._rows = op.parameter([-1], np.int32, name="rows")
        every = [0, 1]
        self._mask4 = op.unsqueeze(self._mask, op.constant(every, np.int64))
        self._turns = [
            op.unsqueeze(
                op.gather(op.constant(table), self._positions, op.constant(0)),
                op.constant(every, np.int64),
            )
            for table in _turn_tables(shape)
        ]

    def model(self) -> ov.Model:
        """Return the network."""
        shape = self._shape
        small, scales = quantised(self._tensors[EMBEDDINGS])
        table, factor = op.constant(small), op.constant(scales)
        axis = op.constant(0)
        stream = op.multiply(
            op.convert(op.gather(table, self._tokens, axis), "f32"),
            op.gather(factor, self._tokens, axis),
        )
        for layer in range(shape.layers):
            stream = self._layer(stream, f"model.layers.{layer}.", layer)
        last = op.gather(stream, op.constant(-1), op.constant(1))
        if OUTPUT in self._tensors:
            logits = self._linear(self._norm(last, LAST_NORM), OUTPUT)
        else:
            unfolded = op.multiply(op.convert(table, "f32"), factor)
            logits = op.matmul(self._norm(last, LAST_NORM), unfolded, False, True)
        logits.output(0).set_names({"logits"})
        for value, name in (
            (self._tokens, "tokens"), (self._positions, "positions"), (self._mask, "mask"),
            (self._rows, "rows"),
        ):  # fmt: skip
            value.output(0).set_names({name})
        inputs = [self._tokens, self._positions, self._mask, self._rows]
        made = ov.Model([op.result(logits)], self._sinks, inputs, self._variables, "decoder")
        for place, node in enumerate(made.get_ordered_ops()):
            # By default a name counts all nodes that this process has ever made.
            node.set_friendly_name(f"{node.get_type_name()}_{place}")
        return made

    def _linear(self, values: Any, name: str) -> Any:
        rows, columns = self._tensors[name].shape
        group = GROUP if columns % GROUP == 0 else columns
        small, scales = quantised(self._tensors[name].reshape(-1, group))
        shape = (rows, columns // group)
        unfolded = op.multiply(
            op.convert(op.constant(small.reshape(*shape, group)), "f32"),
            op.constant(scales.reshape(*shape, 1)),
        )
        weights = op.reshape(unfolded, op.constant([rows, columns]), False)
        return op.matmul(values, weights, False, True)

    def _norm(self, values: Any, name: str) -> Any:
        mean = op.reduce_mean(op.multiply(values, values), op.constant([-1]), keep_dims=True)
        scale = op.divide(
            op.constant(np.float32(1)),
            op.sqrt(op.add(mean, op.constant(np.float32(self._shape.epsilon)))),
        )
        return op.multiply(op.multiply(values, scale), op.constant(self._tensors[name]))

    def _layer(self, stream: Any, prefix: str, layer: int) -> Any:
        normed = self._norm(stream, f"{prefix}input_layernorm.weight")
        stream = op.add(stream, self._attention(normed, f"{prefix}self_attn.", layer))
        normed = self._norm(stream, f"{prefix}post_attention_layernorm.weight")
        gate = op.swish(self._linear(normed, f"{prefix}mlp.gate_proj.weight"))
        inner = op.multiply(gate, self._linear(normed, f"{prefix}mlp.up_proj.weight"))
        return op.add(stream, self._linear(inner, f"{prefix}mlp.down_proj.weight"))

    def _attention(self, values: Any, prefix: str, layer: int) -> Any:
        shape = self._shape
        queries, keys, read = (
            self._heads(self._linear(values, f"{prefix}{name}_proj.weight"), heads)
            for name, heads in (
                ("q", shape.heads), ("k", shape.key_heads), ("v", shape.key_heads)
            )
        )  # fmt: skip
        keys = self._remembered(self._turned(keys), f"keys.{layer}")
        read = self._remembered(read, f"values.{layer}")
        found = op.scaled_dot_product_attention(
            self._turned(queries), self._shared(keys), self._shared(read), self._mask4
        )
        together = op.transpose(found, op.constant([0, 2, 1, 3]))
        flat = op.reshape(together, op.constant([0, 0, shape.width]), special_zero=True)
        return self._linear(flat, f"{prefix}o_proj.weight")

    def _heads(self, values: Any, heads: int) -> Any:
        """Return (B, T, heads * E) as (B, heads, T, E)."""
        split = op.reshape(
            values, op.constant([0, 0, heads, self._shape.head_width]), special_zero=True
        )
        return op.transpose(split, op.constant([0, 2, 1, 3]))

    def _turned(self, values: Any) -> Any:
        """Turn the halves of each head by the position (Su et al. 2021, arXiv 2104.09864)."""
        cosine, sine = self._turns
        first, second = op.split(values, op.constant(3), 2).outputs()
        turned = op.concat([op.negative(second), first], -1)
        return op.add(op.multiply(values, cosine), op.multiply(turned, sine))

    def _remembered(self, values: Any, name: str) -> Any:
        """Return values after those of the state, and keep both."""
        heads, width = self._shape.key_heads, self._shape.head_width
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, heads, -1, width])
        info.data_type = ov.Type.f32
        info.variable_id = name
        variable = Variable(info)
        empty = op.broadcast(
            op.constant(np.float32(0)),
            op.concat(
                [
                    op.gather(op.shape_of(self._tokens), op.constant([0]), op.constant(0)),
                    op.constant([heads, 0, width], np.int64),
                ],
                0,
            ),
        )
        before = op.gather(op.read_value(empty, variable), self._rows, op.constant(0))
        both = op.concat([before, values], 2)
        self._sinks.append(op.assign(both, variable))
        self._variables.append(variable)
        return both

    def _shared(self, values: Any) -> Any:
        """Return (B, K, S, E) as (B, H, S, E): each head of keys serves several of queries."""
        shape = self._shape
        times = shape.heads // shape.key_heads
        if times == 1:
            return values
        ones = op.constant([1, 1, times, 1, 1], np.int64)
        spread = op.broadcast(
            op.unsqueeze(values, op.constant(2)), ones, broadcast_spec="BIDIRECTIONAL"
        )
        target = op.constant([0, shape.heads, -1, shape.head_width])
        return op.reshape(spread, target, special_zero=True)


def _turn_tables(shape: DecoderShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cosines and sines of all positions, (CONTEXT, E) each."""
    width = shape.head_width
    frequencies = 1 / shape.theta ** (np.arange(0, width, 2, dtype=np.float64) / width)
    angles = np.arange(CONTEXT)[:, None] * np.tile(frequencies, 2)[None, :]
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def decoder_network(shape: DecoderShape, tensors: Arrays) -> ov.Model:
    """Return a decoder as an OpenVINO network; see the module.

    Args:
        shape: The decoder's sizes.
        tensors: Its tensors under the names of transformers, adapters merged.
    """
    return _Builder(shape, tensors).model()
