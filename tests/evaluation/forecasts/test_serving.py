"""Recorded posts are served in order of time, and judged as the partition itself judges them."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from evaluation.forecasts import serving
from evaluation.forecasts.assembling import judged_of, of_split, outcomes_of
from evaluation.forecasts.floors import FLOOR
from evaluation.forecasts.judging import SERVED, is_inside, skill
from evaluation.forecasts.serving import items_of, serve
from models.engagement.history import DAY_S
from models.engagement.items import CountsSeen, PostSeen
from models.engagement.layout import from_log16, to_log16
from tests.evaluation.forecasts.recorded import by_the_median, recorded

SETTINGS = ForecastSettings(ages_s=(), events_per_hour=0)


def test_counts_come_when_the_horizon_is_over_and_posts_in_order(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=3, posts=20)
    ones = np.ones(len(scored.posts))
    items = list(items_of(scored, scored.in_time(), DAY_S, ones))
    assert [item.at_s for item in items] == sorted(item.at_s for item in items)
    posted = {item.key: item.at_s for item in items if isinstance(item, PostSeen)}
    counts = [item for item in items if isinstance(item, CountsSeen)]
    assert len(posted) == len(counts) == len(scored.posts)
    assert all(item.at_s == posted[item.key] + DAY_S - 1 for item in counts)
    row = scored.in_time()[0]
    first = next(item for item in counts if item.post_id == scored.posts.post_ids[row])
    assert first.totals is not None
    kept = to_log16(np.log1p(np.array(first.totals, np.float64)))
    np.testing.assert_array_equal(kept, scored.posts.counts[row])


def test_posts_that_have_not_settled_come_without_counts(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=2, posts=5)
    scored.posts.counts[3] = 65_535
    items = items_of(scored, scored.in_time(), DAY_S, np.ones(10))
    assert scored.posts.post_ids[3] not in {i.post_id for i in items if isinstance(i, CountsSeen)}
