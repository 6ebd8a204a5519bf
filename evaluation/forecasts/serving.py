"""Recorded posts through `ForecastPartition`, as the stream would have served them.

Posts come in order of time, each post's counts when its horizon is over; nothing is known earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidAnswer
from core.forecast_settings import ForecastSettings
from core.heads import HEADS
from core.ports import EngagementAnswer, EngagementModel
from core.schemas import MICRO
from models.engagement.features import HEADS_USED
from models.engagement.items import Counts, CountsSeen, Item, Planned, PostSeen, SourceQuality, Told
from models.engagement.layout import LEVELS, TARGETS, author_key, from_log16, post_key
from models.engagement.partition import ForecastPartition
from models.engagement.training.sets import EngagementSet

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Say = Callable[[str], object]

BATCH: Final = 2_048
"""Items in a batch; the figures are the same with any."""


class Ask(Protocol):
    """What answers for posts of a set."""

    def __call__(
        self, rows: Rows, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """Return what is expected of the posts in `rows` of the set, in their order."""
        ...


def ask_of(model: EngagementModel) -> Ask:
    """Return a model as what answers for any post."""

    def ask(
        rows: Rows, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        return asyncio.run(once(features, sequence))

    async def once(
        features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        return await model.predict(features, sequence)

    return ask


@dataclass(frozen=True, slots=True)
class Scored:
    """The posts of a set with what the post encoder says of them.

    Attributes:
        posts: The posts.
        heads: (N, H) probabilities of `HEADS_USED`, one head after the other; NaN is unknown.
        rated: (N,) whether the encoder rated them.
        source: The source that they are taken to come from.
    """

    posts: EngagementSet
    heads: NDArray[np.float32]
    rated: NDArray[np.bool_]
    source: str

    def in_time(self) -> Rows:
        """Return the rows of all posts in order of time."""
        return np.argsort(self.posts.at_s, kind="stable")


@dataclass(frozen=True, slots=True)
class Served:
    """What was said of each post as it came.

    Attributes:
        served: (N, 3, 5) the quantiles that were served, as logs; NaN where none were.
        model: (N, 3, 5) those of the model alone.
        quality: What the partition itself says they were worth, at the end.
        counts: What it dropped, refused or guessed, by name.
        versions: The versions of the models that answered.
    """

    served: Floats
    model: Floats
    quality: Sequence[SourceQuality]
    counts: dict[str, int]
    versions: tuple[str, ...]


def items_of(scored: Scored, rows: Rows, horizon_s: float, factors: Floats) -> Iterator[Item]:
    """Yield posts, given in order of time, and their counts as they become known.

    Args:
        scored: The posts of the set.
        rows: The rows of the posts.
        horizon_s: The horizon; counts come in its last second.
        factors: (N,) what every count of a post is multiplied with.
    """
    posts = scored.posts
    due = 0
    last_s = horizon_s - 1
    for row in rows.tolist():
        while due < len(rows) and posts.at_s[rows[due]] + last_s < posts.at_s[row]:
            yield from _counts(scored, int(rows[due]), last_s, float(factors[rows[due]]))
            due += 1
        yield _post(scored, row)
    for row in rows[due:].tolist():
        yield from _counts(scored, row, last_s, float(factors[row]))


def _post(scored: Scored, row: int) -> PostSeen:
    posts = scored.posts
    author = posts.authors[posts.author[row]]
    heads: dict[str, Sequence[int]] = {}
    start = 0
    for head in HEADS_USED:
        end = start + len(HEADS[head])
        values = scored.heads[row, start:end]
        if not np.isnan(values).any():
            heads[head] = np.rint(values.astype(np.float64) * MICRO).astype(np.int64).tolist()
        start = end
    return PostSeen(
        key=_key(scored, row), post_id=str(posts.post_ids[row]), source=scored.source,
        author=author, at_s=float(posts.at_s[row]), shape=posts.shapes[row].astype(int).tolist(),
        heads=heads, rated=bool(scored.rated[row]),
    )  # fmt: skip


def counts_of(posts: EngagementSet, row: int) -> Counts:
    """Return the counts of a post as a set keeps them.

    In logs of 16 bits, so that those above 3,000 differ a little from what the platform said.
    """
    logs = from_log16(posts.counts[row]).astype(np.float64)
    likes, replies, reposts = (
        None if np.isnan(log) else round(float(np.expm1(log))) for log in logs
    )
    return likes, replies, reposts


def _counts(scored: Scored, row: int, age_s: float, factor: float) -> Iterator[CountsSeen]:
    posts = scored.posts
    known = counts_of(posts, row)
    if known == (None, None, None):
        return
    likes, replies, reposts = (None if count is None else round(count * factor) for count in known)
    yield CountsSeen(
        key=_key(scored, row), post_id=str(posts.post_ids[row]), source=scored.source,
        author=posts.authors[posts.author[row]], at_s=float(posts.at_s[row]) + age_s,
        totals=(likes, replies, reposts),
    )  # fmt: skip


def _key(scored: Scored, row: int) -> bytes:
    posts = scored.posts
    author = author_key(scored.source, posts.authors[posts.author[row]])
    return post_key(author, str(posts.post_ids[row]))


def serve(
    scored: Scored,
    ask: Ask,
    settings: ForecastSettings,
    *,
    rows: Rows | None = None,
    factors: Floats | None = None,
    settle_rest: bool = True,
    say: Say = lambda _: None,
) -> Served:
    """Serve posts of a set in order of time, by a partition that knows nothing at first.

    Args:
        scored: The posts of the set.
        ask: The model.
        settings: The settings of the forecaster; every post must be tracked.
        rows: The posts that come, in order of time; else all.
        factors: (N,) what the counts of a post are multiplied with; else 1.
        settle_rest: Whether time goes on after the last count, until all posts have settled. On a
            stream it does not: the last count is within its horizon, which nothing ends.
        say: Told how far it is.

    Raises:
        InvalidAnswer: The partition asked about other posts than it was given, or told nothing of
            one.
    """
    chosen = scored.in_time() if rows is None else rows
    run = _Run(scored, ask, settings)
    times = np.ones(len(scored.posts)) if factors is None else factors
    items = items_of(scored, chosen, settings.horizon_s, times)
    for step, batch in enumerate(iter(lambda: list(islice(items, BATCH)), [])):
        run.take(batch)
        if step % 16 == 15:
            say(f"{scored.posts.name}: {run.posts} of {len(chosen)} posts served\n")
    if settle_rest:
        last_s = float(scored.posts.at_s[chosen].max(initial=0)) + settings.horizon_s + 1
        run.told(run.partition.tick(last_s))
    return run.finish(chosen)


class _Run:
    """One set on its way through a partition."""

    def __init__(self, scored: Scored, ask: Ask, settings: ForecastSettings) -> None:
        self.partition = ForecastPartition(settings)
        self.posts = 0
        self._ask = ask
        self._name = scored.posts.name
        names, ids = scored.posts.authors, scored.posts.post_ids.tolist()
        self._rows = {
            (names[author], post_id): row
            for row, (author, post_id) in enumerate(zip(scored.posts.author, ids, strict=True))
        }
        shape = (len(scored.posts), len(TARGETS), len(LEVELS))
        self._served, self._model = np.full(shape, np.nan), np.full(shape, np.nan)
        self._versions: dict[str, None] = {}

    def take(self, items: Sequence[Item]) -> None:
        """Take a batch of items and all that comes of it."""
        rows = np.array(
            [self._rows[item.author, item.post_id] for item in items if isinstance(item, PostSeen)],
            np.intp,
        )
        planned = self.partition.take(items)
        if planned.posts != len(rows) or planned.taken != len(items):
            raise InvalidAnswer(
                f"{self._name}: of {len(rows)} posts the partition asks about {planned.posts}: "
                f"{dict(self.partition.counts)}"
            )
        answer = self._answered(planned, rows)
        self.told(self.partition.finish(planned, answer))
        self.partition.changes()  # nobody keeps them here, and they would pile up
        self.posts += len(rows)

    def _answered(self, planned: Planned, rows: Rows) -> EngagementAnswer | None:
        if not len(rows):
            return None
        answer = self._ask(rows, planned.features, planned.sequence)
        self._model[rows] = answer.quantiles
        self._versions[answer.model_version] = None
        return answer

    def told(self, told: Told) -> None:
        """Keep the first forecast of every post."""
        for forecast in told.forecasts:
            if forecast.settled or forecast.made_at != forecast.posted_at:
                continue
            row = self._rows[forecast.author, forecast.id]
            for target, expected in enumerate(_expected(forecast)):
                if expected:
                    self._served[row, target] = np.log1p(expected)

    def finish(self, rows: Rows) -> Served:
        """Return what was said of the posts."""
        silent = int(np.isnan(self._served[rows]).all(axis=(1, 2)).sum())
        if silent:
            raise InvalidAnswer(f"{self._name}: nothing was forecast of {silent} posts")
        return Served(
            self._served, self._model, self.partition.quality(), dict(self.partition.counts),
            tuple(self._versions),
        )  # fmt: skip


def _expected(forecast: Any) -> tuple[Sequence[float], ...]:
    return tuple(getattr(forecast, target) for target in TARGETS)
