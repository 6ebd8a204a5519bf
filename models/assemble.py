"""Backbone, adapters, heads and skeleton to one complete ONNX model: numpy and onnx, no torch.

The same arithmetic as `models.encoder.lora.merge`: `W + (alpha / r) B A`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from safetensors.numpy import load_file

from core.errors import ConfigError

Arrays = dict[str, NDArray[np.float32]]

PEFT_PREFIX: Final = "base_model.model."
TRANSPOSED: Final = ".T"
"""Ends the name of a placeholder that wants the transposed tensor."""
_BASE: Final = ".base_layer."
_LORA_A: Final = ".lora_A.weight"
_LORA_B: Final = ".lora_B.weight"


def merge_adapters(
    backbone: Mapping[str, NDArray[np.float32]],
    adapter: Mapping[str, NDArray[np.float32]],
    scaling: float,
) -> Arrays:
    """The backbone's tensors with the adapter's changes in them.

    Args:
        backbone: Tensors of the pretrained checkpoint.
        adapter: Tensors under PEFT's names: low-rank pairs, and replaced biases and LayerNorms.
        scaling: alpha / rank.

    Raises:
        ConfigError: the adapter has a tensor for which the backbone has no place.
    """
    merged = {name: np.array(value, np.float32) for name, value in backbone.items()}
    for full_name, value in adapter.items():
        name = full_name.removeprefix(PEFT_PREFIX)
        if name.endswith(_LORA_B):
            continue
        if name.endswith(_LORA_A):
            layer = name.removesuffix(_LORA_A)
            target = f"{layer}.weight"
            update = _product(adapter[PEFT_PREFIX + layer + _LORA_B], value)
        else:
            target, update = name.replace(_BASE, "."), None
        if target not in merged:
            raise ConfigError(f"the adapter changes {target!r}, which the backbone does not have")
        if update is None:
            merged[target] = np.array(value, np.float32)
        else:
            merged[target] += np.float32(scaling) * update
    return merged


def _product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """`left @ right`, added up in one order everywhere.

    A matrix product of a library adds in the order that suits the processor, and two builds of one
    model would differ in some hundred weights by a last bit.
    """
    total = np.zeros((left.shape[0], right.shape[1]), np.float64)
    for column, row in zip(left.T.astype(np.float64), right.astype(np.float64), strict=True):
        total += column[:, None] * row
    return total.astype(np.float32)


def model_weights(backbone: Path, adapter: Path, heads: Path, scaling: float) -> Arrays:
    """Every tensor of the encoder under the names of the skeleton's placeholders."""
    merged = merge_adapters(load_file(backbone), load_file(adapter), scaling)
    named = {f"model.backbone.{name}": value for name, value in merged.items()}
    named |= {f"model.heads.{name}": value for name, value in load_file(heads).items()}
    return named


def is_placeholder(tensor: TensorProto) -> bool:
    """Whether an initializer of the skeleton waits for its weights."""
    return tensor.data_type == TensorProto.FLOAT and not (tensor.raw_data or tensor.float_data)


def fill_skeleton(skeleton: Path, weights: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Put weights into the skeleton's placeholders and check the graph.

    Raises:
        ConfigError: a placeholder has no weights, or weights of another shape.
    """
    model = onnx.load_model(skeleton)
    for tensor in model.graph.initializer:
        if not is_placeholder(tensor):
            continue
        value = weights.get(tensor.name.removesuffix(TRANSPOSED))
        if value is not None and tensor.name.endswith(TRANSPOSED):
            value = value.T
        if value is None or list(value.shape) != list(tensor.dims):
            found = "nothing" if value is None else f"shape {value.shape}"
            raise ConfigError(
                f"skeleton wants {tensor.name} of shape {tuple(tensor.dims)}, found {found}: the "
                "weights and the skeleton are from different trainings"
            )
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))
    onnx.checker.check_model(model)
    return model


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in fp16 with fp32 outputs, for GPUs; the argument is not changed.

    Safe for this graph: LayerNormalization computes in fp32 inside (its `stash_type`), and the
    attention mask's most negative number becomes minus infinity, of which no row is all made.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for tensor in half.graph.initializer:
        _halve(tensor)
    for node in half.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                _halve(attribute.t)
            elif (
                node.op_type == "Cast"
                and attribute.name == "to"
                and attribute.i == TensorProto.FLOAT
            ):
                attribute.i = TensorProto.FLOAT16
    del half.graph.value_info[:]
    for output in half.graph.output:
        inner = f"{output.name}_half"
        for node in half.graph.node:
            node.output[:] = [inner if name == output.name else name for name in node.output]
            node.input[:] = [inner if name == output.name else name for name in node.input]
        half.graph.node.append(
            onnx.helper.make_node("Cast", [inner], [output.name], to=TensorProto.FLOAT)
        )
    return half


def _halve(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        with np.errstate(over="ignore"):
            value = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
