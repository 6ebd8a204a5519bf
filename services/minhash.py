"""MinHash (Broder 1997) of a text over runs of four letters: whose minima agree are alike.

It works in languages without spaces too: links, mentions, case, digits, punctuation and emoji do
not count.

Shapes: `B` texts, `N` letters of all of them, `M` minima.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MINIMA: Final = 24
RUN: Final = 4
MIN_LETTERS: Final = 24
"""Shorter texts are not judged: many people say good morning without copying one another."""

MAX_CHARACTERS: Final = 2_000
"""Of a text; what comes after does not count."""

_NOISE: Final = re.compile(r"(?:https?://|\bwww\.)\S+|@\w[\w.@-]*|&\w+;|(?:[^\w@&]|[\d_])+|[@&]")
GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
MIX: Final = np.uint64(0xBF58476D1CE4E5B9)
_NEVER: Final = np.uint32(0xFFFFFFFF)

Signatures = NDArray[np.uint32]


def letters_of(text: str) -> str:
    """Return what of a text is compared.

    Example:
        >>> letters_of("RT @ann: Trains are LATE again!! https://t.co/x")
        'rttrainsarelateagain'
    """
    return _NOISE.sub("", text[:MAX_CHARACTERS].casefold())


def signatures(letters: Sequence[str]) -> Signatures:
    """Return the minima (B, M) of texts as `letters_of` leaves them, each of `RUN` letters or more.

    A text's minima depend on the text alone.
    """
    joined = "".join(letters).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(joined, np.uint32).astype(np.uint64)
    ends = np.cumsum(np.fromiter(map(len, letters), np.int64, len(letters)))
    starts = np.concatenate([[0], ends[:-1]])
    hashed = np.zeros(len(points), np.uint64)
    with np.errstate(over="ignore"):
        for shift in range(RUN):
            rolled = points[shift:] * (GOLDEN << np.uint64(5 * shift) | np.uint64(2 * shift + 1))
            hashed[: len(points) - shift] ^= rolled ^ (rolled >> np.uint64(29))
        hashed = (hashed ^ (hashed >> np.uint64(31))) * MIX
        minima = (hashed[None, :] * _factors()[:, None]) >> np.uint64(32)
    packed = minima.astype(np.uint32)
    # Runs that begin in one text and end in the next are nobody's.
    crossing = (ends[:, None] - np.arange(1, RUN)[None, :]).ravel()
    packed[:, crossing] = _NEVER
    found: Any = np.minimum.reduceat(packed, starts, axis=1)
    return np.ascontiguousarray(found.T)


def signature_of(text: str) -> Signatures | None:
    """Return the minima (M,) of one text; None of one that is too short to be anybody's copy."""
    letters = letters_of(text)
    return signatures([letters])[0] if len(letters) >= MIN_LETTERS else None


@cache
def _factors() -> NDArray[np.uint64]:
    return np.random.default_rng(19).integers(1, 2**63, MINIMA, dtype=np.uint64) * np.uint64(2) + 1
