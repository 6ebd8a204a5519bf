"""fp32 ONNX to OpenVINO: static int8, or int8 weights alone (both NNCF).

Static: every scale is fixed at build time from sentences of ours, so a post's numbers do not
depend on its batch (dynamic quantisation would take the scale of an activation from the batch).
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.serving.engines import LOGITS_PREFIX, OPENVINO_FILE, OpenVinoEngine, padded_length

ROWS_PER_BATCH: Final = 8
SMOOTH_ALPHA: Final = 0.75
"""How much of the activations' range moves into the weights. Mean difference of a probability to
fp32 on the validation split: 0.018 at 0.5, 0.008 at 0.75, 0.010 at NNCF's own 0.95."""


def _batches(token_ids: Sequence[Sequence[int]]) -> list[dict[str, NDArray[np.int64]]]:
    """Padded batches of near-equal length."""
    ordered = sorted(token_ids, key=len)
    batches = []
    for start in range(0, len(ordered), ROWS_PER_BATCH):
        rows = ordered[start : start + ROWS_PER_BATCH]
        ids = np.zeros((len(rows), padded_length(len(rows[-1]))), np.int64)
        mask = np.zeros_like(ids)
        for position, row in enumerate(rows):
            ids[position, : len(row)] = row
            mask[position, : len(row)] = 1
        batches.append({"input_ids": ids, "attention_mask": mask})
    return batches


def _head_products(model: Any) -> list[str]:
    """Names of the matrix products that make the logits."""
    names = []
    for output in model.outputs:
        if not output.get_any_name().startswith(LOGITS_PREFIX):
            continue
        node = output.get_node().input_value(0).get_node()
        while node.get_type_name() != "MatMul":
            node = node.input_value(0).get_node()
        names.append(node.get_friendly_name())
    return names


def _name_by_place(model: Any) -> None:
    """Number the nodes of a graph from one.

    OpenVINO numbers them over the life of the process, and a second build would have other bytes.
    """
    for number, node in enumerate(model.get_ordered_ops(), start=1):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")


def _tools() -> tuple[Any, Any]:
    """Import NNCF and OpenVINO.

    Raises:
        ConfigError: nncf or openvino is not installed.
    """
    # NNCF reports its use to a web service unless it believes to run in its makers' CI; this
    # variable, read when it is imported, is its only switch.
    os.environ["NNCF_CI"] = "1"
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise ConfigError(
            f"building for CPU needs nncf and openvino ({error.name} is missing): run it with "
            "the Python of the model server's environment, which `groundswell setup` makes"
        ) from error
    # Which nodes it leaves as they are is what we asked for, and nothing to act on.
    nncf.set_log_level(logging.WARNING)
    return nncf, openvino


def quantise(onnx_file: Path, token_ids: Sequence[Sequence[int]], folder: Path) -> None:
    """Write the int8 model as OpenVINO files into `folder`.

    Raises:
        ConfigError: nncf or openvino is not installed.
    """
    nncf, openvino = _tools()
    batches = _batches(token_ids)
    model: Any = openvino.Core().read_model(onnx_file)
    smooth = nncf.AdvancedSmoothQuantParameters(matmul=SMOOTH_ALPHA)
    smaller = nncf.quantize(
        model,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(batches),
        # The heads are a thousandth of the work, and an error there goes straight to the scores.
        ignored_scope=nncf.IgnoredScope(names=_head_products(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=smooth),
    )
    _name_by_place(smaller)
    openvino.save_model(smaller, folder / OPENVINO_FILE, compress_to_fp16=False)


def compress_weights(onnx_file: Path, folder: Path) -> None:
    """Write the model with int8 weights, computed in fp32, as OpenVINO files into `folder`.

    Raises:
        ConfigError: nncf or openvino is not installed.
    """
    nncf, openvino = _tools()
    model: Any = openvino.Core().read_model(onnx_file)
    smaller = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    _name_by_place(smaller)
    openvino.save_model(smaller, folder / OPENVINO_FILE, compress_to_fp16=False)


def convert(onnx_file: Path, folder: Path) -> None:
    """Write the model as it is, in fp32, as OpenVINO files into `folder`.

    Raises:
        ConfigError: nncf or openvino is not installed.
    """
    _, openvino = _tools()
    model: Any = openvino.Core().read_model(onnx_file)
    _name_by_place(model)
    openvino.save_model(model, folder / OPENVINO_FILE, compress_to_fp16=False)


def outputs_of(
    model: Path, token_ids: Sequence[Sequence[int]]
) -> Mapping[str, NDArray[np.float32]]:
    """What OpenVINO computes from a model file (its own or ONNX), row i for text i."""
    return OpenVinoEngine(model).infer(token_ids)
