"""What one batch adds to the state of a partition, in the form that `apply.lua` takes.

Plain values only: the pipeline builds it, the store sends it, and the tests apply it a second time
in plain Python for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from core.settings import WindowSettings, WorkerSettings
from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS
from stream.store.quarantine import MOST
from stream.windows.records import QueryIncrement

_INT: Final = frozenset({int})
_encoder: Final = msgspec.msgpack.Encoder()

DELETED: Final = b""
"""The blob of an operation that deletes."""


class CountedPost(msgspec.Struct, frozen=True, array_like=True):
    """A post as it was counted: what it added to its panes, kept so that it can be taken back.

    Attributes:
        start_s: The start of its pane, seconds since 1970.
        stratum: Its stratum.
        counters: Its counter array (`stream.windows.layout.COUNTERS`).
        queries: The names of the queries it was counted under.
    """

    start_s: int
    stratum: str
    counters: list[int]
    queries: list[str]

    def packed(self) -> bytes:
        """Return the msgpack bytes that the store keeps."""
        return _encoder.encode(self)


@dataclass(frozen=True, slots=True)
class Horizons:
    """How long the store remembers, in seconds of event time.

    Attributes:
        pane_s: The length of a pane.
        retention_s: Panes exist and may change for so long after their end.
        kept_horizon_s: Contributions are kept for so long.
        seen_horizon_s: Post ids are kept for so long.
    """

    pane_s: int
    retention_s: int
    kept_horizon_s: int
    seen_horizon_s: int

    @classmethod
    def of(cls, windows: WindowSettings, worker: WorkerSettings) -> Horizons:
        """Return the horizons that the settings ask for."""
        return cls(
            pane_s=windows.pane_s,
            retention_s=windows.retention_s,
            kept_horizon_s=windows.correction_horizon_s,
            seen_horizon_s=worker.dedupe_horizon_s,
        )


@dataclass(slots=True)
class ApplyBatch:
    """One apply: the cursor to compare, the cursor to set, and everything in between.

    Attributes:
        topic: The topic, `posts` or `post-events`.
        expected: The cursor that must be stored for the batch to be applied.
        new: The cursor afterwards: the offset of the last record of the batch.
        watermark_ms: The watermark after the batch, ms since 1970; -1 leaves the stored one.
        told_ms: The latest ingest time of its events, ms since 1970; -1 if it has none.
        panes: Start (s) -> increments by query.
        seen: By (hour, shard) the ids as decimal strings.
        kept: Shard -> alternating id hash and packed contribution.
        operations: Pairs of (id hash, packed contribution or `DELETED`), in the order they came.
        totals: Field -> increment of the partition's running totals.
        released: Entries of the quarantine (name, value) that the batch repairs. Such a batch
            moves no cursor, and is applied only if the entries are still as they were read.
    """

    topic: str
    expected: int
    new: int
    watermark_ms: int = -1
    panes: dict[int, list[QueryIncrement]] = field(default_factory=dict[int, list[QueryIncrement]])
    seen: dict[tuple[int, int], list[str]] = field(default_factory=dict[tuple[int, int], list[str]])
    kept: dict[int, list[bytes]] = field(default_factory=dict[int, list[bytes]])
    operations: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    totals: dict[str, int] = field(default_factory=dict[str, int])
    told_ms: int = -1
    released: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    def arguments(self, horizons: Horizons, now_ms: int) -> list[bytes]:
        """Return the arguments of `apply.lua`.

        Args:
            horizons: How long the store remembers.
            now_ms: Present time, ms since 1970; a stored time far beyond it cannot be read.

        Raises:
            ValueError: A number is no integer within 2^53; the message says which and what it is.
        """
        self._check()
        message: dict[str, Any] = {
            "topic": self.topic,
            "expected": self.expected,
            "new": self.new,
            "watermark": self.watermark_ms,
            "told": self.told_ms,
            "panes": [[start, increments] for start, increments in self.panes.items()],
            "seen": [[hour, shard, *ids] for (hour, shard), ids in self.seen.items()],
            "kept": [[shard, len(pairs) // 2] for shard, pairs in self.kept.items()],
            "operations": len(self.operations),
            "totals": self.totals,
            "released": len(self.released),
            "now": now_ms,
            "pane_s": horizons.pane_s,
            "retention_s": horizons.retention_s,
            "kept_horizon_s": horizons.kept_horizon_s,
            "seen_horizon_s": horizons.seen_horizon_s,
            "kept_shards": KEPT_SHARDS,
            "seen_shards": SEEN_SHARDS,
        }
        arguments = [_encoder.encode(message)]
        for pairs in self.kept.values():
            arguments.extend(pairs)
        for operation in self.operations:
            arguments.extend(operation)
        for entry in self.released:
            arguments.extend(entry)
        return arguments

    def _check(self) -> None:
        for name in ("expected", "new", "watermark_ms", "told_ms"):
            _check_integers(name, (getattr(self, name),))
        _check_integers("a total", tuple(self.totals.values()))
        for start_s, increments in self.panes.items():
            for query, counters, strata, _ in increments:
                if _are_integers(counters) and all(map(_are_integers, strata.values())):
                    continue
                _check_integers(f"pane {start_s} of {query}, counter", counters)
                for name, values in strata.items():
                    _check_integers(f"pane {start_s} of {query}, stratum {name}, counter", values)


def _are_integers(values: Sequence[int]) -> bool:
    return set(map(type, values)) <= _INT and (
        not values or (max(values) <= MOST and min(values) >= -MOST)
    )


def _check_integers(where: str, values: Sequence[int]) -> None:
    for number, value in enumerate(values, start=1):
        if not _are_integers((value,)):
            raise ValueError(f"{where} {number} is {value!r}")


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What the store knows of a partition when its owner arrives.

    Attributes:
        cursors: Topic -> last applied offset, -1 before the first.
        watermark_ms: The watermark, ms since 1970; -1 before the first post.
        closed_s: Panes that start before this are closed; -1 before the first.
        totals: The running totals: counted, removed, edited, dead per topic, events.
        forgotten_s: The latest start that retention removed here; -1 before the first. At or before
            it the sum over partitions is no longer whole.
    """

    cursors: dict[str, int]
    watermark_ms: int
    closed_s: int
    totals: dict[str, int]
    forgotten_s: int = -1

    @property
    def exists(self) -> bool:
        """Whether anything was ever applied to the partition."""
        return any(cursor >= 0 for cursor in self.cursors.values())


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply changed beyond adding.

    Attributes:
        removed, edited: Contributions removed and replaced.
        aside: Names in the quarantine of what could not be read and was set aside.
        expired: Entries of the quarantine that retention took before they were repaired.
    """

    removed: int
    edited: int
    aside: tuple[str, ...] = ()
    expired: int = 0
