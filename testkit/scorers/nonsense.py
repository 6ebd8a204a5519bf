"""The wrong answers that a model can give, for tests and chaos: what the edge is there for.

An answer is its outputs by name, row i for post i: RATED (B, 1), MODEL_VERSION (B, 1) as UTF-8, and
(B, C) of every head. Each kind changes a right answer into a wrong one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.heads import INDEPENDENT

RATED, VERSION = "RATED", "MODEL_VERSION"
Answer = dict[str, NDArray[Any]]

ROW_KINDS: Final[dict[str, float]] = {
    "nan": np.nan,
    "inf": np.inf,
    "minus-inf": -np.inf,
    "huge": 1e30,
    "negative": -3.0,
    "sum": 0.0,
}
"""Kind -> the number in place of a probability; `sum` zeroes a whole exclusive head."""


def _heads(answer: Answer) -> list[str]:
    return [name for name in answer if name not in (RATED, VERSION)]


def spoil_rows(kind: str, answer: Answer, rows: Sequence[int]) -> Answer:
    """Return a copy with one head of each of these rows spoilt; which head depends on the row."""
    names = [n for n in _heads(answer) if kind != "sum" or n not in INDEPENDENT]
    spoilt = {name: values.copy() for name, values in answer.items()}
    for row in rows:
        values = spoilt[names[row % len(names)]]
        if kind == "sum":
            values[row] = 0
        else:
            values[row, row % values.shape[1]] = ROW_KINDS[kind]
    return spoilt


def _of_all(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Answer], Answer]:
    return lambda answer: {name: change(values) for name, values in answer.items()}


def _of_first(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Answer], Answer]:
    def changed(answer: Answer) -> Answer:
        name = _heads(answer)[0]
        return {**answer, name: change(answer[name])}

    return changed


def _other_version(answer: Answer) -> Answer:
    return {**answer, VERSION: np.full_like(answer[VERSION], b"another-9")}


ANSWER_KINDS: Final[dict[str, Callable[[Answer], Answer]]] = {
    "row-more": _of_all(lambda values: np.concatenate([values, values[-1:]])),
    "row-less": _of_all(lambda values: values[:-1]),
    "label-more": _of_first(lambda values: np.concatenate([values, values[:, :1]], axis=1)),
    "label-less": _of_first(lambda values: values[:, :-1]),
    "type": _of_first(lambda values: np.rint(values * 100).astype(np.int32)),
    "version": _other_version,
    "empty": _of_all(lambda values: values[:0]),
}
"""Kind -> what makes a right answer into one that cannot be used at all."""
