"""The student in numpy: pieces to logits, the numbers of a post by the post alone.

**Batch invariance.** Posts are padded to a length that their own pieces decide, and every product
of matrices is made post by post: numpy's `matmul` of a stack calls the library once for each matrix
of it, always in the same shape at a given length. So no row can change another's bits, by
construction and not by observation; `tests/models/serving/test_student.py` checks it nonetheless.

Shapes: `B` rows, `T` padded tokens, `E` width of the table, `F` filters, `H` hidden, `L` logits.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from core.cores import usable_cores
from models.encoder.config import EncoderConfig
from models.serving.engines import LOGITS_PREFIX, Outputs, pad, plan_runs
from models.student.config import (
    STUDENT_WEIGHTS_FILE,
    StudentConfig,
    StudentShape,
    check_beside,
    load_student_config,
)
from models.student.weights import load_student_weights

Floats = NDArray[np.float32]
_NEVER: Final = np.float32(-np.inf)


def windows(values: Floats, span: int) -> Floats:
    """Return every position with its neighbours (B, T, span * C) of values (B, T, C), 0 outside."""
    reach = span // 2
    rows, tokens, width = values.shape
    found = np.zeros((rows, tokens, span, width), np.float32)
    for place in range(span):
        shift = place - reach
        inside = slice(max(0, -shift), min(tokens, tokens - shift))
        source = slice(max(0, shift), min(tokens, tokens + shift))
        found[:, inside, place] = values[:, source]
    return found.reshape(rows, tokens, span * width)


class StudentEngine:
    """A loaded student. Satisfies `InferenceEngine`, but has no embedding. Thread-safe."""

    def __init__(
        self, shape: StudentShape, weights: Mapping[str, Floats], threads: int = 0
    ) -> None:
        """Take weights under the names of `models.student.network`.

        Args:
            shape: The sizes of the network.
            weights: Its tensors, the table as (pieces, E).
            threads: CPU threads; 0 means the cores that this process may use.
        """
        self._shape = shape
        # A run has one thread: products this small are slower on several, and may differ in bits.
        self._libraries = ThreadpoolController()
        self._pool = ThreadPoolExecutor(threads or usable_cores(), thread_name_prefix="student")
        self._table = np.ascontiguousarray(weights["table"], np.float32)
        self._first = _as_matrix(weights["first.weight"])
        self._first_bias = weights["first.bias"]
        per_group = shape.first // shape.groups
        self._second = np.stack(
            [
                _as_matrix(weights["second.weight"][start : start + per_group])
                for start in range(0, shape.first, per_group)
            ]
        )
        self._second_bias = weights["second.bias"]
        self._attention = np.ascontiguousarray(weights["attention.weight"].T)
        self._hidden = np.ascontiguousarray(weights["hidden.weight"].T)
        self._hidden_bias = weights["hidden.bias"]
        names = [name for name in weights if name.startswith("heads.") and name.endswith(".weight")]
        self.heads = tuple(name.split(".")[1] for name in names)
        self._out = np.ascontiguousarray(np.concatenate([weights[n] for n in names]).T)
        self._out_bias = np.concatenate(
            [weights[name.removesuffix("weight") + "bias"] for name in names]
        )
        self._ends = np.cumsum([len(weights[name]) for name in names])[:-1]

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """Return `logits_<head>` (B, L) for every text, row i for text i; needs at least one."""
        whole = np.empty((len(token_ids), self._out.shape[1]), np.float32)

        def read(run: tuple[list[int], int]) -> None:
            rows, length = run
            whole[rows] = self.forward(*pad(token_ids, rows, length))

        runs = list(plan_runs(token_ids))
        with self._libraries.limit(limits=1, user_api="blas"):
            if len(runs) == 1:
                read(runs[0])
            else:
                list(self._pool.map(read, runs))
        parts = np.split(whole, self._ends, axis=1)
        return {LOGITS_PREFIX + name: part for name, part in zip(self.heads, parts, strict=True)}

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Floats:
        """Return all logits, one head after another, of a run of one padded length."""
        kept = mask.astype(np.float32)[..., None]
        vectors = self._table[ids] * kept
        first = _relu(windows(vectors, self._shape.first_span) @ self._first, self._first_bias)
        first *= kept
        second = _relu(self._grouped(first), self._second_bias)
        words = (second + first) * kept
        scores = np.where(kept > 0, words @ self._attention, _NEVER)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        mean = weights.swapaxes(1, 2) @ words
        pooled = np.concatenate([mean, words.max(1, keepdims=True)], axis=2)
        hidden = _relu(pooled @ self._hidden, self._hidden_bias)
        return (hidden @ self._out + self._out_bias)[:, 0]

    def _grouped(self, values: Floats) -> Floats:
        """Return the grouped filters' sums (B, T, F) of values (B, T, F)."""
        rows, tokens, width = values.shape
        groups = self._shape.groups
        # A group's channels side by side with those of its neighbours: (B, groups, T, span * C).
        apart = values.reshape(rows, tokens, groups, width // groups).transpose(0, 2, 1, 3)
        flat = np.ascontiguousarray(apart).reshape(rows * groups, tokens, width // groups)
        near = windows(flat, self._shape.second_span)
        near = near.reshape(rows, groups, tokens, near.shape[2])
        return (near @ self._second).transpose(0, 2, 1, 3).reshape(rows, tokens, width)


def _as_matrix(filters: Floats) -> Floats:
    """Return filters (F, C, span) as a matrix (span * C, F) for `windows`."""
    return np.ascontiguousarray(filters.transpose(2, 1, 0).reshape(-1, len(filters)), np.float32)


def _relu(values: Any, bias: Floats) -> Floats:
    values += bias
    return np.maximum(values, 0, out=values)


def open_student(
    folder: Path, encoder: EncoderConfig, threads: int = 0
) -> tuple[StudentConfig, StudentEngine]:
    """Load the student in a folder of weights or of a built model.

    Raises:
        ConfigError: There is none, it learned from another encoder, or its weights are not its own.
    """
    config = load_student_config(folder)
    check_beside(config, encoder)
    weights = load_student_weights(folder / STUDENT_WEIGHTS_FILE, config.shape, config.heads)
    return config, StudentEngine(config.shape, weights, threads)
