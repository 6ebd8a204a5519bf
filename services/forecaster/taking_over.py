"""What a forecaster finds when it is given a partition, and where it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.forecast_settings import ForecastSettings
from core.logs import get_logger
from core.metrics import Metrics
from models.engagement.layout import HISTORY, LAYOUT, PENDING
from models.engagement.partition import ForecastPartition
from stream.store.forecast_records import ReadUpTo, StoredForecasts
from stream.store.forecast_state import ForecastState
from stream.topics import POST_EVENTS, SCORED_POSTS

_log = get_logger(__name__)

Bounds = Mapping[str, tuple[int, int]]
"""Topic -> the first offset that is there, and the one after the last."""
MakeForecasts = Callable[[ForecastSettings], ForecastPartition]

KINDS = (
    "authors", "pending", "posts", "sources", "exposures", "queries", "top", "taking_off",
    "partition",
)  # fmt: skip
"""What `ForecastPartition` keeps."""
AUTHORS, PENDING_POSTS = "authors", "pending"
_SIZES = {AUTHORS: (8, HISTORY.itemsize), PENDING_POSTS: (12, PENDING.itemsize)}

TRACKED, LOST = "tracked", "lost"
_ENDED = ("settled", "gone", LOST)
"""What may become of a tracked post, beside waiting."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A partition as it is taken over.

    Attributes:
        forecasts: What is known of it.
        stored: How far its topics were taken by what is stored, with which the store compares.
        upto: How far they are to be taken as read; beyond it where a topic no longer has more.
        totals: Its running totals.
        corrections: What is to be added to them, so that they add up.
    """

    forecasts: ForecastPartition
    stored: ReadUpTo
    upto: ReadUpTo
    totals: Mapping[str, int] = field(default_factory=dict[str, int])
    corrections: Mapping[str, int] = field(default_factory=dict[str, int])


async def take_over(
    number: int,
    bounds: Bounds,
    settings: ForecastSettings,
    state: ForecastState,
    metrics: Metrics,
    make: MakeForecasts,
) -> TakenOver:
    """Read all that is kept of a partition.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    found = await state.load(number, KINDS, wrong_record)
    forecasts = make(settings)
    for why in forecasts.load(found.records):
        _log.error("a stored record of forecasts cannot be used", partition=number, reason=why)
        found.refuse(why.partition(" ")[0])
    for kind, count in found.refused.items():
        metrics.forecast_state_refused.labels(kind=kind).inc(count)
    upto = _within(number, found.upto, bounds, metrics)
    corrections = _corrections(number, found, forecasts.pending)
    return TakenOver(forecasts, found.upto or ReadUpTo(), upto, found.totals, corrections)


def wrong_record(kind: str, name: bytes, record: bytes) -> str:
    """Return what is wrong with a stored record, "" if nothing is that its size would show."""
    if kind not in _SIZES:
        return ""
    of_name, of_record = _SIZES[kind]
    more = len(record) - of_record
    if len(name) != of_name:
        return f"a field of {len(name)} bytes, expected {of_name}"
    if more < 0 or more % 2 or (more and kind == AUTHORS):
        return f"{len(record)} bytes, expected {of_record}"
    if record[0] != LAYOUT:
        return f"layout {record[0]}, expected {LAYOUT}"
    return ""


def _within(number: int, upto: ReadUpTo | None, bounds: Bounds, metrics: Metrics) -> ReadUpTo:
    """Return where reading goes on, which is where a topic has records."""
    ends = {topic: end for topic, (_, end) in bounds.items()}
    if upto is None:
        _log.error(
            "how far a partition was forecast is lost; it goes on from the end", partition=number
        )
        for topic in bounds:
            metrics.forecaster_offset_gap_records.labels(topic, str(number)).inc()
        return ReadUpTo(ends[SCORED_POSTS] - 1, ends[POST_EVENTS] - 1)
    posts = _next(number, SCORED_POSTS, upto.posts + 1, bounds, metrics)
    events = _next(number, POST_EVENTS, upto.events + 1, bounds, metrics)
    is_new = upto.posts + 1 > ends[SCORED_POSTS]
    return ReadUpTo(posts - 1, events - 1, {} if is_new else upto.seen)


def _next(number: int, topic: str, offset: int, bounds: Bounds, metrics: Metrics) -> int:
    first, end = bounds[topic]
    if first <= offset <= end:
        return offset
    if offset > end:
        _log.error("a topic was made anew; it is read from its beginning", topic=topic,
                   partition=number, expected=offset, found=end)  # fmt: skip
    else:
        _log.error("a topic no longer has what was not forecast yet", topic=topic,
                   partition=number, expected=offset, found=first)  # fmt: skip
    lost = max(1, first - offset)
    metrics.forecaster_offset_gap_records.labels(topic, str(number)).inc(lost)
    return first


def _corrections(number: int, found: StoredForecasts, pending: int) -> dict[str, int]:
    """Return what makes tracked = waiting + settled + gone + lost, said if it is much."""
    missing = found.totals.get(TRACKED, 0) - sum(found.totals.get(n, 0) for n in _ENDED) - pending
    if not missing:
        return {}
    _log.error("posts that wait for their outcome do not add up", partition=number, missing=missing)
    return {LOST: missing} if missing > 0 else {TRACKED: -missing}
