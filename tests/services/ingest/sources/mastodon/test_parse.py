"""Mastodon's statuses and events as records: recorded ones, odd ones, and noise."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from datetime import UTC, datetime
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import encode, post_decoder, post_event_decoder
from core.schemas import Post, PostEvent
from services.ingest.sources.base import Ignored, Unmappable
from services.ingest.sources.mastodon.parse import StatusMapper, parse
from services.ingest.sources.mastodon.wire import EventDecoder, ServerEvent
from services.ingest.sources.records import Found, Skipped
from testkit.platforms.mastodon.statuses import make_status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def mapper(**authors: str) -> StatusMapper:
    known = {name.removeprefix("id"): author for name, author in authors.items()}
    return StatusMapper("here.test", str, lambda: NOW, known.get)


def status(**fields: Any) -> dict[str, Any]:
    return make_status("42", "text", NOW, **fields)


def mapped(tree: Any) -> Found:
    return mapper().status(tree, json.dumps(tree).encode())


def plain_words(markup: str) -> list[str]:
    """Return the words of HTML by another way than the parser's: folded parts cut, tags to spaces.

    The recordings have no nested spans inside the folded ones, so a regular expression will do.
    """
    markup = re.sub(r'<span class="invisible">[^<]*</span>', "", markup)
    markup = re.sub(r'<(p|span) class="quote-inline">.*?(</p>|</a></span>)', "", markup)
    markup = re.sub(r"</?(p|br|ul|li|ol|blockquote|pre)\b[^>]*>", " ", markup)
    return unescape(re.sub(r"<[^>]+>", "", markup)).replace("…", "").split()


def recorded_statuses(connectors: Path) -> list[dict[str, Any]]:
    path = connectors / "mastodon_statuses.jsonl.gz"
    return [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]


def test_every_recorded_status_becomes_what_it_is(connectors: Path) -> None:
    outcomes: Counter[str] = Counter()
    for tree in recorded_statuses(connectors):
        found = mapped(tree)
        if tree["account"].get("noindex"):
            assert found.record == Skipped("noindex")
            outcomes["noindex"] += 1
            continue
        post = found.record
        assert isinstance(post, Post), found
        outcomes["posts"] += 1
        assert post_decoder.decode(encode(post)) == post
        assert post.id == tree["id"]
        expected = plain_words(tree["spoiler_text"]) + plain_words(tree["content"])
        expected = [word for word in expected if word != "-"]
        shown = [word for word in post.text.replace("…", "").split() if word != "-"]
        assert shown == expected
        assert not re.search(r"<[a-z/]|&(amp|lt|gt|quot|#39);", post.text)
        assert post.claimed_at == datetime.fromisoformat(tree["created_at"])
        assert post.lang == (tree["language"] or "")
        assert post.reply_to == tree["in_reply_to_id"]
        assert post.author.endswith(tree["account"]["acct"].partition("@")[2] or "@here.test")
        assert found.version == (tree.get("edited_at") or "")
    assert outcomes == {"posts": 59, "noindex": 3}


def recorded_outcomes(lines: list[str]) -> list[str]:
    """Return what each recorded event must come to, by a reading of its own."""
    outcomes: list[str] = []
    seen: set[str] = set()
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            body = json.loads(line.removeprefix("data: "))
            if name == "delete":
                outcomes.append("delete" if str(body) in seen else "ignored")
            elif name not in ("update", "status.update") or body["visibility"] != "public":
                outcomes.append("ignored")
            elif name == "update":
                seen.add(body["id"])
                outcomes.append("post")
            else:
                outcomes.append("edit")
    return outcomes


def test_every_recorded_streaming_event_has_its_outcome(connectors: Path) -> None:
    body = gzip.decompress((connectors / "mastodon_stream_recorded.sse.gz").read_bytes())
    found = []
    for item in parse(body):
        match item.record:
            case Post():
                found.append("post")
            case PostEvent(kind=kind):
                found.append(kind)
                assert post_event_decoder.decode(encode(item.record)) == item.record
            case Ignored():
                found.append("ignored")
            case other:
                pytest.fail(f"{other}")
    assert found == recorded_outcomes(body.decode().splitlines())
    assert Counter(found) == {"ignored": 6, "post": 2, "edit": 1, "delete": 1}


def test_a_boost_is_a_post_that_repeats_another() -> None:
    original = make_status("7", "worth reading", NOW, account={"acct": "ben@far.test"})
    post = mapped(status(reblog=original, content="")).record
    assert isinstance(post, Post)
    assert (post.id, post.repost_of, post.text) == ("42", "7", "worth reading")
    assert post.author == "ana@here.test"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"visibility": "unlisted"}, "not_public"),
        ({"visibility": "private"}, "not_public"),
        ({"visibility": "direct"}, "not_public"),
        ({"visibility": None}, "not_public"),
        ({"account": {"noindex": True}}, "noindex"),
        ({"reblog": make_status("7", "x", NOW, visibility="private")}, "not_public"),
        ({"reblog": make_status("7", "x", NOW, account={"noindex": True})}, "noindex"),
    ],
)
def test_what_is_not_for_everybody_is_skipped(fields: dict[str, Any], reason: str) -> None:
    assert mapped(status(**fields)).record == Skipped(reason)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"id": None}, "no id"),
        ({"id": "9" * 513}, "the id has 513 characters, expected at most 512"),
        ({"account": {"acct": ""}}, "no author"),
        ({"account": {"acct": "x" * 257}}, "the author has 267 characters, expected at most 256"),
        ({"content": None}, "no content"),
        ({"reblog": 3}, "the boosted status is no object"),
        ({"reblog": {}}, "the boosted status has no id"),
    ],
)
def test_what_cannot_be_a_post_says_why(fields: dict[str, Any], detail: str) -> None:
    record = mapped(status(**fields)).record
    assert isinstance(record, Unmappable)
    assert record.detail == detail


def test_odd_but_usable_fields_are_taken_as_far_as_they_go() -> None:
    tree = status(id=42, language="nobody knows", created_at="yesterday", url=None, uri=None)
    del tree["in_reply_to_id"], tree["reblog"], tree["spoiler_text"]
    post = mapped(tree).record
    assert isinstance(post, Post)
    assert (post.id, post.lang, post.claimed_at, post.url) == ("42", "", None, None)


def test_a_deletion_needs_a_known_author() -> None:
    assert mapper().event("delete", b"42").record == Skipped("unknown_post")
    gone = mapper(id42="ana").event("delete", b"42").record
    assert isinstance(gone, PostEvent)
    assert (gone.kind, gone.post_id, gone.author) == ("delete", "42", "ana")
    assert isinstance(mapper().event("delete", b"").record, Unmappable)
    assert isinstance(mapper().event("delete", b"\xff").record, Unmappable)


@pytest.mark.parametrize("name", ["notification", "conversation", "filters_changed", "message"])
def test_other_events_are_skipped_unread(name: str) -> None:
    assert mapper().event(name, b"{not json").record == Skipped("other_event")


STREAM = (
    b":)\nevent: update\ndata: {\ndata: }\n\n:thump\r\nevent: delete\r\ndata: 1\r\n\r\n"
    b"data\n\nid: 7\nretry: 5\nevent: x\n\nevent:y\rdata:z\r\r\xef\xbb\xbfdata: tail\n\ndata: half"
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = EventDecoder()
    found: list[ServerEvent] = []
    for start, end in pairwise(places):
        found += decoder.feed(STREAM[start:end])
    assert found == [
        ServerEvent("update", b"{\n}"),
        ServerEvent("delete", b"1"),
        ServerEvent("message", b""),
        ServerEvent("y", b"z"),
    ]
    assert decoder.comments == 2


def test_an_endless_event_is_cut_and_the_next_one_is_whole() -> None:
    decoder = EventDecoder(max_event_bytes=100)
    found: list[ServerEvent] = []
    for _ in range(50):
        found += decoder.feed(b"data: " + b"x" * 90)
    found += decoder.feed(b"\n\nevent: update\ndata: ok\n\n")
    found += decoder.feed(b"data: " + b"y" * 60 + b"\ndata: " + b"z" * 60 + b"\n\n")
    assert [(event.name, event.cut) for event in found] == [
        ("message", True),
        ("update", False),
        ("message", True),
    ]
    assert all(len(event.data) <= 101 for event in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(tree=st.dictionaries(st.sampled_from(sorted(status())), json_values, max_size=6))
def test_statuses_with_any_fields_come_to_something(tree: dict[str, Any]) -> None:
    found = mapped({**status(), **tree})
    assert isinstance(found.record, Post | Unmappable | Skipped)
    if isinstance(found.record, Post):
        assert post_decoder.decode(encode(found.record)) == found.record


@settings(max_examples=80, deadline=None)
@given(
    body=st.binary(max_size=300)
    | st.tuples(st.sampled_from(["update", "status.update", "delete", "x"]), st.binary()).map(
        lambda pair: f"event: {pair[0]}\ndata: ".encode() + pair[1] + b"\n\n"
    )
)
def test_any_bytes_can_be_parsed(body: bytes) -> None:
    for item in parse(body):
        assert item.record is not None
