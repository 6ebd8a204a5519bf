"""The student's weights as they ship: the table in eight bits with a scale a piece, the rest whole.

Shapes: `P` pieces, `E` width of the table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.encoder.config import HeadConfig
from models.student.config import StudentShape
from models.tensors import damaged, read_tensors, tensor_fault

Arrays = dict[str, NDArray[Any]]
TABLE: Final = "table"
TABLE_SCALE: Final = "table.scale"
TRAINED_TABLE: Final = "table.weight"
_MOST: Final = 127


def packed(state: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """Return a network's tensors with the table (P, E) as int8 and a scale (P, 1) a piece."""
    found: Arrays = {n: v.astype(np.float32) for n, v in state.items() if n != TRAINED_TABLE}
    table = state[TRAINED_TABLE].astype(np.float32)
    scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-6) / _MOST
    found[TABLE] = np.rint(table / scale).astype(np.int8)
    found[TABLE_SCALE] = scale.astype(np.float32)
    return found


def load_student_weights(
    file: Path, shape: StudentShape, heads: Sequence[HeadConfig]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a shipped file, the table whole again.

    Args:
        file: The file.
        shape: The sizes that the network has to have.
        heads: The heads, none of them more and none fewer.

    Raises:
        ConfigError: The file is missing, cannot be read, or holds other tensors.
    """
    found = read_tensors(file)
    if wrong := tensor_fault(found, expected_tensors(shape, heads), whole=(TABLE,)):
        raise damaged(file, f"{wrong}: no student's weights")
    scale = found.pop(TABLE_SCALE).astype(np.float32)
    kept = {name: values.astype(np.float32, copy=False) for name, values in found.items()}
    return kept | {TABLE: kept[TABLE] * scale}


def expected_tensors(
    shape: StudentShape, heads: Sequence[HeadConfig]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a shipped file by name."""
    found: dict[str, tuple[int, ...]] = {
        TABLE: (shape.pieces, shape.table),
        TABLE_SCALE: (shape.pieces, 1),
        "first.weight": (shape.first, shape.table, shape.first_span),
        "first.bias": (shape.first,),
        "second.weight": (shape.first, shape.first // shape.groups, shape.second_span),
        "second.bias": (shape.first,),
        "attention.weight": (1, shape.first),
        "attention.bias": (1,),
        "hidden.weight": (shape.hidden, 2 * shape.first),
        "hidden.bias": (shape.hidden,),
    }
    for head in heads:
        found[f"heads.{head.name}.weight"] = (head.logits, shape.hidden)
        found[f"heads.{head.name}.bias"] = (head.logits,)
    return found
