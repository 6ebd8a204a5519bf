"""What is kept of crowds, read again; what could not have been written is not believed."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from core.heads import SENTIMENT
from models.socialalign.crowd_start import CrowdStart
from models.socialalign.live import LiveCrowd, SourceCrowds
from models.socialalign.posterior import checked_shares

_MAX_AHEAD_S: Final = 60.0
"""The stream's time is never further ahead of the clock."""
Start = tuple[float, CrowdStart | None]
"""When an event began, and what was expected of it; None if that cannot be known any more."""


class _Sums(msgspec.Struct):
    """What was learnt of a source, as `SourceCrowds.sums` gives it."""

    usual: dict[str, list[float]]
    strength: list[float]
    scores: dict[str, float]
    events: tuple[float, float, float, float]
    model: dict[str, Any] | None = None


def read_upto(value: bytes, now_s: float) -> tuple[float, str]:
    """Return up to when events were learnt from, seconds since 1970, and the last of them.

    Raises:
        ValueError: It is no time, or one of the future.
    """
    upto = msgspec.json.decode(value, type=tuple[float, str])
    if upto[0] > now_s + _MAX_AHEAD_S:
        raise ValueError("learnt from events that are over in the future")
    return upto


def read_starts(value: bytes) -> dict[str, Start]:
    """Return how events began.

    Raises:
        ValueError: One of them cannot be read, or is of other labels.
    """
    starts = msgspec.json.decode(value, type=dict[str, Start])
    for _began_s, start in starts.values():
        if start is None:
            continue
        if len(start.forecast) != len(SENTIMENT) or len(start.average) != len(SENTIMENT):
            raise ValueError("a crowd's beginning is of other labels")
        LiveCrowd(start).posterior()
        checked_shares(start.average)
        _check_model(start)
    return starts


def _check_model(start: CrowdStart) -> None:
    """Refuse what a model cannot have said.

    Raises:
        ValueError: It is of other labels, or no shares; or nothing stands beside it.
    """
    if start.model is None:
        return
    for shares in (start.model.shares, start.model.usual):
        if len(shares) != len(SENTIMENT):
            raise ValueError("what a model says of a crowd is of other labels")
        checked_shares(shares)


def read_source(value: bytes) -> SourceCrowds:
    """Return what was learnt of a source.

    Raises:
        ValueError: It cannot be read.
        OverflowError: A number is larger than any.
    """
    sums = msgspec.json.decode(value, type=_Sums)
    source = SourceCrowds(len(SENTIMENT))
    source.restore(sums.usual, sums.strength, sums.scores, sums.events, sums.model)
    return source
