"""One network in the form of each engine, and what fp32 says of texts of ours."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import onnx

from models.assemble import to_half
from models.quantise import compress_weights, convert, outputs_of, quantise
from models.row_scales import with_row_scales
from models.serving.candidates import CANDIDATES, REFERENCE, candidate
from models.serving.engines import ONNX_FILE
from models.serving.reference import TrialTexts

TokenIds = Sequence[Sequence[int]]
Writer = Callable[[onnx.ModelProto, Path, TokenIds, Path], None]
"""The fp32 network, its file, the texts that fix ranges, and the folder to write into."""


def _static_int8(_: onnx.ModelProto, file: Path, calibration: TokenIds, folder: Path) -> None:
    quantise(file, calibration, folder)


def _row_int8(network: onnx.ModelProto, _: Path, __: TokenIds, folder: Path) -> None:
    onnx.save_model(with_row_scales(network), folder / ONNX_FILE)


def _int8_weights(_: onnx.ModelProto, file: Path, __: TokenIds, folder: Path) -> None:
    compress_weights(file, folder)


def _fp32(_: onnx.ModelProto, file: Path, __: TokenIds, folder: Path) -> None:
    convert(file, folder)


def _fp16(network: onnx.ModelProto, _: Path, __: TokenIds, folder: Path) -> None:
    onnx.save_model(to_half(network), folder / ONNX_FILE)


WRITERS: Final[dict[str, Writer]] = {
    "openvino-int8": _static_int8,
    "onnxruntime-int8": _row_int8,
    "openvino-int8-weights": _int8_weights,
    "openvino-fp32": _fp32,
    "onnxruntime-fp16": _fp16,
}


def write_engines(
    network: onnx.ModelProto,
    device: str,
    calibration: TokenIds,
    held_out: Sequence[list[int]],
    folder: Path,
) -> None:
    """Write the network for every engine of a device into a version folder, and the reference.

    Args:
        network: The fp32 network.
        device: `cpu` or `gpu`.
        calibration: Token ids of the texts that fix static ranges.
        held_out: Those of the texts that engines are tried with.
        folder: The version folder.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / ONNX_FILE
        onnx.save_model(network, file)
        for each in CANDIDATES:
            if each.device == device:
                into = each.place(folder).parent
                into.mkdir(parents=True)
                WRITERS[each.name](network, file, calibration, into)
    if device == candidate(REFERENCE).device:
        outputs = outputs_of(candidate(REFERENCE).place(folder), held_out)
        TrialTexts(list(held_out), outputs).save(folder)
