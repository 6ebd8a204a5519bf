"""What a source remembers: cursors and files of before, and what is delivered of what is found."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.errors import ConfigError, FatalError
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.options import load_options
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Gap, Ignored, SourceContext, Unmappable
from services.ingest.sources.bluesky.position import Place
from services.ingest.sources.memory import Held
from services.ingest.sources.options import LiveLimits, LiveOptions, Manifest
from services.ingest.sources.records import Found, Skipped
from services.ingest.sources.remembering import RememberingSource
from services.ingest.sources.rss.source import FeedState

HELD = """
CREATE TABLE held (
    id TEXT PRIMARY KEY, author TEXT NOT NULL, version TEXT NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX held_by_seq ON held (seq);
INSERT INTO held VALUES ('p1', 'ana', '2', 5);
CREATE TABLE reached (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL);
INSERT INTO reached VALUES (1, 5);
"""
"""The memory of posts as release 0.1 wrote it."""
KNOWN = """
CREATE TABLE known (
    name BLOB PRIMARY KEY, body BLOB NOT NULL, accepted INTEGER NOT NULL, at_s INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE forgotten (only INTEGER PRIMARY KEY CHECK (only = 1), at_s INTEGER NOT NULL);
INSERT INTO known VALUES (x'01', x'02', 3, 1);
CREATE TABLE reached (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL);
INSERT INTO reached VALUES (1, 5);
"""
"""The memory of requests as release 0.1 wrote it."""
FEED = "http://a.test/feed"
GIVEN: dict[str, dict[str, Any]] = {
    "bluesky": {},
    "mastodon": {"server": "http://127.0.0.1:1", "anonymous": True},
    "reddit": {"communities": ["news"], "client_id": "id", "user_agent": "test"},
    "rss": {"feeds": [FEED, "http://b.test/feed"]},
    "webhook": {},
}
CURSORS: dict[str, Any] = {
    "bluesky": ["ws://h", 7, 1_000_000, 5],
    "mastodon": {"n": 5, "at": {"public": "104009345973121628"}},
    "reddit": {"n": 5, "at": {"posts": 1_772_366_400.5}},
    "rss": {"n": 5, "feeds": {FEED: ["etag", "modified", [["key", "version"]], 123]}},
    "webhook": {"n": 5},
}
"""The cursors of release 0.1, as they stand in their files."""


@contextmanager
def a_source(name: str, directory: Path) -> Iterator[RememberingSource[Any]]:
    kind = SOURCES.get(name)
    context = SourceContext(directory, secret=Secret("whsec_" + "A" * 32))
    source = kind(load_options(kind.Options, None, GIVEN[name]), context)
    assert isinstance(source, RememberingSource)
    with closing(source):
        yield source


@pytest.mark.parametrize("name", CURSORS)
def test_cursor_and_memory_of_the_release_before_are_read(name: str, tmp_path: Path) -> None:
    with a_source(name, tmp_path) as source:
        if source.manifest.memory:
            with closing(sqlite3.connect(source.memory_path)) as file:
                file.executescript(KNOWN if name == "webhook" else HELD)
        assert source.recalls(CURSORS[name])
        source.start_at(CURSORS[name])
        assert source.number == 5
        if name in ("mastodon", "reddit"):
            assert source.at == CURSORS[name]["at"]
        if name not in ("rss", "webhook"):
            assert source.held.find("p1") == Held("ana", "2")
    if name == "rss":
        state = FeedState("etag", "modified", (("key", "version"),), 123)
        assert list(source.at.values()) == [state, FeedState()]


def test_the_place_of_bluesky_is_read_from_its_cursor(tmp_path: Path) -> None:
    with a_source("bluesky", tmp_path) as source:
        source.start_at(CURSORS["bluesky"])
        assert source.resumption.last == Place("ws://h", 7, 1_000_000, 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CURSORS)
@pytest.mark.parametrize("cursor", [7, "x", [], {}, {"n": "x"}, {"n": None, "at": 5, "feeds": 5}])
def test_a_cursor_of_another_kind_is_refused_with_what_to_do(
    name: str, cursor: Any, tmp_path: Path
) -> None:
    with (
        a_source(name, tmp_path) as source,
        pytest.raises(ConfigError, match=rf"{name}: the stored cursor .* --fresh starts over"),
    ):
        source.start_at(cursor)


AT = datetime(2026, 3, 1, tzinfo=UTC)


class Told(RememberingSource[LiveOptions]):
    """Finds what it is told."""

    name: ClassVar[str] = "told"
    manifest: ClassVar = Manifest(name="told", title="Told.", memory="told.held.sqlite")
    Options = LiveOptions

    async def session(self) -> None:
        """Nothing is read."""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    source = Told(LiveOptions(limits=LiveLimits(max_buffered_items=3)), SourceContext(tmp_path))
    source.start_at(None)
    with closing(source):
        yield source


def found(post_id: str = "1", text: str = "one", version: str = "") -> Found:
    post = Post(id=post_id, source="told", author="ana", ingested_at=AT, text=text)
    return Found(post, version, post_id)


def gone(post_id: str = "1") -> Found:
    return Found(Skipped("deleted"), post_id=post_id)


def counts(likes: int) -> Found:
    event = PostEvent(
        kind="counts", post_id="1", source="told", author="ana", ingested_at=AT, likes=likes
    )
    return Found(event, post_id="1")


def kinds(told: Told, *all_found: Found) -> list[str]:
    """Return what is made of what is found, in words."""

    async def take() -> list[str]:
        words: list[str] = []
        for one in all_found:
            is_count = isinstance(one.record, PostEvent) and one.record.kind == "counts"
            await (told.take_counts(one) if is_count else told.take(one))
            made = [item.record for item in told.inlet.take(9, 0)]
            words += [
                record.kind if isinstance(record, PostEvent) else type(record).__name__
                for record in made
            ] or ["nothing"]
        return words

    return asyncio.run(take())


def test_a_post_is_delivered_once_and_again_when_it_changed(told: Told) -> None:
    assert kinds(told, found(), found(), found(text="two", version="1"), found(version="1")) == [
        "Post", "nothing", "edit", "nothing",
    ]  # fmt: skip


def test_a_deleted_post_is_deleted_once_and_never_comes_back(told: Told) -> None:
    assert kinds(told, found(), gone(), gone(), found(), found(version="v9")) == [
        "Post", "delete", "nothing", "nothing", "nothing",
    ]  # fmt: skip


def test_a_post_that_was_gone_before_it_was_seen_is_ignored_once(told: Told) -> None:
    assert kinds(told, gone(), gone(), found()) == ["Ignored", "nothing", "nothing"]


def test_counts_are_told_when_they_change(told: Told) -> None:
    assert kinds(told, found(), counts(0), counts(2), counts(2), counts(0)) == [
        "Post", "nothing", "counts", "nothing", "counts",
    ]  # fmt: skip


def test_what_a_crash_forgets_is_delivered_again(told: Told, tmp_path: Path) -> None:
    asyncio.run(told.take(found("1")))
    asyncio.run(told.take(found("2")))
    first, _ = told.inlet.take(9, 0)
    told.acknowledged(first.cursor)
    again = Told(LiveOptions(), SourceContext(tmp_path))
    with closing(again):
        assert again.recalls(first.cursor)
        again.start_at(first.cursor)
        assert kinds(again, found("1"), found("2")) == ["nothing", "Post"]
        assert again.number == 2


def test_what_found_no_room_is_delivered_when_it_comes_again(told: Told) -> None:
    async def cut_short() -> None:
        for number in range(3):
            await told.take(found(str(number)), place="all", mark=number + 1)
        waiting = asyncio.create_task(told.take(found("9"), place="all", mark=10))
        for _ in range(3):  # the turns in which it comes to the buffer
            await asyncio.sleep(0)
        assert told.inlet.is_waiting
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(cut_short())
    assert (told.at, told.cursor) == ({"all": 3}, {"n": 3, "at": {"all": 3}})
    assert len(told.inlet.take(9, 0)) == 3
    assert kinds(told, found("9")) == ["Post"]


def test_only_the_last_record_of_a_message_moves_the_cursor(told: Told) -> None:
    asyncio.run(told.hand_on([Ignored(), Ignored()], 10))
    asyncio.run(told.hand_on([Gap("lost")], 0))
    assert [item.cursor for item in told.inlet.take(9, 0)] == [
        None, {"n": 1, "at": {}}, {"n": 2, "at": {}},
    ]  # fmt: skip


def test_what_is_no_post_is_kept_each_time_unless_it_is_polled(told: Told) -> None:
    bad = Found(Unmappable(b"x", "no post"))
    assert kinds(told, bad, bad) == ["Unmappable", "Unmappable"]
    assert [told.was_refused(raw) for raw in (b"x", b"y", b"x")] == [False, False, True]


def test_after_the_end_nothing_is_held(told: Told) -> None:
    told.close()
    told.acknowledged({"n": 1, "at": {}})
    with pytest.raises(FatalError, match="closed"):
        told.held.find("1")


def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path: Path) -> None:
    class Absent(Told):
        manifest: ClassVar = Manifest(name="told", title="Told.", module="no_such", extra="told")

    with pytest.raises(ConfigError, match="no_such is not installed: expected the extra `told`"):
        Absent(LiveOptions(), SourceContext(tmp_path))
