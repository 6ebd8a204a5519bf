"""The posts behind a window: some of those that were counted in it, and what they say now.

Nobody keeps them for it: what was counted where is in `scored-posts`, the texts are in `posts`, and
both are there as long as these topics keep them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from core.clock import epoch_ms
from core.codec import scored_post_decoder
from core.errors import DecodeError
from core.schemas import ScoredPost
from core.settings import KafkaSettings
from services.alerting.evidence import LAST_RECORDS, sentiment_of
from services.alerting.showing import DELETED, ExampleText, read_texts
from services.kafka_client import read_topic
from services.kafka_client.messages import Record
from stream.topics import SCORED_POSTS

EACH: Final = 3
"""Posts shown of each reason to show one."""
_SETTLED_MS: Final = 5_000
"""After its end, the posts of a window of a stream that keeps up have been scored."""


@dataclass(frozen=True, slots=True)
class WindowPosts:
    """Some of the posts of a window.

    Attributes:
        posts: What they say now; those that their authors have deleted are left out.
        found: How many posts of the window were found, which those shown were chosen from.
    """

    posts: tuple[ExampleText, ...] = ()
    found: int = 0


def read_window_posts(settings: KafkaSettings, query: str, start_s: int, end_s: int) -> WindowPosts:
    """Look for posts of a query that were counted in a window.

    Looks at what was scored until the window ended; where nothing of it is there, as of a stream
    that is behind or of recorded times, at what was scored last.

    Args:
        settings: The broker's address.
        query: The name of the query.
        start_s: The start of the window, seconds since 1970.
        end_s: Its end, which is no part of it.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    for before_ms in (end_s * 1000 + _SETTLED_MS, None):
        records = read_topic(settings, SCORED_POSTS, last=LAST_RECORDS, before_ms=before_ms)
        found = posts_of(records, query, start_s, end_s)
        if found:
            break
    else:
        return WindowPosts()
    chosen = choose([post for post, _ in found])
    named = [(why, post.source, post.id) for why, post in chosen]
    texts = read_texts(settings, named, max(written_ms for _, written_ms in found))
    return WindowPosts(tuple(one for one in texts if one.state != DELETED), len(found))


def posts_of(
    records: Iterable[Record], query: str, start_s: int, end_s: int
) -> list[tuple[ScoredPost, int]]:
    """Return the posts of a query in a window with when they were written (ms), each once."""
    found: dict[tuple[str, str], tuple[ScoredPost, int]] = {}
    for record in records:
        try:
            post = scored_post_decoder.decode(record.value or b"")
        except DecodeError:
            continue  # a stranger's; the worker's books have it
        if post.pane_start is None or query not in post.queries:
            continue
        if start_s <= epoch_ms(post.pane_start) // 1000 < end_s:
            found.setdefault((post.source, post.id), (post, record.timestamp_ms))
    return list(found.values())


def choose(posts: Sequence[ScoredPost]) -> list[tuple[str, ScoredPost]]:
    """Return posts to show with why: of each author one, a few of each reason.

    Typical is what is nearest to the mean; the most negative and the most positive are shown where
    they are on that side. Where nothing is rated the last ones are shown.
    """
    rated = [one for one in posts if one.rated]
    if not rated:
        recent = sorted(posts, key=lambda one: epoch_ms(one.event_at), reverse=True)
        return _take([("recent", recent)])
    mean = sum(map(sentiment_of, rated)) / len(rated)
    by_mean = sorted(rated, key=lambda one: (abs(sentiment_of(one) - mean), one.id))
    by_sentiment = sorted(rated, key=lambda one: (sentiment_of(one), one.id))
    return _take([
        ("typical", by_mean),
        ("most negative", [one for one in by_sentiment if sentiment_of(one) < 0]),
        ("most positive", [one for one in reversed(by_sentiment) if sentiment_of(one) > 0]),
    ])  # fmt: skip


def _take(orders: Iterable[tuple[str, Sequence[ScoredPost]]]) -> list[tuple[str, ScoredPost]]:
    taken: list[tuple[str, ScoredPost]] = []
    authors: set[tuple[str, str]] = set()
    for why, order in orders:
        left = EACH
        for post in order:
            author = (post.source, post.author)
            if left and author not in authors:
                authors.add(author)
                taken.append((why, post))
                left -= 1
    return taken
