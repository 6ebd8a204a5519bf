"""The Mastodon source against a server that streams, forgets, stalls and refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from services.ingest.sources.mastodon import source
from testkit.checks.source_reader import SourceReader
from testkit.platforms.mastodon.server import FakeMastodon
from testkit.platforms.site import wait_for


@pytest.fixture
def server() -> Iterator[FakeMastodon]:
    with FakeMastodon() as fake:
        yield fake


TOKEN = FakeMastodon.token
Reading = Callable[..., SourceReader]


@pytest.fixture
def read(server: FakeMastodon, tmp_path: Path) -> Iterator[Reading]:
    readers: list[SourceReader] = []

    def make(cursor: Any = None, *, secret: str = TOKEN, **options: Any) -> SourceReader:
        given = {"server": server.site.url, "rewind_s": 5.0} | options
        reader = SourceReader("mastodon", given, tmp_path, secret=secret)
        readers.append(reader)
        before = server.used.get("pages", 0)
        reader.open(cursor)
        if secret == server.token:
            wait_for(lambda: server.used.get("pages", 0) > before)
            wait_for(lambda: server.subscriptions > 0)
        return reader

    yield make
    for reader in readers:
        reader.source.close()


@pytest.fixture
def no_seam(monkeypatch: pytest.MonkeyPatch) -> float:
    """Look at no timeline a second time, however long the test takes; give `rewind_s` for it."""
    monkeypatch.setattr(source, "_SEAM_AFTER_S", 3_600.0)
    return 7_200.0


LIVELY: dict[str, float] = {"idle_min_s": 1.0, "idle_initial_s": 2.0, "idle_max_s": 2.0}
"""Limits by which a stream with a sign of life every `LIVELY_HEARTBEAT_S` is soon found dead."""
LIVELY_HEARTBEAT_S = 0.05


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_posts_edits_and_deletions_arrive_with_their_authors(
    server: FakeMastodon, read: Reading, transport: str
) -> None:
    reader = read(transport=transport)
    first = server.post("hello <b>world</b>", spoiler_text="greeting")
    second = server.post("going soon", account={"acct": "ben@far.test"})
    server.edit(first, "changed")
    server.delete(second)
    reader.until(lambda: len(reader.events) == 2)
    (hello, going), (edit, delete) = reader.posts, reader.events
    host = server.site.url.removeprefix("http://")
    assert (hello.id, hello.text, hello.author) == (first, "greeting\n\nhello world", f"ana@{host}")
    assert going.author == "ben@far.test"
    assert (edit.kind, edit.post_id, edit.text) == ("edit", first, "greeting\n\nchanged")
    assert (delete.kind, delete.post_id, delete.author) == ("delete", second, going.author)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_hashtag_streams_are_read_side_by_side(
    server: FakeMastodon, read: Reading, transport: str
) -> None:
    reader = read(streams=["hashtag:cats", "hashtag:local:dogs"], transport=transport)
    wait_for(lambda: server.subscriptions == 2)
    ids = [
        server.post("cat", tags=[{"name": "cats"}]),
        server.post("dog", tags=[{"name": "dogs"}]),
        server.post("both", tags=[{"name": "dogs"}, {"name": "cats"}]),
    ]
    server.post("none")
    server.post("far dog", tags=[{"name": "dogs"}], account={"acct": "x@far.test"})
    last = server.post("end", tags=[{"name": "cats"}])
    reader.until(lambda: last in {post.id for post in reader.posts} and len(reader.posts) == 4)
    assert {post.id for post in reader.posts} == {*ids, last}


def test_what_was_posted_while_away_is_fetched_once_and_in_order(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    ids = server.post_many([f"before {n}" for n in range(30)])
    reader.until_posts(30)
    cursor = reader.cursor
    reader.source.close()
    ids += server.post_many([f"away {n}" for n in range(150)])
    again = read(cursor)
    again.until_posts(150)
    ids += server.post_many([f"after {n}" for n in range(20)])
    again.until_posts(170)
    assert [post.id for post in reader.posts + again.posts] == ids
    assert server.used["pages"] >= 150 // 40
    assert again.metric("source_duplicates_total") >= 30
    assert not again.gaps


def test_disconnected_twenty_times_nothing_is_missing_or_twice(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    ids: list[str] = []
    for turn in range(20):
        ids += server.post_many([f"{turn}-{n}" for n in range(20)])
        before = server.used["streams"]
        assert server.disconnect(abruptly=turn % 2 == 0) <= 1
        ids += server.post_many([f"{turn}-{n} away" for n in range(20)])
        # The old client may still be counted: only a further stream is a new one.
        wait_for(lambda before=before: server.used["streams"] > before and server.clients == 1)
    reader.until_posts(len(ids))
    reader.poll()
    found = [post.id for post in reader.posts]
    assert sorted(found) == sorted(ids)
    assert server.used["streams"] >= 21
    assert not reader.gaps


def test_posts_of_other_servers_that_arrive_late_are_fetched_within_the_rewind(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read(rewind_s=60.0)
    server.post("now")
    reader.until_posts(1)
    reader.source.close()
    late = server.post("written before", at=datetime.now(UTC) - timedelta(seconds=30))
    again = read(reader.cursor, rewind_s=60.0)
    again.until(lambda: late in {post.id for post in again.posts})
    assert len(again.posts) == 1


def test_edits_and_deletions_missed_while_away_are_found_by_looking_again(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    kept, edited, gone = server.post_many(["kept", "to be edited", "to go"])
    reader.until_posts(3)
    reader.source.close()
    server.edit(edited, "edited while away")
    server.delete(gone)
    server.statuses[kept]["favourites_count"] = 5
    again = read(reader.cursor)
    again.until(lambda: {event.kind for event in again.events} == {"edit", "delete", "counts"})
    by_kind = {event.kind: event for event in again.events}
    assert by_kind["edit"].text == "edited while away"
    assert (by_kind["delete"].post_id, by_kind["delete"].author) == (gone, reader.posts[2].author)
    assert (by_kind["counts"].post_id, by_kind["counts"].likes) == (kept, 5)
    assert again.posts == []


def test_a_deleted_post_that_comes_again_stays_deleted(server: FakeMastodon, read: Reading) -> None:
    reader = read()
    status_id = server.post("short-lived")
    status = dict(server.statuses[status_id])
    server.delete(status_id)
    server.statuses[status_id] = status
    server.stream_again(status_id)
    last = server.post("last")
    reader.until(lambda: last in {post.id for post in reader.posts})
    assert [post.id for post in reader.posts] == [status_id, last]
    assert [event.kind for event in reader.events] == ["delete"]


def test_an_edit_that_overtakes_its_post_does_not_hide_it(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    status_id = server.post("one")
    reader.until_posts(1)
    missed = server.post_while_away("missed", edited="missed, then edited")
    reader.until_posts(2)
    assert [post.id for post in reader.posts] == [status_id, missed]
    assert reader.posts[1].text == "missed, then edited"


def test_rest_refused_after_a_reconnect_is_a_counted_gap(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    server.post("one")
    reader.until_posts(1)
    server.faults.refusals = -1
    server.faults.refuse_rest = (403, {})
    server.disconnect()
    reader.until(lambda: bool(reader.gaps))
    server.post("two")
    reader.until_posts(2)
    assert server.used["refused rest"] >= 1
    assert reader.gaps[0].cause == "fill_refused"
    assert reader.gaps[0].lost_s >= 0


def test_a_gap_larger_than_is_to_be_fetched_is_counted(server: FakeMastodon, read: Reading) -> None:
    reader = read()
    server.post("one")
    reader.until_posts(1)
    reader.source.close()
    server.post_many([f"away {n}" for n in range(200)])
    again = read(reader.cursor, fill_max_posts=80)
    again.until(lambda: bool(again.gaps))
    fetched = again.items[: [item.record for item in again.items].index(again.gaps[0])]
    last = server.post("live")
    again.until(lambda: last in {post.id for post in again.posts})
    assert again.gaps[0].cause == "fill_limit"
    assert 80 <= len(fetched) < 200


def test_rate_limits_are_kept(server: FakeMastodon, read: Reading) -> None:
    reader = read()
    server.post("one")
    reader.until_posts(1)
    server.faults.refusals = 2
    server.faults.refuse_rest = (429, {"Retry-After": "0.2"})
    two = server.post_while_away("two")
    reader.until(lambda: two in {post.id for post in reader.posts})
    assert server.used["refused rest"] == 2
    server.faults.refuse_rest = None  # the one refusal is for the stream
    server.faults.refuse_streaming, server.faults.refusals = (429, {"Retry-After": "0.1"}), 1
    server.disconnect()
    wait_for(lambda: server.used.get("refused streaming", 0) == 1)
    server.post("three")
    reader.until_posts(3)
    assert reader.metric("source_reconnects_total", cause="rate_limited") == 1


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_stream_that_stalls_without_closing_is_given_up(
    server: FakeMastodon, read: Reading, transport: str, no_seam: float
) -> None:
    server.heartbeat_s = LIVELY_HEARTBEAT_S
    reader = read(transport=transport, rewind_s=no_seam, limits=LIVELY)
    server.post("one")
    reader.until_posts(1)
    server.faults.stall = True
    missed = server.post("never streamed")
    reader.until(lambda: missed in {post.id for post in reader.posts})
    assert server.used["stall"] >= 1
    assert reader.metric("source_reconnects_total", cause="stalled") >= 1


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_stream_that_drips_into_an_event_without_end_is_given_up(
    server: FakeMastodon, read: Reading, transport: str, no_seam: float
) -> None:
    server.heartbeat_s = LIVELY_HEARTBEAT_S
    reader = read(transport=transport, rewind_s=no_seam, limits=LIVELY)
    server.post("one")
    reader.until_posts(1)
    server.faults.drip = True
    missed = server.post("never at its end")
    reader.until(lambda: missed in {post.id for post in reader.posts})
    assert server.used["drip"] == 1
    assert reader.metric("source_reconnects_total", cause="stalled") >= 1


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_what_falls_between_the_timeline_and_a_stream_that_is_late_is_fetched(
    server: FakeMastodon, read: Reading, transport: str
) -> None:
    reader = read(transport=transport, rewind_s=5.0)
    server.post("one")
    reader.until_posts(1)
    before, pages = server.used["streams"], server.used["pages"]
    server.disconnect()
    wait_for(lambda: server.used["streams"] > before and server.subscriptions > 0)
    wait_for(lambda: server.used["pages"] >= pages + 2)
    server.deaf_posts = 3
    ids = server.post_many([f"status {n}" for n in range(5)])
    reader.until(lambda: set(ids) <= {post.id for post in reader.posts})
    assert len(reader.posts) == 6


def test_a_timeline_that_unfolds_to_megabytes_is_asked_for_again(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read()
    server.post("one")
    reader.until_posts(1)
    server.faults.bomb = True
    missed = server.post_while_away("missed")
    reader.until(lambda: missed in {post.id for post in reader.posts})
    assert server.used["bomb"] == 1
    assert not reader.gaps


def test_events_out_of_order_come_all_and_once(server: FakeMastodon, read: Reading) -> None:
    reader = read()
    server.post("first")
    reader.until_posts(1)
    server.faults.stall = True  # nothing is streamed as it is posted
    ids = server.post_many([f"status {n}" for n in range(20)])
    wait_for(lambda: server.used.get("stall", 0) == 20)
    server.faults.stall = False
    for one in [*reversed(ids), *ids]:
        server.stream_again(one)
    last = server.post("last")
    reader.until(lambda: last in {post.id for post in reader.posts})
    assert sorted(post.id for post in reader.posts[1:-1]) == sorted(ids)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("fault", ["half_event", "wrong_json", "slow_bytes"])
def test_broken_events_are_kept_or_fetched_again(
    server: FakeMastodon, read: Reading, fault: str, transport: str
) -> None:
    reader = read(transport=transport)
    server.post("one")
    reader.until_posts(1)
    setattr(server.faults, fault, True)
    spoiled = server.post("spoiled " * 20)
    last = server.post("last")
    reader.until(lambda: last in {post.id for post in reader.posts})
    assert server.used[fault] >= 1
    if fault == "wrong_json":
        assert [bad.detail for bad in reader.unmappable] == ["not JSON"]
    else:
        assert spoiled in {post.id for post in reader.posts}
        assert not reader.unmappable


def test_repeated_events_and_clock_skew_change_nothing(
    server: FakeMastodon, read: Reading, no_seam: float
) -> None:
    reader = read(rewind_s=no_seam)
    future = server.post("from the future", at=datetime.now(UTC) + timedelta(days=400))
    past = server.post("from 2011", at=datetime(2011, 1, 1, tzinfo=UTC))
    for _ in range(3):
        server.stream_again(future)
        server.stream_again(past)
    last = server.post("last")
    reader.until(lambda: last in {post.id for post in reader.posts})
    assert [post.id for post in reader.posts] == [future, past, last]
    assert reader.metric("source_duplicates_total") == 6


def test_a_refused_token_ends_the_source_and_says_which_setting(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read(secret=f"not {TOKEN}")
    with pytest.raises(ConfigError, match=r"ingest\.source_secret"):
        reader.until(lambda: False)


@pytest.mark.parametrize(
    ("options", "token", "named"),
    [
        ({}, "t", "server"),
        ({"server": "http://mastodon.test"}, "t", "server"),
        ({"server": "https://mastodon.test"}, "", "ingest.source_secret"),
        ({"server": "https://mastodon.test", "streams": []}, "t", "streams"),
        ({"server": "https://mastodon.test", "streams": ["home"]}, "t", "streams"),
        ({"server": "https://m.test", "streaming_url": "ws://m.test"}, "t", "streaming_url"),
        ({"server": "https://m.test", "remember_posts": 0}, "t", "remember_posts"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    options: dict[str, Any], token: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        SourceReader("mastodon", options, tmp_path, secret=token)


def test_the_token_is_in_no_query_and_in_no_log(
    server: FakeMastodon, read: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    server.token = f"very-{TOKEN}"
    reader = read(secret=server.token)
    server.post("one")
    reader.until_posts(1)
    server.disconnect()
    wait_for(lambda: server.used["streams"] >= 2)
    shown = capsys.readouterr()
    assert "session ended" in shown.out + shown.err
    assert server.token not in shown.out + shown.err + repr(reader.source.options)


def test_what_had_no_room_when_a_stream_broke_off_comes_again(
    server: FakeMastodon, read: Reading
) -> None:
    reader = read(limits={"max_buffered_items": 10, "idle_min_s": 30.0, "idle_initial_s": 30.0})
    ids = server.post_many([f"status {n}" for n in range(60)])
    doomed = ids[30]
    server.delete(doomed)
    wait_for(lambda: reader.metric("source_reader_waits_total") > 0)
    # A deletion that the stream breaks off before is in no timeline.
    wait_for(lambda: reader.metric("source_messages_total") >= len(ids) + 1)
    server.disconnect()
    wait_for(lambda: server.used["streams"] >= 2)
    reader.until(lambda: bool(reader.events))
    reader.until_posts(59)
    found = [post.id for post in reader.posts]
    assert [one for one in found if one != doomed] == [one for one in ids if one != doomed]
    assert [event.post_id for event in reader.events] == ([doomed] if doomed in found else [])


def test_a_busy_timeline_is_not_followed_for_ever(
    server: FakeMastodon, read: Reading, no_seam: float
) -> None:
    reader = read(rewind_s=no_seam)
    ids = server.post_many(["one"])
    reader.until_posts(1)
    before = server.used["pages"]
    # Every page is followed by as many new posts: only the stream can catch up.
    server.on_page = lambda: [server._post("meanwhile", None, {}) for _ in range(45)]
    server.disconnect()
    wait_for(lambda: server.used["pages"] >= before + 2)
    reader.until(lambda: len(reader.posts) >= 60)
    server.on_page = None
    last = server.post("last")
    reader.until(lambda: last in {post.id for post in reader.posts})
    assert {post.id for post in reader.posts} == set(server.statuses)
    assert ids[0] == reader.posts[0].id
    assert not reader.gaps
    assert server.used["pages"] <= before + 4
