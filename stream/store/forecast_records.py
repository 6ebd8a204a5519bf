"""What the forecaster keeps and finds, as values; `stream.store.forecast_state` keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream.store import keys

SEEN: Final = "seen:"
"""Before the name of a topic: the highest offset of it that a scored post was made from."""

Records = Mapping[str, Mapping[bytes, bytes | None]]
"""Kind -> field -> record; None deletes it."""


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """How far the topics of a partition were taken.

    Attributes:
        posts: The last offset of `scored-posts`, -1 before the first.
        events: The last offset of `post-events`, -1 before the first.
        seen: Topic -> the highest offset that a scored post was made from; others are repeats.
    """

    posts: int = -1
    events: int = -1
    seen: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class StoredForecasts:
    """What a forecaster finds when it takes a partition over.

    Attributes:
        upto: How far the topics were taken; None if that is lost while there are records.
        totals: Name -> running total.
        records: Kind -> field -> record.
        refused: Kind -> how much of it could not be read and was set aside.
    """

    upto: ReadUpTo | None = field(default_factory=ReadUpTo)
    totals: dict[str, int] = field(default_factory=dict[str, int])
    records: dict[str, dict[bytes, bytes]] = field(default_factory=dict[str, dict[bytes, bytes]])
    refused: dict[str, int] = field(default_factory=dict[str, int])

    def refuse(self, kind: str, count: int = 1) -> None:
        """Count what could not be read."""
        self.refused[kind] = self.refused.get(kind, 0) + count


@dataclass(frozen=True, slots=True)
class ForecastApply:
    """What is kept in one step.

    Attributes:
        expected: How far the topics must have been taken by what is stored.
        new: How far they are taken with this.
        token: A name of this apply, never used before.
        records: What is set and deleted.
        totals: Name -> what is added to a running total.
    """

    expected: ReadUpTo
    new: ReadUpTo
    token: str
    records: Records = field(default_factory=dict[str, Mapping[bytes, bytes | None]])
    totals: Mapping[str, int] = field(default_factory=dict[str, int])

    def arguments(self) -> list[Any]:
        """Return the arguments of `forecast.lua`."""
        listed: list[Any] = [
            self.expected.posts, self.expected.events, self.new.posts, self.new.events, self.token,
        ]  # fmt: skip
        listed.append(len(self.new.seen))
        for topic, offset in self.new.seen.items():
            listed.extend((f"{SEEN}{topic}", offset))
        totals = {name: number for name, number in self.totals.items() if number}
        listed.append(len(totals))
        for name, number in totals.items():
            listed.extend((name, number))
        for kind, records in self.records.items():
            for shard, fields in _by_shard(kind, records).items():
                kept = [(name, record) for name in fields if (record := records[name]) is not None]
                gone = [name for name in fields if records[name] is None]
                listed.extend((f"{kind}:{shard}", len(kept), len(gone)))
                for pair in kept:
                    listed.extend(pair)
                listed.extend(gone)
        return listed


def _by_shard(kind: str, fields: Iterable[bytes]) -> dict[int, list[bytes]]:
    shards: dict[int, list[bytes]] = {}
    count = keys.forecast_shards(kind)
    for name in fields:
        # The end: a post's field begins with its author's, and some have thousands of posts.
        shard = int.from_bytes(name[-2:], "big") % count if count > 1 else 0
        shards.setdefault(shard, []).append(name)
    return shards
