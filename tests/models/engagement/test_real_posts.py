"""The forecasts of one real account in time order: the hedge is safe, and the intervals hold."""

import csv
import gzip
import os
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from core.shape import shape_of
from models.engagement.features import BASES
from models.engagement.items import CountsSeen, Item, PostSeen
from models.engagement.layout import author_key, post_key
from models.engagement.partition import ForecastPartition

REPOSITORY = Path(__file__).parents[3]
POSTS = 2_000


def real_items(horizon_s: int) -> list[Item]:
    """Return posts, and the counts of each one horizon after it."""
    data = Path(os.environ.get("GROUNDSWELL_DATA", REPOSITORY.parent / "shared" / "data"))
    file = data / "engagement_musk" / "posts.csv.gz"
    assert file.is_file(), f"no posts at {file}: set GROUNDSWELL_DATA"
    items: list[Item] = []
    with gzip.open(file, "rt", newline="", encoding="utf-8") as lines:
        for row in islice(csv.DictReader(lines), POSTS):
            source, author, post_id = row["source"], row["author"], row["post_id"]
            at_s = datetime.fromisoformat(row["created_at"]).timestamp()
            key = post_key(author_key(source, author), post_id)
            shape = shape_of(row["text"])
            items.append(PostSeen(key, post_id, source, author, at_s, shape))
            totals = tuple(int(row[name]) if row[name] else None for name in ("likes", "replies"))
            three = (*totals, int(row["reposts"]) if row["reposts"] else None)
            items.append(CountsSeen(key, post_id, source, author, at_s + horizon_s, three))
    return sorted(items, key=lambda item: (item.at_s, isinstance(item, PostSeen)))


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return real_items(ForecastSettings().horizon_s)


@pytest.mark.parametrize("too_high", [0.0, 2.0])
def test_whatever_the_model_says_the_hedge_is_safe_and_intervals_hold(
    items: list[Item], too_high: float
) -> None:
    partition = ForecastPartition(ForecastSettings())
    widths = np.array([-0.8, -0.4, 0, 0.4, 0.8], np.float32)
    for start in range(0, len(items), 256):
        planned = partition.take(items[start : start + 256])
        expected = planned.features[:, list(BASES), None] + np.float32(too_high) + widths
        partition.finish(planned, EngagementAnswer("plain", np.maximum(expected, 0)))
    partition.tick(items[-1].at_s)
    qualities = partition.quality()
    assert sum(quality.total.outcomes for quality in qualities) > 0.99 * POSTS
    largest = max(qualities, key=lambda quality: quality.total.outcomes)
    assert largest.total.skill is not None
    assert largest.total.skill > -0.005
    assert largest.total.coverage is not None
    assert 0.70 < largest.total.coverage < 0.85  # from the first outcome on, in years of growth
