"""The RSS source against a site that answers politely, badly and not at all."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.errors import ConfigError
from testkit.checks.source_reader import SourceReader
from testkit.platforms.rss.server import FakeFeedSite
from testkit.platforms.site import wait_for


@pytest.fixture
def site() -> Iterator[FakeFeedSite]:
    with FakeFeedSite() as fake:
        yield fake


Reading = Callable[..., SourceReader]


@pytest.fixture
def read(site: FakeFeedSite, tmp_path: Path) -> Iterator[Reading]:
    readers: list[SourceReader] = []

    def make(cursor: Any = None, **options: Any) -> SourceReader:
        given = {
            "feeds": [site.feed()], "every_s": 0.05, "timeout_s": 60.0,
            "allow_private_addresses": True,
        }  # fmt: skip
        readers.append(SourceReader("rss", given | options, tmp_path))
        return readers[-1].open(cursor)

    yield make
    for reader in readers:
        reader.source.close()


def test_entries_come_once_and_changes_come_as_edits(site: FakeFeedSite, read: Reading) -> None:
    site.publish("1", "First", "the <b>text</b> of it")
    site.publish("2", "Second")
    reader = read()
    first, second = reader.until_posts(2)
    assert (first.text, second.text) == ("First\n\nthe text of it", "Second")
    assert (first.lang, first.author) == ("en-GB", "ana@127.0.0.1")
    assert first.id.endswith(":1")
    site.publish("1", "First, corrected")
    reader.until(lambda: bool(reader.events))
    assert (reader.events[0].kind, reader.events[0].post_id) == ("edit", first.id)
    assert reader.events[0].author == first.author
    wait_for(lambda: 304 in site.statuses())
    assert len(reader.posts) == 2


def test_entries_without_a_date_are_no_burst_at_the_first_look(
    site: FakeFeedSite, read: Reading
) -> None:
    dates = ["yesterday", None, "05 März 2026 10:00"]

    def undated(_request: web.Request) -> web.Response:
        items = "".join(
            f"<item><guid>{n}</guid><title>t{n}</title>"
            f"{f'<pubDate>{date}</pubDate>' if date else ''}</item>"
            for n, date in enumerate(dates)
        )
        return web.Response(body=f"<rss version='2.0'><channel>{items}</channel></rss>".encode())

    site.answers["/feed/a"] = undated
    reader = read()
    wait_for(lambda: len(site.statuses()) >= 3)
    dates.append("no date")
    (post,) = reader.until_posts(1)
    assert (post.text, post.claimed_at) == ("t3", None)
    assert [one.text for one in reader.posts] == ["t3"]


def test_a_restart_goes_on_from_the_cursor(site: FakeFeedSite, read: Reading) -> None:
    site.publish_many([(str(n), f"title {n}") for n in range(250)])
    reader = read()
    reader.until_posts(250)
    reader.source.close()
    site.publish("new", "new one")
    again = read(reader.cursor)
    again.until_posts(1)
    assert [post.text for post in again.posts] == ["new one"]


def test_an_answer_that_breaks_off_is_asked_for_again(site: FakeFeedSite, read: Reading) -> None:
    site.publish("1", "one")
    site.aborts = 2
    reader = read()
    reader.until_posts(1)
    assert site.aborts == 0


def test_a_feed_that_drips_does_not_hold_up_the_others(site: FakeFeedSite, read: Reading) -> None:
    site.publish("1", "slow", feed="a")
    site.publish("1", "quick", feed="b")
    site.drips = {"a"}
    reader = read(feeds=[site.feed("a"), site.feed("b")], timeout_s=0.5)
    (quick,) = reader.until_posts(1)
    assert quick.text == "quick"
    reader.until(lambda: len(site.statuses("/feed/b")) >= 3)
    assert len(reader.posts) == 1
    site.drips = set()
    reader.until_posts(2)


def test_retry_after_is_kept_and_a_feed_that_is_gone_is_left_alone(
    site: FakeFeedSite, read: Reading
) -> None:
    answers = iter([429, 503])

    def refuse(_request: web.Request) -> web.Response | None:
        status = next(answers, None)
        headers = {"Retry-After": "0.3"}
        return None if status is None else web.Response(status=status, headers=headers)

    site.answers["/feed/a"] = refuse
    site.answers["/feed/gone"] = lambda request: web.Response(status=410)
    site.publish("1", "one")
    reader = read(feeds=[site.feed(), site.feed("gone")])
    reader.until_posts(1)
    assert site.statuses()[:3] == [429, 503, 200]
    wait_for(lambda: len(site.statuses()) >= 5)
    assert site.statuses("/feed/gone") == [410]


def test_a_feed_that_moved_on_while_away_is_a_counted_gap(
    site: FakeFeedSite, read: Reading
) -> None:
    site.window = 5
    site.publish_many([(f"old {n}", "x") for n in range(5)])
    reader = read()
    reader.until_posts(5)
    reader.source.close()
    site.publish_many([(f"new {n}", "y") for n in range(9)])
    again = read(reader.cursor)
    again.until_posts(5)
    assert [gap.cause for gap in again.gaps] == ["feed_moved_on"]
    assert again.gaps[0].lost_s > 0


def test_old_entries_are_known_and_not_delivered(site: FakeFeedSite, read: Reading) -> None:
    site.publish("1", "old", at=datetime.now(UTC) - timedelta(days=3))
    site.publish("2", "now")
    reader = read()
    reader.until_posts(1)
    assert [post.text for post in reader.posts] == ["now"]


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: web.Response(
            body=gzip.compress(b"<rss>" + b" " * 5_000_000, 1), headers={"Content-Encoding": "gzip"}
        ),
        lambda: web.Response(body=b"x" * 300_000),
        lambda: web.Response(body=b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"}),
        lambda: web.Response(body=zlib.compress(b"<rss/>"), headers={"Content-Encoding": "br"}),
    ],
    ids=["gzip bomb", "too large", "broken gzip", "unasked compression"],
)
def test_answers_that_cannot_be_held_are_refused(
    bomb: Callable[[], web.Response], site: FakeFeedSite, read: Reading
) -> None:
    answers = iter([bomb])
    site.answers["/feed/a"] = lambda request: next(answers, lambda: None)()
    site.publish("1", "one")
    reader = read(max_feed_bytes=200_000)
    reader.until_posts(1)
    assert len(reader.posts) == 1


def test_documents_that_are_no_feeds_are_kept_once(site: FakeFeedSite, read: Reading) -> None:
    laughs = (
        b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><rss version="2.0"><channel>'
        b"<item><title>&b;</title></item></channel></rss>"
    )
    site.answers["/feed/a"] = lambda request: web.Response(body=laughs)
    site.answers["/feed/b"] = lambda request: web.Response(body=b"<html>hello</html>")
    reader = read(feeds=[site.feed("a"), site.feed("b")])
    reader.until(lambda: len(reader.unmappable) == 2)
    wait_for(lambda: len(site.statuses()) >= 4)
    reader.poll()
    assert sorted(bad.detail for bad in reader.unmappable) == [
        "neither RSS nor Atom",
        "the document declares entities, which are not expanded",
    ]


def moved(status: int, place: str) -> web.Response:
    return web.Response(status=status, headers={"Location": place})


def test_redirects_are_followed_and_counted(site: FakeFeedSite, read: Reading) -> None:
    site.publish("1", "one", feed="b")
    site.answers["/feed/a"] = lambda request: moved(301, "/feed/b")
    site.answers["/feed/round"] = lambda request: moved(302, "/feed/round")
    reader = read(feeds=[site.feed("round"), site.feed("a")])
    reader.until_posts(1)
    wait_for(lambda: site.statuses("/feed/round").count(302) >= 6)


def test_private_addresses_are_refused_before_anything_is_sent(
    site: FakeFeedSite, read: Reading
) -> None:
    named = site.feed().replace("127.0.0.1", "localhost")
    mapped = site.feed().replace("127.0.0.1", "[::ffff:127.0.0.1]")
    short = site.feed().replace("127.0.0.1", "127.1")
    number = site.feed().replace("127.0.0.1", "2130706433")
    feeds = [site.feed(), named, mapped, short, number]
    reader = read(feeds=feeds, allow_private_addresses=False)
    reader.until(lambda: reader.metric("source_messages_total") >= len(feeds))
    assert site.asked == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "feeds"),
        ({"feeds": ["ftp://x.test/a"]}, "feeds"),
        ({"feeds": ["https://x.test/a"], "every_s": 0}, "every_s"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    options: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        SourceReader("rss", options, tmp_path)
