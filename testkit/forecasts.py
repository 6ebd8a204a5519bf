"""Posts and counts of a small made-up world, a plain model and a store, to try forecasts on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from models.engagement.features import BASES
from models.engagement.items import CountsSeen, Item, PostGone, PostSeen, Told
from models.engagement.layout import author_key, post_key
from models.engagement.partition import Changes, ForecastPartition

START_S = 1_700_000_000
HORIZON_S = 7_200
"""Short, so that a few hundred posts live through everything."""
_WIDTHS = np.array([-1.5, -0.7, 0.0, 0.7, 1.5], np.float32)


def settings(**changed: object) -> ForecastSettings:
    """Return settings of a small world."""
    small: dict[str, object] = {
        "horizon_s": HORIZON_S,
        "ages_s": (300, 1_800),
        "quality_outcomes": 50,
        "top_posts": 3,
        "least_engagements": 5,
        "surprise": 0.05,
        "events_per_hour": 3,
    }
    return ForecastSettings(**{**small, **changed})  # type: ignore[arg-type]


def post(
    name: str,
    at_s: float,
    *,
    author: str = "ann",
    source: str = "totals",
    queries: tuple[str, ...] = (),
    reply: int = 0,
) -> PostSeen:
    """Return a post of an author, at a time after the start."""
    shape = (40, 0, 0, 0, 0, 0, 0, reply)
    key = post_key(author_key(source, author), name)
    return PostSeen(key, name, source, author, START_S + at_s, shape, {}, True, queries)


def counts(of: PostSeen, at_s: float, *totals: int | None, single: int = -1) -> CountsSeen:
    """Return totals of a post, or a single like, reply or repost, at a time after the start."""
    three = (totals[0], totals[1], totals[2]) if totals else None
    return CountsSeen(of.key, of.post_id, of.source, of.author, START_S + at_s, three, single)


def gone(of: PostSeen, at_s: float) -> PostGone:
    """Return the deletion of a post, at a time after the start."""
    return PostGone(of.key, START_S + at_s)


def world(seed: int, posts: int = 120) -> list[Item]:
    """Return posts and what happens to them, in order of time but for a few that are late.

    One source tells totals, one single likes; some posts are deleted, some go far, of some nothing
    is ever heard.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, Item]] = []
    at_s = 0.0
    for number in range(posts):
        at_s += float(rng.exponential(240))
        who, source = f"author{rng.integers(6)}", ("totals", "singles")[int(rng.integers(2))]
        queries = ((), ("trains",), ("trains", "buses"))[int(rng.integers(3))]
        new = post(
            str(number), at_s - 400 * (rng.random() < 0.05), author=who, source=source,
            queries=queries, reply=int(rng.integers(2)),
        )  # fmt: skip
        found.append((at_s, new))
        found += _life(rng, new, at_s)
    found.sort(key=lambda timed: timed[0])
    return [item for _, item in found]


def _life(rng: np.random.Generator, of: PostSeen, at_s: float) -> Iterator[tuple[float, Item]]:
    final = int(rng.poisson(rng.gamma(2, 4))) * (20 if rng.random() < 0.05 else 1)
    if rng.random() < 0.1:
        return
    if rng.random() < 0.05:
        yield at_s + 900, gone(of, at_s + 900)
    ages = np.sort(rng.uniform(0, 1, final) ** 3) * (HORIZON_S + 600)
    if of.source == "singles":
        for age in ages.tolist():
            yield at_s + age, counts(of, at_s + age, single=int(rng.integers(3)))
        return
    for age in (60.0, 240.0, 900.0, 3_600.0, float(HORIZON_S)):
        likes = int((ages <= age).sum())
        yield at_s + age, counts(of, at_s + age, likes, None, likes // 3)


def answer(features: np.ndarray) -> EngagementAnswer:
    """Return what a plain model expects: the author's median, and the same width of everybody."""
    bases = features[:, list(BASES)]
    return EngagementAnswer("plain", np.maximum(bases[:, :, None] + _WIDTHS, 0))


class ForecastStore:
    """What a partition's state is kept in, and a partition on it."""

    def __init__(self, of: ForecastSettings, most_due: int | None = None) -> None:
        self.records: dict[str, dict[bytes, bytes]] = {}
        self.refused: list[str] = []
        self._make = partial(ForecastPartition, of, most_due)
        self.partition = self._make()
        self.told = Told()

    def run(self, items: Sequence[Item], batch: int = 0) -> ForecastStore:
        """Take items in batches of a size, or all at once, and keep what has changed."""
        size = batch or max(1, len(items))
        start = 0
        while start < len(items):
            planned = self.partition.take(items[start : start + size])
            self._note(self.partition.finish(planned, answer(planned.features)))
            start += planned.taken
        return self

    def tick(self, at_s: float) -> ForecastStore:
        """Let time pass until a time after the start."""
        self._note(self.partition.tick(START_S + at_s))
        return self

    def reload(self) -> ForecastStore:
        """Begin anew from what is kept."""
        self.partition = self._make()
        self.refused = self.partition.load(self.records)
        return self

    def keep(self) -> Changes:
        """Keep what has changed and return it."""
        changes = self.partition.changes()
        for kind, records in changes.items():
            kept = self.records.setdefault(kind, {})
            for key, record in records.items():
                if record is None:
                    kept.pop(key, None)
                else:
                    kept[key] = record
        return changes

    def _note(self, told: Told) -> None:
        self.told.forecasts.extend(told.forecasts)
        self.told.events.extend(told.events)
        self.keep()
