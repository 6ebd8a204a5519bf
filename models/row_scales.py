"""fp32 ONNX to int8 with a scale for every row: ONNX Runtime's own kernels, no calibration.

The usual dynamic quantisation takes the scale of an activation from the whole batch, so that a
post's numbers depend on its neighbours. Here every token has a scale of its own, the largest of its
absolute values over 127. The product itself is exact in integers. Weights have a scale for every
output and seven bits: without VNNI the product adds two neighbours in 16 bits, which eight bits
overflow.

Shapes: `N` tokens of a run, `K` inputs and `M` outputs of a linear layer.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.assemble import TRANSPOSED

CONTRIB: Final = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
LARGEST_WEIGHT: Final = 63
"""Seven bits: 255 times 63, twice, is the most that 16 bits hold."""
LARGEST_INPUT: Final = 127
_MIDDLE: Final = 128
_LEAST: Final = 1e-12
"""Smallest scale of a row, so that a row of zeros is divided by something."""


def quantise_weight(
    weight: NDArray[np.float32], largest: int = LARGEST_WEIGHT
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (K, M) of a weight (K, M), and the scale (M,) of each output.

    >>> quantise_weight(np.array([[63.0, 0.5], [-6.0, -0.25]], np.float32))[0].tolist()
    [[63, 63], [-6, -32]]
    """
    scale = np.maximum(np.abs(weight).max(axis=0), _LEAST).astype(np.float32) / np.float32(largest)
    return np.rint(weight / scale).astype(np.int8), scale


def with_row_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with integer products in its linear layers; the argument is not changed.

    The heads stay in fp32, as sums of products of one row: what a library does with the rows of a
    matrix at once depends on their number.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    linear = {
        name
        for node in graph.node
        if node.op_type == "MatMul" and (name := node.input[1]).endswith(TRANSPOSED)
    }
    nodes: list[onnx.NodeProto] = []
    rows: dict[str, str] = {}
    for node in list(graph.node):
        if node.op_type == "MatMul" and node.input[1] in linear:
            source = node.input[0]
            if source not in rows:
                rows[source] = f"{source}_rows"
                nodes.extend(_to_rows(source))
            _add_weight(graph, node.input[1], numpy_helper.to_array(weights[node.input[1]]))
            nodes.extend(_product(source, node.input[1], node.output[0]))
        elif node.op_type == "Gemm":
            nodes.extend(_head(node))
        elif node.op_type == "ReduceSum":
            nodes.extend(_sum_of_tokens(node))
        else:
            nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in linear]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *_constants()])
    made.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return made


def _constants() -> Iterator[TensorProto]:
    """What the nodes below share."""
    yield numpy_helper.from_array(np.float32(1), "rows.one")
    yield numpy_helper.from_array(np.float32(1 / LARGEST_INPUT), "rows.step")
    yield numpy_helper.from_array(np.float32(_LEAST), "rows.least")
    yield numpy_helper.from_array(np.uint8(_MIDDLE), "rows.middle")
    yield numpy_helper.from_array(np.array([_MIDDLE], np.uint8), "rows.middles")
    yield numpy_helper.from_array(np.array([-1], np.int64), "rows.last")
    yield numpy_helper.from_array(np.array([1], np.int64), "rows.first")


def _to_rows(source: str) -> Iterator[onnx.NodeProto]:
    """Quantise the tokens (…, K) of an activation: integers (N, K) and scales (N,), (…, 1)."""
    name = f"{source}_rows"

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [f"{name}.{output}"], **attributes)

    yield node("Abs", [source], "abs")
    yield node("ReduceMax", [f"{name}.abs", "rows.last"], "most", keepdims=1)
    yield node("Mul", [f"{name}.most", "rows.step"], "small")
    yield node("Max", [f"{name}.small", "rows.least"], "scale")
    yield node("Shape", [source], "shape")
    yield node("Reshape", [f"{name}.scale", "rows.last"], "scales")
    yield node("Shape", [f"{name}.scales"], "count")
    yield node("Expand", ["rows.middles", f"{name}.count"], "zeros")
    yield node("Gather", [f"{name}.shape", "rows.last"], "width")
    yield node("Concat", ["rows.last", f"{name}.width"], "flat", axis=0)
    yield node("Reshape", [source, f"{name}.flat"], "flattened")
    yield node(
        "QuantizeLinear", [f"{name}.flattened", f"{name}.scales", f"{name}.zeros"], "q", axis=0
    )
    yield node("Reshape", [f"{name}.q", f"{name}.shape"], "integers")


def _product(source: str, weight: str, output: str) -> Iterator[onnx.NodeProto]:
    """The product of integers, and its scales."""
    name = f"{source}_rows"
    yield helper.make_node(
        "MatMulIntegerToFloat",
        [f"{name}.integers", f"{weight}.int8", "rows.one", f"{weight}.scale", "rows.middle"],
        [f"{output}.scaled"],
        domain=CONTRIB,
    )
    yield helper.make_node("Mul", [f"{output}.scaled", f"{name}.scale"], [output])


def _head(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A head (its weight is (C, D)) as sums within a row."""
    source, weight, bias = node.input
    output = node.output[0]
    yield helper.make_node("Unsqueeze", [source, "rows.first"], [f"{output}.row"])
    yield helper.make_node("Mul", [f"{output}.row", weight], [f"{output}.products"])
    yield helper.make_node(
        "ReduceSum", [f"{output}.products", "rows.last"], [f"{output}.sums"], keepdims=0
    )
    yield helper.make_node("Add", [f"{output}.sums", bias], [output])


def _sum_of_tokens(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A sum over the tokens of (B, T, D) as a product of each text with a row of ones.

    As a sum ONNX Runtime adds it in another order where there is one text.
    """
    source, output = node.input[0], node.output[0]
    yield helper.make_node("Shape", [source], [f"{output}.shape"], start=1, end=2)
    yield helper.make_node(
        "Concat", ["rows.first", "rows.first", f"{output}.shape"], [f"{output}.ones_shape"], axis=0
    )
    yield helper.make_node("Expand", ["rows.one", f"{output}.ones_shape"], [f"{output}.ones"])
    yield helper.make_node("MatMul", [f"{output}.ones", source], [f"{output}.kept"])
    yield helper.make_node("Squeeze", [f"{output}.kept", "rows.first"], [output])


def _add_weight(graph: onnx.GraphProto, name: str, weight: NDArray[np.float32]) -> None:
    integers, scale = quantise_weight(weight)
    graph.initializer.extend(
        [
            numpy_helper.from_array(integers, f"{name}.int8"),
            numpy_helper.from_array(scale, f"{name}.scale"),
        ]
    )
