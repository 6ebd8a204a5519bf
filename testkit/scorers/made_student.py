"""A student of made-up weights, for tests of what surrounds it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.encoder.config import HeadConfig
from models.student.config import StudentConfig, StudentShape
from models.student.weights import TABLE_SCALE, expected_tensors

SMALL: Final = StudentShape(table=16, first=8, groups=2, hidden=8)


def made_weights(
    shape: StudentShape, heads: Sequence[HeadConfig], seed: int = 1
) -> dict[str, NDArray[np.float32]]:
    """Return tensors of that shape and for those heads, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    sizes = expected_tensors(shape, heads)
    del sizes[TABLE_SCALE]  # of shipped files, whose table is of small integers
    return {name: rng.normal(0, 0.5, size).astype(np.float32) for name, size in sizes.items()}


def made_config(teacher: str, heads: tuple[HeadConfig, ...], least_sure: float) -> StudentConfig:
    """Return the description of such a student, equally sure of every head."""
    return StudentConfig(
        version="post-student-1+made", teacher=teacher, shape=SMALL, heads=heads,
        least_sure={head.name: least_sure for head in heads}, audit_share=0.1,
    )  # fmt: skip
