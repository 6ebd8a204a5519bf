"""The edge of every responder: what it answers becomes a `Generated`, or is refused.

Each answer passes `checked_replies` exactly once. An answer of other shape than was asked for is no
answer. A reply that may not be shown counts as refused, whoever let it through: the filters run
here once more.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.ports import Generated
from models.popalm.safety import MAX_CHARACTERS, REASONS, reply_fault
from models.scorers.edge import Asked, kind_of, version_of

MAX_CANDIDATES: Final = 1_024
"""No model draws more for one post, so no count of refused ones is greater."""


def checked_replies(
    asked: Asked, post: str, number: int, seed: int, answer: Mapping[str, object]
) -> Generated:
    """Return an answer that can be believed to be one.

    Args:
        asked: What was asked: one post.
        post: Its text.
        number: How many replies were asked for.
        seed: What they were to be drawn by.
        answer: `REPLIES` (n) as UTF-8, `SCORES` (n) float32, `REASONS` (r) as UTF-8, `REFUSED`
            (r) int32, `DRAWN_BY` (1) int64, `MODEL_VERSION` (1).

    Raises:
        InvalidAnswer: Shapes, types, seed or version are not those asked for, a score is not
            finite or greater than the one before, or a reason is unknown.
    """
    version = version_of(asked, answer["MODEL_VERSION"])
    replies = _texts(asked, "REPLIES", answer["REPLIES"], number)
    scores = _numbers(asked, "SCORES", answer["SCORES"], np.float32, len(replies))
    if not np.isfinite(scores).all():
        raise asked.invalid("SCORES", scores.tolist(), "finite numbers")
    if (np.diff(scores) > 0).any():
        raise asked.invalid("SCORES", scores.tolist(), "the best first")
    drawn_by = _numbers(asked, "DRAWN_BY", answer["DRAWN_BY"], np.int64, 1)
    if int(drawn_by[0]) != seed:
        raise asked.invalid("DRAWN_BY", int(drawn_by[0]), seed)
    refused = _refused(asked, answer)
    faults = [_fault(post, reply, replies[:place]) for place, reply in enumerate(replies)]
    refused.update(fault for fault in faults if fault)
    kept = [place for place, fault in enumerate(faults) if not fault]
    return Generated(
        version,
        tuple(replies[place] for place in kept),
        tuple(float(scores[place]) for place in kept),
        dict(refused),
        seed,
    )


def _refused(asked: Asked, answer: Mapping[str, object]) -> Counter[str]:
    """Return how many candidates were refused, by reason."""
    reasons = _texts(asked, "REASONS", answer["REASONS"], len(REASONS))
    if len(set(reasons)) < len(reasons) or not set(reasons) <= set(REASONS):
        raise asked.invalid("REASONS", reasons, f"some of {', '.join(REASONS)}")
    counts = _numbers(asked, "REFUSED", answer["REFUSED"], np.int32, len(reasons))
    if ((counts < 1) | (counts > MAX_CANDIDATES)).any():
        raise asked.invalid("REFUSED", counts.tolist(), f"1 to {MAX_CANDIDATES} of each reason")
    return Counter(dict(zip(reasons, counts.tolist(), strict=True)))


def _fault(post: str, reply: str, before: list[str]) -> str:
    """Return why a reply is refused here, "" if it is not."""
    return reply_fault(post, reply) or ("twin" if reply in before else "")


def _texts(asked: Asked, name: str, values: object, most: int) -> list[str]:
    """Return texts of an output, at most so many."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "O":
        raise asked.invalid(f"{name} of type", kind_of(values), "text")
    if values.ndim != 1 or len(values) > most:
        raise asked.invalid(f"{name} of shape", values.shape, f"at most {most}")
    found: list[Any] = values.tolist()
    if any(not isinstance(one, bytes) or len(one) > 4 * MAX_CHARACTERS for one in found):
        raise asked.invalid(name, "something long or no bytes", "short texts")
    try:
        return [one.decode() for one in found]
    except UnicodeDecodeError as error:
        raise asked.invalid(name, "bytes", "UTF-8") from error


def _numbers(
    asked: Asked, name: str, values: object, kind: type[np.generic], number: int
) -> NDArray[Any]:
    """Return numbers of an output, exactly so many."""
    if not isinstance(values, np.ndarray) or values.dtype != kind:
        raise asked.invalid(f"{name} of type", kind_of(values), np.dtype(kind).name)
    if values.shape != (number,):
        raise asked.invalid(f"{name} of shape", values.shape, (number,))
    return values
