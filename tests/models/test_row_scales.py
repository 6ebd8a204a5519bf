"""A linear layer in integers with a scale for every row: near fp32, whatever else is there."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.row_scales import LARGEST_WEIGHT, quantise_weight, with_row_scales

pytestmark = pytest.mark.server
WIDTH, OUT = 16, 8


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """A linear layer, the sum over tokens, and a head."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(WIDTH, OUT)).astype(np.float32)
    head = rng.normal(size=(3, OUT)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "layer.weight.T"], ["y"]),
        helper.make_node("ReduceSum", ["y", "axis"], ["sum"], keepdims=0),
        helper.make_node("Gemm", ["sum", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    parts = {
        "layer.weight.T": weight, "head.weight": head, "head.bias": np.ones(3, np.float32),
        "axis": np.array([1], np.int64),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "t", WIDTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 3])],
        [numpy_helper.from_array(value, name) for name, value in parts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": x})
    return np.asarray(found)


def test_the_network_stays_near_fp32_and_is_not_changed_itself(
    network: onnx.ModelProto, tmp_path: Path
) -> None:
    x = np.random.default_rng(1).normal(size=(4, 5, WIDTH)).astype(np.float32)
    before = network.SerializeToString()
    found, expected = run(with_row_scales(network), x), run(network, x)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert network.SerializeToString() == before


def test_a_loud_neighbour_changes_no_bit(network: onnx.ModelProto) -> None:
    made = with_row_scales(network)
    x = np.random.default_rng(2).normal(size=(3, 5, WIDTH)).astype(np.float32)
    alone = run(made, x[1:2])
    x[0] *= 1_000
    assert run(made, x)[1].tobytes() == alone[0].tobytes()


def test_rows_of_zeros_give_zeros(network: onnx.ModelProto) -> None:
    found = run(with_row_scales(network), np.zeros((2, 5, WIDTH), np.float32))
    assert found.tolist() == [[1.0, 1.0, 1.0]] * 2  # the bias


def test_two_products_of_weights_fit_in_sixteen_bits() -> None:
    weight = np.random.default_rng(4).normal(size=(WIDTH, OUT)).astype(np.float32)
    integers, scale = quantise_weight(weight)
    assert np.abs(integers).max(axis=0).tolist() == [LARGEST_WEIGHT] * OUT
    assert 2 * 255 * LARGEST_WEIGHT < 2**15
    assert np.abs(integers * scale - weight).max() <= scale.max() / 2 * 1.001
