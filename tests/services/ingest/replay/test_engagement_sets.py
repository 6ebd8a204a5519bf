"""The sets of posts with their counts replay without an option: every count, in order of time."""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.schemas import Post, PostEvent
from services.ingest.replay.preview import preview
from services.ingest.sources.base import SourceContext
from services.ingest.sources.replay.options import COUNT_FIELDS, ReplayOptions
from services.ingest.sources.replay.source import ReplaySource
from testkit.ingest import START, take_all

SETS = ("accounts", "bluesky", "brand", "congress", "facebook", "leaders", "musk")
ROWS = 4_000


@pytest.fixture(scope="module")
def data() -> Path:
    repository = Path(__file__).parents[4]
    place = Path(os.environ.get("GROUNDSWELL_DATA", repository.parent / "shared" / "data"))
    assert place.is_dir(), f"real data not found at {place}: set GROUNDSWELL_DATA"
    return place


@pytest.mark.parametrize("name", SETS)
def test_set_replays_without_an_option_each_count_a_day_after_its_post(
    name: str, data: Path, tmp_path: Path
) -> None:
    path = data / f"engagement_{name}" / "posts.csv.gz"
    options = ReplayOptions(path=str(path), limit_rows=ROWS)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(islice(csv.DictReader(lines), ROWS))
    expected = Counter(
        (row["author"], *(int(row[field]) if row[field] else None for field in COUNT_FIELDS))
        for row in rows
        if any(row[field] for field in COUNT_FIELDS)
    )
    source = ReplaySource(options, SourceContext(tmp_path, clock=ManualClock(START)))
    records = [item.record for item in take_all(source)]
    source.close()
    posts = {r.id: r for r in records if isinstance(r, Post)}
    events = [r for r in records if isinstance(r, PostEvent)]
    assert len(posts) == len(rows)
    assert Counter((e.author, e.likes, e.replies, e.reposts, e.quotes) for e in events) == expected
    for event in events:
        post = posts[event.post_id]
        assert event.author == post.author
        assert (event.ingested_at - post.ingested_at).total_seconds() == 86_400
    times = [r.ingested_at for r in records if isinstance(r, Post | PostEvent)]
    assert times == sorted(times)
    said = " ".join(" ".join(preview(path, options).lines()).split())
    assert f"counts of {len(rows):,} posts (likes of {len(rows):,}" in said
    assert "sent 24 h after the post" in said
