"""The ONNX skeleton: the encoder's graph with every weight taken out. Needs torch.

The graph is that of the plain model, adapters already merged, so it depends on the backbone's
shape and on the heads, not on what was learned. `models.build` puts the weights back without
torch. A placeholder is an initializer without data whose name is that of the parameter.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.assemble import TRANSPOSED
from models.encoder.model import PostEncoder, load_backbone
from models.serving.engines import EMBEDDING, LOGITS_PREFIX

SKELETON_FILE = "skeleton.onnx"
OPSET = 18


class _Graph(nn.Module):
    """Tensors in, a flat tuple of tensors out, as exporters want it."""

    def __init__(self, model: PostEncoder, heads: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.head_names = tuple(heads)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        embedding, logits = self.model(input_ids, attention_mask)
        return embedding, *(logits[name] for name in self.head_names)


def export_graph(model: PostEncoder, heads: Sequence[str]) -> onnx.ModelProto:
    """The full ONNX model, weights included; batch and length are free.

    Inputs `input_ids` and `attention_mask`, int64 (B, T); outputs `post_embedding` (B, D) and
    `logits_<head>` (B, C).
    """
    ids = torch.ones((2, 7), dtype=torch.long)
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=512)
    with warnings.catch_warnings():
        # The exporter warns that the two inputs share their axes, which is meant.
        warnings.simplefilter("ignore", UserWarning)
        program = torch.onnx.export(
            _Graph(model, heads).eval(),
            (ids, torch.ones_like(ids)),
            None,
            input_names=["input_ids", "attention_mask"],
            output_names=[EMBEDDING, *(LOGITS_PREFIX + name for name in heads)],
            dynamic_shapes={
                "input_ids": {0: batch, 1: tokens},
                "attention_mask": {0: batch, 1: tokens},
            },
            opset_version=OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    return program.model_proto


def fold_transposes(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Replace `Transpose(weight)` by a weight stored transposed, named `<weight>.T`, in place.

    Quantisers look for constant weights: behind a Transpose they would take the matrix for an
    activation, leave it in fp32 and quantise it anew on every run.
    """
    initializers = {tensor.name: tensor for tensor in graph.graph.initializer}
    new_name: dict[str, str] = {}
    kept = []
    for node in graph.graph.node:
        source = initializers.get(node.input[0]) if node.op_type == "Transpose" else None
        if source is None or len(source.dims) != 2:
            kept.append(node)
            continue
        folded = numpy_helper.from_array(
            np.ascontiguousarray(numpy_helper.to_array(source).T), source.name + TRANSPOSED
        )
        new_name[node.output[0]] = folded.name
        source.CopyFrom(folded)
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    for node in graph.graph.node:
        node.input[:] = [new_name.get(name, name) for name in node.input]
    return graph


def strip_weights(graph: onnx.ModelProto, parameters: Sequence[str]) -> onnx.ModelProto:
    """Empty the initializers that are parameters, in place; small constants stay."""
    wanted = set(parameters)
    for initializer in graph.graph.initializer:
        name = initializer.name.removeprefix("model.").removesuffix(TRANSPOSED)
        if name in wanted:
            initializer.ClearField("raw_data")
            initializer.ClearField("float_data")
    # Shapes and notes of the exporter: source paths and stack traces of the training machine.
    del graph.graph.value_info[:]
    del graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return graph


def export_skeleton(
    backbone: Path, width: int, heads: Sequence[str], out: Path, layers: Sequence[int] = ()
) -> Path:
    """Write the skeleton for a backbone (all of its layers, or these) and heads into `out`."""
    model = PostEncoder(load_backbone(backbone, "eager", layers), width, heads)
    graph = fold_transposes(export_graph(model, heads))
    stripped = strip_weights(graph, [name for name, _ in model.named_parameters()])
    target = out / SKELETON_FILE
    target.write_bytes(stripped.SerializeToString(deterministic=True))
    return target
