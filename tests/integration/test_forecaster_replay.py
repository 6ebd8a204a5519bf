"""Real posts with their counts, replayed through ingest, worker and forecaster, against the file.

What is stored, and so exported, is what the same posts give offline: in order of time, each post's
counts a day after it.
"""

import asyncio
import csv
import gzip
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import pytest

from core.schemas import ScoredPost
from models.engagement.items import CountsSeen, Item, PostSeen, Sums
from models.engagement.layout import author_key, post_key
from models.engagement.partition import ForecastPartition
from services.forecaster.showing import read_view
from services.kafka_client import partition_of, read_topic
from stream.topics import POST_EVENTS, SCORED_POSTS
from testkit.scorers.engagement import FakeEngagement

pytestmark = pytest.mark.integration

POSTS = 1_500
DAY_S = 86_400.0


def _head(data_dir: Path, name: str, to: Path) -> list[dict[str, str]]:
    """Write the earliest posts of a set to a file and return their rows."""
    with gzip.open(data_dir / name / "posts.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["created_at"])[:POSTS]
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _offline(rows: list[dict[str, str]], scored: list[ScoredPost], partitions: int, settings):
    """Return the books of each partition over the rows of the file.

    Only what the post encoder says of a text is taken from the stream.
    """
    # Some ids of the file are no ids (a spreadsheet rounded them), and ingest makes others.
    said = {post.id: (place, post) for place, post in enumerate(scored)}
    renamed: dict[tuple[str, datetime], list[str]] = {}
    for post in scored:
        if post.id not in {row["post_id"] for row in rows}:
            renamed.setdefault((post.author, post.event_at), []).append(post.id)
    assert len(said) == len(scored) == len(rows)
    items: dict[int, list[tuple[float, bool, int, Item]]] = {n: [] for n in range(partitions)}
    for row in rows:
        author, at = row["author"], datetime.fromisoformat(row["created_at"])
        found = row["post_id"] if row["post_id"] in said else renamed[author, at].pop(0)
        (place, post), at_s = said[found], at.timestamp()
        key = post_key(author_key(post.source, author), post.id)
        queries = tuple(query for query in post.queries if query != "all")
        totals = tuple(int(row[name]) if row[name] else None for name in _COUNTS)
        of_author = items[partition_of(author.encode(), partitions)]
        seen = PostSeen(
            key, post.id, post.source, author, at_s, post.shape, post.scores, post.rated, queries
        )  # fmt: skip
        of_author.append((at_s, True, place, seen))
        if totals != (None, None, None):
            counted = CountsSeen(key, post.id, post.source, author, at_s + DAY_S, totals)
            of_author.append((at_s + DAY_S, False, place, counted))
    books, model = [], FakeEngagement()
    for of_partition in items.values():
        forecasts = ForecastPartition(settings)
        ordered = [item for *_, item in sorted(of_partition, key=lambda one: one[:3])]
        for first in range(0, len(ordered), 100):
            planned = forecasts.take(ordered[first : first + 100])
            forecasts.finish(
                planned, asyncio.run(model.predict(planned.features, planned.sequence))
            )
        books += [one for one in forecasts.quality() if one.kind == "source"]
    return books


_COUNTS = ("likes", "replies", "reposts")


@pytest.mark.parametrize("name", ["engagement_musk", "engagement_accounts"])
def test_a_replayed_set_is_worth_live_what_it_is_worth_offline(
    make_stream: Callable, data_dir: Path, tmp_path: Path, name: str
) -> None:
    stream = make_stream(
        forecasts={"kind": "fake", "shed_after_s": 100_000},
        ingest={"cursor_dir": str(tmp_path / "ingest")},
    )
    rows = _head(data_dir, name, tmp_path / "head.csv")
    stream.start_worker("w1")
    stream.start_process("forecaster", "f1")
    path = str(tmp_path / "head.csv")
    ingest = stream.start_process("ingest", "i1", "--source", "replay", "--path", path)
    stream.wait_until(lambda: not ingest.is_running, "the end of the file")
    assert ingest.exit_status == 0, stream.last_words()
    del stream.workers["i1"]

    def is_all_taken() -> bool:
        ends: dict[tuple[str, int], int] = {}
        for topic in (SCORED_POSTS, POST_EVENTS):
            for record in read_topic(stream.settings.kafka, topic):
                ends[topic, record.partition] = record.offset
        if not ends or stream.accounted() < len(rows):
            return False
        return all(
            upto.get(topic, -1) >= end
            for (topic, number), end in ends.items()
            for upto in (_upto(stream, number),)
        )

    stream.wait_until(is_all_taken, "all posts and counts")
    view = asyncio.run(read_view(stream.settings))
    live = [one for part in view.partitions for one in part.quality() if one.kind == "source"]
    expected = _offline(
        rows, stream.scored(), stream.settings.kafka.partitions, stream.settings.forecasts
    )
    for span in ("recent", "total"):
        got, due = (_added(getattr(one, span) for one in books) for books in (live, expected))
        _expect_equal(got, due)
    assert _added(one.total for one in live).outcomes > POSTS / 2
    assert view.quality()[0].skill == pytest.approx(_added(one.recent for one in expected).skill)


def _added(parts: Iterable[Sums]) -> Sums:
    return sum(parts, Sums())


def _expect_equal(got: Sums, due: Sums) -> None:
    assert got.outcomes == due.outcomes
    assert got.judged == due.judged
    assert got.covered == pytest.approx(due.covered, abs=1e-6)
    assert got.error == pytest.approx(due.error, rel=1e-6)
    assert got.floor_error == pytest.approx(due.floor_error, rel=1e-6)


def _upto(stream, number: int) -> dict[str, int]:
    from redis import Redis

    from stream.store import keys

    with Redis.from_url(stream.settings.redis.url) as client:
        found = client.hgetall(keys.forecast(number))
    return {k.decode(): int(v) for k, v in found.items() if k in (b"scored-posts", b"post-events")}
