"""A shift in one or two plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.schemas import Term
from stream.shifts.kinds import NAMED
from stream.shifts.signals import ShiftSignal

NEW_TERMS: Final = " New in what they say: "
"""Before words of posts, which not everybody may see."""


def without_terms(said: str) -> str:
    """Return a sentence without words of posts.

    Example:
        >>> without_terms("Posts are up. New in what they say: strike, ana")
        'Posts are up.'
    """
    return said.partition(NEW_TERMS)[0]


def sentence(signal: ShiftSignal, terms: Sequence[Term] = ()) -> str:
    """Return what happened, how much, how sure, and who moved it.

    Example:
        >>> from core.schemas import Interval
        >>> signal = ShiftSignal(
        ...     alert_id="a", query="trains", kind="volume", state="firing", direction="up",
        ...     severity=5, started_s=0, fired_s=180, decided_s=180, evidence=14.0, threshold=12.0,
        ...     before=Interval(50, 50, 50), after=Interval(150, 130, 170),
        ...     change=Interval(3.0, 2.6, 3.4), posts=450,
        ... )
        >>> sentence(signal)
        'People post about trains 3.0 times as much as usual: 150 posts a pane instead of 50.'
    """
    kind = NAMED[signal.kind]
    if signal.state == "resolved":
        return f"The shift of {kind.noun} about {signal.query} is over: {_why(signal)}."
    text = kind.sentence(signal)
    came = [term.term for term in terms if term.weight > 0][:4]
    return f"{text}{NEW_TERMS}{', '.join(came)}." if came else text


def _why(signal: ShiftSignal) -> str:
    minutes = max(1, round((signal.ended_s - signal.started_s) / 60))
    return {
        "accepted": "it has lasted and counts as the new normal",
        "corrected": "late posts took the evidence away",
        "reset": "another model scores now",
    }.get(signal.ended_as, f"it is as before, after {minutes} minutes")
