"""The student's weights as they ship: the table in eight bits with a scale a piece, the rest whole.

Shapes: `P` pieces, `E` width of the table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

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


def load_student_weights(file: Path) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a shipped file, the table whole again."""
    found = load_file(file)
    scale = found.pop(TABLE_SCALE)
    found[TABLE] = found[TABLE].astype(np.float32) * scale
    return found
