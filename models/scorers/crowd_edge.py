"""The edge of every crowd model: what it answers becomes a `CrowdAnswer`, or is refused whole."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidAnswer
from core.ports import CrowdAnswer, CrowdQuestions
from models.scorers.edge import Asked, kind_of, shown, version_of
from models.socialalign.crowd_config import LABELS
from models.socialalign.tone import MOST_LETTERS

_TOLERANCE: Final = 1e-5
"""So far from 1 the sum of shares may be: what float32 loses."""


def as_sent(questions: CrowdQuestions) -> CrowdQuestions:
    """Return questions as a model gets them: of texts what it reads, as UTF-8 can say it."""
    texts = [
        text[:MOST_LETTERS].encode("utf-8", "replace").decode("utf-8") for text in questions.texts
    ]
    asked, single = questions, np.float32
    return CrowdQuestions(
        np.ascontiguousarray(asked.usual, single), np.ascontiguousarray(asked.heads, single),
        np.ascontiguousarray(asked.seen, single), np.ascontiguousarray(asked.flags, single), texts,
    )  # fmt: skip


def checked_crowd(
    asked: Asked, versions: object, forecast: object, reaction: object
) -> CrowdAnswer:
    """Return an answer that can be believed to be one.

    Args:
        asked: What was asked; it has no heads.
        versions: The model version, or one for each question, (B,) or (B, 1), as UTF-8.
        forecast: (B, 3) float32.
        reaction: (B, 3) float32.

    Raises:
        InvalidAnswer: Rows, shape, type or version are not those asked for, or a row has no shares.
    """
    version = version_of(asked, versions)
    return CrowdAnswer(
        version, _shares(asked, "FORECAST", forecast), _shares(asked, "REACTION", reaction)
    )


def _shares(asked: Asked, name: str, values: object) -> NDArray[np.float32]:
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise asked.invalid(f"{name} of type", kind_of(values), "float32")
    expected = (asked.posts, LABELS)
    if values.shape != expected:
        raise asked.invalid(f"{name} of shape", values.shape, expected)
    sums: Any = values.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 0).all(axis=1) & (np.abs(sums - 1) <= _TOLERANCE))
    if wrong.any():
        row = int(wrong.argmax())
        raise asked.invalid(f"{name} of row {row}:", values[row].tolist(), "shares that sum to 1")
    return np.ascontiguousarray(values)


def joined_crowds(who: str, parts: list[CrowdAnswer]) -> CrowdAnswer:
    """Return checked answers to the parts of one batch as one, in order; at least one is needed.

    Raises:
        InvalidAnswer: The parts are of different versions.
    """
    found = sorted({part.model_version for part in parts})
    if len(found) > 1:
        raise InvalidAnswer(f"{who}: the model changed within a batch: {shown(found)}")
    return CrowdAnswer(
        found[0],
        np.concatenate([part.forecast for part in parts]),
        np.concatenate([part.reaction for part in parts]),
    )
