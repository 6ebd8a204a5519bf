"""Stand-ins for what is around a partition: plain forecasts, a model, a store, a topic."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.errors import (
    BrokerUnavailable,
    CursorConflict,
    ScorerRefused,
    ScorerUnavailable,
    StoreUnavailable,
)
from core.forecast_schemas import Forecast
from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.items import Item, Planned, PostGone, PostSeen, Told
from models.engagement.layout import LAYOUT, OUTCOMES, PENDING
from stream.store.forecast_records import ForecastApply, ReadUpTo, StoredForecasts
from testkit.builders import NOON

POISON = 666.0
"""A post with this length is refused by the model."""


class PlainForecasts:
    """The interface of `ForecastPartition` without forecasts: posts wait for an hour."""

    def __init__(self, settings: ForecastSettings) -> None:
        del settings
        self.counts: Counter[str] = Counter()
        self.divisor = 1
        self.clock_s = 0.0
        self.waiting: dict[bytes, float] = {}
        self.seen: list[Item] = []
        self._changed: dict[bytes, bytes | None] = {}
        self._planned: list[PostSeen] = []

    @property
    def pending(self) -> int:
        return len(self.waiting)

    @property
    def authors(self) -> int:
        return 0

    def load(self, records: Any) -> list[str]:
        self.waiting = {
            key: float(int.from_bytes(blob[1:9], "big"))
            for key, blob in records.get("pending", {}).items()
        }
        return []

    def take(self, items: Sequence[Item]) -> Planned:
        self._planned = []
        for item in items:
            self.seen.append(item)
            self._move(item.at_s)
            if isinstance(item, PostSeen):
                self._planned.append(item)
                self.waiting[item.key] = item.at_s
                at = int(item.at_s).to_bytes(8, "big")
                self._changed[item.key] = (bytes([LAYOUT]) + at).ljust(PENDING.itemsize, b"\0")
                self.counts["tracked"] += 1
            elif isinstance(item, PostGone) and self.waiting.pop(item.key, None) is not None:
                self._changed[item.key] = None
                self.counts["gone"] += 1
        features = np.array(
            [[item.shape[0], *[np.nan] * (len(FEATURES) - 1)] for item in self._planned], np.float32
        ).reshape(-1, len(FEATURES))
        sequence = np.full((len(features), OUTCOMES, len(SEQUENCE)), np.nan, np.float32)
        return Planned(len(items), features, sequence)

    def finish(self, planned: Planned, answer: EngagementAnswer | None) -> Told:
        assert (answer is None) == (planned.posts == 0)
        return Told([forecast_of(item) for item in self._planned])

    def tick(self, now_s: float) -> Told:
        self._move(now_s)
        return Told()

    def _move(self, at_s: float) -> None:
        self.clock_s = max(self.clock_s, at_s)
        for key in [key for key, at in self.waiting.items() if at + 3600 <= self.clock_s]:
            del self.waiting[key]
            self._changed[key] = None
            self.counts["settled"] += 1

    def changes(self) -> dict[str, dict[bytes, bytes | None]]:
        changed, self._changed = self._changed, {}
        return {"pending": changed} if changed else {}

    def quality(self) -> list[Any]:
        return []

    def queries(self) -> list[str]:
        return []


def forecast_of(item: PostSeen) -> Forecast:
    return Forecast(
        id=item.post_id, source=item.source, author=item.author, posted_at=NOON, made_at=NOON,
        horizon_s=3600, model_version="m",
    )  # fmt: skip


@dataclass(slots=True)
class FakeModel:
    """Satisfies `core.ports.EngagementModel`; refuses poison, or fails as often as told."""

    down: int = 0
    refuses_all: bool = False
    asked: list[int] = field(default_factory=list)

    async def predict(self, features: Any, sequence: Any) -> EngagementAnswer:
        assert sequence.shape[0] == len(features)
        self.asked.append(len(features))
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise ScorerUnavailable("told to be down")
        if self.refuses_all or (features[:, 0] == POISON).any():
            raise ScorerRefused("told to refuse")
        return EngagementAnswer("m", np.zeros((len(features), 3, 5), np.float32))

    async def is_ready(self) -> bool:
        return not self.down

    async def close(self) -> None:
        pass


@dataclass(slots=True)
class ListPublisher:
    """Keeps what is published, or fails as often as told."""

    down: int = 0
    ids: list[str] = field(default_factory=list)

    async def publish(self, told: Told) -> None:
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise BrokerUnavailable("told to be down")
        self.ids += [one.id for one in told.forecasts]


class MemoryState:
    """The forecasters' store in memory, of one partition.

    Attributes:
        down: So many calls fail before they do anything.
        loses_answers: So many applies are done and not answered.
    """

    def __init__(self) -> None:
        self.upto = ReadUpTo()
        self.token = ""
        self.records: dict[str, dict[bytes, bytes]] = {}
        self.totals: Counter[str] = Counter()
        self.applies: list[ForecastApply] = []
        self.down = 0
        self.loses_answers = 0

    async def apply(self, partition: int, what: ForecastApply) -> list[str]:
        await asyncio.sleep(0)
        self._fail()
        if what.token == self.token:
            return []
        stored, expected = self.upto, what.expected
        if (stored.posts, stored.events) != (expected.posts, expected.events):
            raise CursorConflict(partition, "scored-posts", expected.posts, stored.posts)
        self.applies.append(what)
        self.upto, self.token = replace(what.new), what.token
        for kind, fields in what.records.items():
            for name, record in fields.items():
                self.records.setdefault(kind, {})[name] = record or b""
                if record is None:
                    del self.records[kind][name]
        self.totals.update(what.totals)
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreUnavailable("done, and told to say nothing")
        return []

    async def load(self, partition: int, kinds: Iterable[str], wrong: Any) -> StoredForecasts:
        self._fail()
        records = {kind: dict(self.records.get(kind, {})) for kind in kinds}
        return StoredForecasts(self.upto, dict(self.totals), records)

    def _fail(self) -> None:
        if self.down:
            self.down -= 1
            raise StoreUnavailable("told to be down")
