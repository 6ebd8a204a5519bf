from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event

import msgspec

from core.codec import encode
from core.errors import BrokerUnavailable
from core.schemas import MICRO, Window
from services.local.window_feed import WindowBook, WindowFeed

START = datetime(2026, 1, 1, tzinfo=UTC)


def window(
    number: int, query: str = "all", posts: int = 10, rated: int = 8, revision: int = 0
) -> Window:
    start = START + timedelta(seconds=10 * number)
    return Window(
        query=query,
        start=start,
        end=start + timedelta(seconds=10),
        revision=revision,
        counters={"posts": posts, "rated": rated, "sentiment_sum": 2 * MICRO},
        authors=3,
        closed_at=start + timedelta(seconds=15),
    )


def test_sentiment_is_the_mean_of_the_rated_posts() -> None:
    book = WindowBook()
    book.take(window(0))
    book.take(window(1, rated=0))
    newest, oldest = book.recent()
    assert (oldest.posts, oldest.rated, oldest.sentiment) == (10, 8, 0.25)
    assert newest.sentiment is None
    assert book.queries()[0].history == (0.25, None)


def test_a_correction_replaces_what_it_corrects_and_a_repetition_changes_nothing() -> None:
    book = WindowBook()
    book.take(window(0))
    book.take(window(1))
    book.take(window(0, posts=12, revision=1))
    book.take(window(0))  # the closer says it again after a crash
    assert (book.closed, book.corrections) == (2, 1)
    assert [(line.posts, line.revision) for line in book.recent()] == [(10, 0), (12, 1)]


def test_queries_come_by_their_posts_and_windows_by_their_time() -> None:
    book = WindowBook()
    for number in range(3):
        book.take(window(number, "rail", posts=5))
        book.take(window(number, "all", posts=50))
    assert [line.name for line in book.queries()] == ["all", "rail"]
    assert [line.query for line in book.recent(3)] == ["all", "rail", "all"]
    assert book.recent(1)[0].start_s == (START + timedelta(seconds=20)).timestamp()


def test_memory_is_bounded() -> None:
    book = WindowBook()
    for number in range(1000):
        book.take(window(number))
    assert len(book.queries()[0].history) == 64
    assert len(book._recent) <= 200
    assert book.closed == 1000


def test_the_feed_survives_a_broker_that_goes_away_and_values_it_cannot_read() -> None:
    book, told_everything, tries = WindowBook(), Event(), []

    def topic() -> Iterator[bytes]:
        tries.append(1)
        yield encode(window(0))
        if len(tries) == 1:
            raise BrokerUnavailable("killed")
        yield b"{not json"
        yield msgspec.json.encode({"v": 99})
        yield encode(window(1))
        told_everything.set()
        yield b""

    feed = WindowFeed(topic, book, again_after_s=0.0)
    assert told_everything.wait(10)
    feed.close()
    assert book.closed == 2
