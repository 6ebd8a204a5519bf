"""Where a student's table of word pieces begins: the encoder's own, cut to what varies.

Shapes: `P` pieces, `D` width of the encoder's table, `E` width of the student's.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

TABLE_NAME: Final = "embeddings.word_embeddings.weight"
SPREAD: Final = 0.35
"""The standard deviation that the cut table is given, so that filters begin in their range."""


def cut_table(table: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the first `width` principal components (P, E) of a table (P, D).

    In double precision, with the sign of every component fixed, so that it is the same everywhere.
    """
    centred = table.astype(np.float64) - table.mean(0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :width]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(width)])
    cut = centred @ axes
    return (cut * (SPREAD / cut.std())).astype(np.float32)


def backbone_table(weights: Path, width: int) -> NDArray[np.float32]:
    """Return the cut table of a backbone's safetensors file."""
    return cut_table(load_file(weights)[TABLE_NAME], width)
