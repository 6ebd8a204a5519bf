"""Taking over what was kept of a partition, distrusting all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from core.forecast_settings import ForecastSettings
from models.engagement.exposure import Exposure
from models.engagement.observing import Observer
from models.engagement.pending import PendingPost
from models.engagement.source_records import MOST_TIME
from models.engagement.sources import Numbers, QueryState, SourceState
from models.engagement.taking_off import TakingOff
from models.engagement.telling import ALL, Teller
from models.engagement.top import TopPosts

Records = Mapping[str, Mapping[bytes, bytes]]
"""Kind of record -> field -> record, as they are kept."""
_Each = Callable[[str, Callable[[str, bytes], object]], None]
LAYOUT: Final = 1
CLOCK: Final = b"clock"
"""The field of the only record of the kind `partition`."""
_KINDS: Final = (
    "partition", "authors", "pending", "posts", "sources", "exposures", "queries", "top",
    "taking_off",
)  # fmt: skip


class KeptClock(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a partition as a whole; see `ForecastPartition` and `Forecaster`."""

    layout: Annotated[int, msgspec.Meta(ge=LAYOUT, le=LAYOUT)] = LAYOUT
    clock_s: Annotated[float, msgspec.Meta(ge=0, lt=2**32)] = 0.0
    epoch: int = 0
    divisor: Annotated[int, msgspec.Meta(ge=1)] = 1
    marks: dict[str, int] = {}

    @classmethod
    def of(cls, observer: Observer, epoch: int, marks: Mapping[str, int]) -> KeptClock:
        """Return what is to be kept."""
        return cls(LAYOUT, observer.clock_s, epoch, observer.divisor, dict(sorted(marks.items())))

    def to_blob(self) -> bytes:
        """Return it as bytes."""
        return msgspec.msgpack.encode(self)


@dataclass(slots=True)
class Loaded:
    """What was taken over.

    Attributes:
        clock: Of the partition as a whole.
        refused: Kind, field and what is wrong.
    """

    clock: KeptClock = field(default_factory=KeptClock)
    refused: list[tuple[str, bytes, str]] = field(default_factory=list[tuple[str, bytes, str]])


def load(
    records: Records,
    settings: ForecastSettings,
    numbers: Numbers,
    observer: Observer,
    teller: Teller,
) -> Loaded:
    """Take over what was kept into parts that are new; return what cannot be used."""
    loaded = Loaded()
    for kind in records:
        if kind not in _KINDS:
            loaded.refused += [(kind, key, "no kind of record") for key in records[kind]]

    def each(kind: str, take: Callable[[str, bytes], object]) -> None:
        for key, blob in sorted(records.get(kind, {}).items()):
            try:
                take(key.decode(), blob)
            except ValueError as error:
                loaded.refused.append((kind, key, str(error)))

    _load_clock(records, observer, loaded)
    clock_s = observer.clock_s or MOST_TIME

    def take_source(name: str, blob: bytes) -> None:
        numbers.add_source(SourceState.from_blob(name, blob, settings, clock_s))

    each("sources", take_source)
    _load_names(settings, numbers, teller, each)
    _load_posts(records, numbers, observer, teller, loaded)
    return loaded


def _load_names(settings: ForecastSettings, numbers: Numbers, teller: Teller, each: _Each) -> None:
    """Take over queries, and what stands by the names of sources and queries."""

    def take_exposure(name: str, blob: bytes) -> None:
        source = _of(numbers.sources, name, "source")
        source.exposure = Exposure.from_blob(blob, settings.horizon_s)

    def take_taking_off(name: str, blob: bytes) -> None:
        _known_query(numbers, name)
        teller.taking_off[name] = TakingOff.from_blob(blob, name, settings)

    def take_top(name: str, blob: bytes) -> None:
        _known_query(numbers, name)
        teller.tops[name] = TopPosts.from_blob(blob, settings.top_posts)

    each("queries", lambda name, b: numbers.add_query(QueryState.from_blob(name, b, settings)))
    each("exposures", take_exposure)
    each("taking_off", take_taking_off)
    each("top", take_top)


def _of(states: Mapping[str, SourceState], name: str, what: str) -> SourceState:
    if name not in states:
        raise ValueError(f"of no {what} that is kept")
    return states[name]


def _known_query(numbers: Numbers, name: str) -> None:
    if name != ALL and name not in numbers.queries:
        raise ValueError("of no query that is kept")


def _load_clock(records: Records, observer: Observer, loaded: Loaded) -> None:
    """Take over the clock; without one that can be used, that of the latest post."""
    for key, blob in sorted(records.get("partition", {}).items()):
        try:
            if key != CLOCK:
                raise ValueError(f"a field that there is not, expected {CLOCK.decode()}")
            loaded.clock = msgspec.msgpack.decode(blob, type=KeptClock)
        except ValueError as error:  # msgspec's errors are some
            loaded.refused.append(("partition", key, str(error)))
    observer.clock_s = loaded.clock.clock_s
    observer.divisor = loaded.clock.divisor


def _load_posts(
    records: Records, numbers: Numbers, observer: Observer, teller: Teller, loaded: Loaded
) -> None:
    """Take over authors, pending posts and their texts."""
    clock_s = observer.clock_s or MOST_TIME

    def fault(post: PendingPost) -> str:
        if post.source not in numbers.sources_by_number:
            return f"of source {post.source}, of which nothing is kept"
        if not all(number in numbers.queries_by_number for number in post.queries):
            return f"of queries {post.queries}, of one of which nothing is kept"
        return (
            ""
            if post.at <= math.ceil(clock_s)
            else f"posted at {post.at}, expected up to {clock_s:.0f}"
        )

    def refuse(kind: str, refused: list[tuple[bytes, str]]) -> None:
        loaded.refused += [(kind, key, why) for key, why in refused]

    authors = sorted(records.get("authors", {}).items())
    refuse("authors", observer.authors.load(authors, clock_s))
    pending = sorted(records.get("pending", {}).items())
    refuse("pending", observer.pending.load(pending, fault))
    named = sorted(records.get("posts", {}).items())
    refuse("posts", teller.names.load(named, observer.pending))
    for top in teller.tops.values():
        for key in top.all_keys():
            if observer.pending.find(key) is None:
                top.remove(key)
    if not observer.clock_s:
        observer.clock_s = max(observer.authors.latest(), observer.pending.latest())
        for source in numbers.sources.values():
            source.forget_after(observer.clock_s)
