"""Windows of an invented crowd, for the tests of whoever judges windows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from core.schemas import MICRO, Stratum, Window

BEGIN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""A Monday."""


def make_window(
    minute: int, strata: Mapping[str, tuple[int, float]], *, query: str = "trains",
    revision: int = 0, authors: int | None = None, copies: int | None = None, seed: int = 0,
) -> Window:  # fmt: skip
    """Return the window of one minute after `BEGIN`.

    Args:
        minute: number of the pane.
        strata: stratum -> (posts, mean sentiment); a post's sentiment varies by 0.6 around it.
        query: of the window.
        revision: of the window.
        authors: unique authors; None means as many as posts.
        copies: posts that copy another; None leaves the counter out.
        seed: of the noise, together with the minute.
    """
    rng = np.random.default_rng((seed, minute))
    found = {name: _stratum(posts, mean, rng) for name, (posts, mean) in strata.items()}
    posts = sum(one.posts for one in found.values())
    counters = {
        "posts": posts,
        "rated": posts,
        "sentiment_sum": sum(one.sentiment_sum for one in found.values()),
        "sentiment_square": sum(one.sentiment_square for one in found.values()),
    }
    if copies is not None:
        counters["near_duplicates"] = copies
    start = BEGIN + timedelta(minutes=minute)
    return Window(
        query=query,
        start=start,
        end=start + timedelta(minutes=1),
        revision=revision,
        counters=counters,
        authors=posts if authors is None else authors,
        closed_at=start + timedelta(minutes=2),
        strata=found,
    )


def _stratum(posts: int, mean: float, rng: np.random.Generator) -> Stratum:
    scores = np.clip(mean + 0.6 * rng.standard_normal(posts), -1, 1)
    total, square = round(scores.sum() * MICRO), round((scores**2).sum() * MICRO)
    return Stratum(posts, posts, total, square)
