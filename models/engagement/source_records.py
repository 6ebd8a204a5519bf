"""What is learnt of sources and queries, as it is kept; nothing of it is believed unread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np

from models.engagement.conformal import EPOCHS, Triple, are_factors, is_tracker
from models.engagement.hedge import is_hedge
from models.engagement.layout import RARITIES, TARGETS, UNKNOWN
from models.engagement.levels import REMEMBERED
from models.engagement.quality import QualityParts
from models.engagement.shrinkage import Learnt, Shrunk, are_shrunk
from models.engagement.together import are_posts

LAYOUT: Final = 2
"""Of a source. In layout 1 forecasts of known and of unknown authors shared their calibrators."""
QUERY_LAYOUT: Final = 1
MOST_SOURCES: Final = 255
MOST_QUERIES: Final = 4096
"""Of a partition; further ones have no number, and their posts are counted as such."""
MOST_TIME: Final = float(2**32)
"""No time is later; in seconds since 1970."""
SIDES: Final = 2 * len(TARGETS)
KINDS: Final = 2
"""Of forecasts: of posts of authors without a known outcome, and of those with one."""
_MOST_SETTLED: Final = 2**22
"""In no epoch do more posts settle in a partition."""
_MOST_LOG: Final = 100.0

_Log = Annotated[int, msgspec.Meta(ge=0, lt=UNKNOWN)]
_Settling = Annotated[int, msgspec.Meta(ge=0, le=_MOST_SETTLED)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Pair = tuple[float, float]


class Settled(msgspec.Struct, frozen=True, array_like=True):
    """A sampled post that is settled: its key, outcomes, and what was served of it, as logs."""

    key: Annotated[bytes, msgspec.Meta(min_length=12, max_length=12)]
    finals: Annotated[list[_Count | None], msgspec.Meta(min_length=3, max_length=3)]
    prior: Annotated[list[Triple], msgspec.Meta(min_length=3, max_length=3)]


class SourceRecord(msgspec.Struct, frozen=True, array_like=True):
    """A source as it is kept; see `models.engagement.sources.SourceState`."""

    layout: Annotated[int, msgspec.Meta(ge=1, le=LAYOUT)]
    number: Annotated[int, msgspec.Meta(ge=0, lt=MOST_SOURCES)]
    usual: Annotated[list[list[_Log]], msgspec.Meta(min_length=3, max_length=3)]
    singles_at: tuple[float, float, float]
    judged: Annotated[int, msgspec.Meta(ge=0, lt=len(TARGETS))]
    ever_known: tuple[bool, bool, bool]
    hedges: list[tuple[list[float], float]]
    trackers: list[tuple[Triple, Triple, int]]
    served: bytes
    quality: QualityParts
    to_learn: list[_Settling]
    to_settle: list[Settled]
    known_since_s: float = 0.0
    judged_since_s: _Pair = (0.0, 0.0)
    shrunk: list[tuple[list[Learnt], list[Shrunk]]] = []
    """None in records of before widths were shrunk: then they are as modelled."""
    ordinary: list[tuple[list[float], list[float]]] = []
    """None in records of before all counts were read together: nothing is known of it then."""


class QueryRecord(msgspec.Struct, frozen=True, array_like=True):
    """A query as it is kept; see `models.engagement.sources.QueryState`."""

    layout: Annotated[int, msgspec.Meta(ge=QUERY_LAYOUT, le=QUERY_LAYOUT)]
    number: Annotated[int, msgspec.Meta(ge=0, lt=MOST_QUERIES)]
    quality: QualityParts


def read_source(blob: bytes, clock_s: float) -> SourceRecord:
    """Return a source as it was kept, one of layout 1 in the form of the present one.

    Args:
        blob: The record.
        clock_s: The clock of the partition, in seconds since 1970; nothing was learnt later.

    Raises:
        ValueError: It is of another layout, or holds what was never written: the message says what.
    """
    record = msgspec.msgpack.decode(blob, type=SourceRecord)  # its errors are ValueErrors
    if record.layout == 1:
        record = _of_layout_1(record)
    wrong = _fault(record, clock_s)
    if wrong:
        raise ValueError(f"a source has {wrong}")
    return record


def _of_layout_1(record: SourceRecord) -> SourceRecord:
    """Return a source of layout 1: both kinds of forecasts begin with what all of them taught."""
    of_epoch = 2 * SIDES
    epochs = [record.served[at : at + of_epoch] for at in range(0, len(record.served), of_epoch)]
    return msgspec.structs.replace(
        record,
        layout=LAYOUT,
        trackers=record.trackers * KINDS,
        served=b"".join(epoch * KINDS for epoch in epochs),
        to_learn=[sum(record.to_learn), *([0] * (RARITIES - 1))],
        judged_since_s=(record.known_since_s, record.known_since_s),
    )


def _fault(record: SourceRecord, clock_s: float) -> str:
    """Return what is wrong with a source, "" for nothing; a NaN is never right."""
    served = record.served
    since = {
        "known_since_s": record.known_since_s,
        "judged_since_s of unknown authors": record.judged_since_s[0],
        "judged_since_s of known authors": record.judged_since_s[1],
    }
    for name, since_s in since.items():
        if since_s != math.inf and not 0 <= since_s <= clock_s:
            return f"{name} {since_s}, expected 0 to {clock_s:.0f}, or inf for not yet"
    if not all(0 <= at_s <= clock_s for at_s in record.singles_at):
        return f"singles_at {record.singles_at}, expected 0 to {clock_s:.0f}"
    faults = {
        "hedges": len(record.hedges) == KINDS and all(is_hedge(*one) for one in record.hedges),
        "calibrators": len(record.trackers) == KINDS * SIDES
        and all(is_tracker(*tracker) for tracker in record.trackers),
        "served widths": len(served) == 2 * EPOCHS * KINDS * SIDES
        and are_factors(np.frombuffer(served, "<u2")),
        "shrunk widths": len(record.shrunk) in (0, KINDS)
        and all(are_shrunk(*parts) for parts in record.shrunk),
        "ordinary posts": len(record.ordinary) in (0, KINDS)
        and all(are_posts(*parts) for parts in record.ordinary),
        "posts to be learnt from": len(record.to_learn) == RARITIES,
        "usual outcomes": all(len(values) <= REMEMBERED for values in record.usual),
        "forecasts of settled posts": all(
            _is_prior(triple) for settled in record.to_settle for triple in settled.prior
        ),
    }
    return next(
        (f"{name} that are none of its own" for name, good in faults.items() if not good), ""
    )


def _is_prior(logs: Sequence[float]) -> bool:
    low, middle, high = logs
    return 0 <= low <= middle <= high <= _MOST_LOG
