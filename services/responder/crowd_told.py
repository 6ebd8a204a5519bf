"""What a response tells of a crowd."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Final

from core.heads import SENTIMENT
from core.response_schemas import ResponseCrowd
from models.socialalign.live import LiveCrowd

_DIGITS: Final = 6


def crowd_of(crowd: LiveCrowd | None) -> ResponseCrowd | None:
    """Return what is told of a crowd, None where nothing is known."""
    if crowd is None:
        return None
    now, (evidence, since) = crowd.posterior(), crowd.turn()
    return ResponseCrowd(
        topic=crowd.start.topic, expected=_rounded(now.forecast), greyed=crowd.start.is_greyed,
        observed=(crowd.counts[0], crowd.counts[1], crowd.counts[2]),
        left_out=len(crowd.left_out), posterior=_rounded(now.shares()),
        strength=round(now.strength, _DIGITS),
        turn_evidence=round(evidence, _DIGITS) if isfinite(evidence) else None, turn_since=since,
    )  # fmt: skip


def _rounded(shares: Iterable[float]) -> tuple[float, float, float]:
    negative, neutral, positive = (round(float(share), _DIGITS) for share in shares)
    return negative, neutral, positive


def in_words(crowd: ResponseCrowd) -> str:
    """Return what is told of a crowd as a sentence for people."""
    answers = sum(crowd.observed)
    expected = f"expected {_percent(crowd.expected)}"
    if crowd.greyed:
        expected += " (not known to beat the average of all topics)"
    if not answers:
        seen = "no answer is rated yet"
    else:
        shares = [count / answers for count in crowd.observed]
        seen = f"of {answers} answers {_percent(shares)}; of the next {_percent(crowd.posterior)}"
    left_out = f"; {crowd.left_out} left out" if crowd.left_out else ""
    return f"crowd: {expected}; {seen}{left_out}"


def _percent(shares: Iterable[float]) -> str:
    named = zip(SENTIMENT, shares, strict=True)
    return ", ".join(f"{label} {100 * share:.0f} %" for label, share in named)
