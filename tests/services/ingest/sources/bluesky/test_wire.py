"""Nothing that a server sends raises out of the parsers; what is good is read exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import encode, post_decoder, post_event_decoder
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.base import Ignored, Unmappable
from services.ingest.sources.bluesky.client import Unpacker
from services.ingest.sources.bluesky.options import LIKE, POST, REPOST
from services.ingest.sources.bluesky.parse import EventMapper
from services.ingest.sources.bluesky.wire import (
    PARSERS,
    ErrorFrame,
    Event,
    Malformed,
    Notice,
    parse_v1,
    parse_v2,
)
from testkit.platforms.bluesky.journal import Conversation, account, commit, refusal

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ENTRIES = list(Conversation(NOW, seed=3, posts_share=0.5).events(200))
HELD = ("at://did:plc:a/app.bsky.feed.post/one", "at://did:plc:a/app.bsky.feed.post/two")
MAPPER = EventMapper(Secret(), lambda author: HELD if author == "did:plc:a" else ())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def expect_good(raw: bytes, version: str) -> None:
    """Whatever the bytes are: a frame comes out, and records that our own decoders take."""
    frame = PARSERS[version](raw)
    assert isinstance(frame, Event | Notice | ErrorFrame | Malformed)
    if not isinstance(frame, Event):
        return
    records = MAPPER.records(frame, raw, NOW)
    assert records
    for record in records:
        if isinstance(record, Post):
            post_decoder.decode(encode(record))
        elif isinstance(record, PostEvent):
            post_event_decoder.decode(encode(record))
        else:
            assert isinstance(record, Unmappable | Ignored)


@pytest.mark.parametrize("version", ["v1", "v2"])
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_said_to_be_none(version: str, raw: bytes) -> None:
    expect_good(raw, version)


@settings(max_examples=300)
@given(data=st.data())
def test_a_good_frame_with_anything_in_any_place_raises_nothing(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(["v1", "v2"]))
    entry = data.draw(st.sampled_from(ENTRIES))
    told: Any = json.loads(entry.v1 if version == "v1" else entry.v2)
    where: Any = told
    while True:
        key = data.draw(st.sampled_from(sorted(where)))
        if isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
            where = where[key]
            continue
        break
    where[key] = data.draw(json_values)
    expect_good(json.dumps(told).encode(), version)


@settings(max_examples=200)
@given(data=st.data())
def test_a_good_frame_with_a_changed_byte_raises_nothing(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(["v1", "v2"]))
    entry = data.draw(st.sampled_from(ENTRIES))
    raw = bytearray(entry.v1 if version == "v1" else entry.v2)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    expect_good(bytes(raw[: data.draw(st.integers(place, len(raw)))]), version)


def test_deeply_nested_frames_are_malformed() -> None:
    deep = b'{"did":"did:plc:a","time_us":1,"kind":' + b"[" * 100_000
    assert isinstance(parse_v1(deep), Malformed)
    assert isinstance(parse_v2(deep), Malformed)


@given(raw=st.binary(max_size=300))
def test_any_bytes_as_a_zstd_frame_raise_nothing(raw: bytes) -> None:
    assert isinstance(UNPACKER.unpack(raw), bytes | str)


TRAINED = zstandard.train_dictionary(4_096, [e.v2 for e in ENTRIES] * 5)
UNPACKER = Unpacker(TRAINED.as_bytes(), 10_000)


def test_a_frame_that_unfolds_beyond_the_limit_is_refused_with_and_without_its_size() -> None:
    packed = zstandard.ZstdCompressor(dict_data=TRAINED).compress(bytes(20_000))
    assert "20000 bytes" in str(UNPACKER.unpack(packed))
    nameless = zstandard.ZstdCompressor(dict_data=TRAINED, write_content_size=False)
    assert isinstance(UNPACKER.unpack(nameless.compress(bytes(20_000))), str)
    assert UNPACKER.unpack(nameless.compress(bytes(9_000))) == bytes(9_000)


def test_a_record_of_another_app_with_fields_of_other_types_is_ignored() -> None:
    entry = commit(1, 1, "did:plc:a", "create", "fm.teal.status", "k", {"text": {"deep": [1]}})
    for frame, version in ((entry.v1, "v1"), (entry.v2, "v2")):
        event = PARSERS[version](frame)
        assert isinstance(event, Event)
        assert MAPPER.records(event, frame, NOW) == (Ignored(),)


def test_a_post_with_fields_of_other_types_is_malformed_and_its_text_is_not_told() -> None:
    entry = commit(1, 1, "did:plc:a", "create", POST, "k", {"text": "secret", "langs": "secret"})
    for frame, version in ((entry.v1, "v1"), (entry.v2, "v2")):
        found = PARSERS[version](frame)
        assert isinstance(found, Malformed)
        assert "secret" not in found.detail


def test_both_versions_say_the_same() -> None:
    for entry in ENTRIES:
        assert parse_v1(entry.v1) == parse_v2(entry.v2)


def test_notices_and_refusals_of_v2_are_told_apart() -> None:
    told = parse_v2(refusal("ConsumerTooSlow", "reconnect with cursor=7"))
    assert told == ErrorFrame("ConsumerTooSlow", "reconnect with cursor=7")


@pytest.mark.parametrize("status", ["deactivated", "deleted", "suspended", "takendown"])
def test_a_gone_account_takes_its_held_posts_with_it(status: str) -> None:
    event = parse_v1(account(5, 1_000_000, "did:plc:a", active=False, status=status).v1)
    assert isinstance(event, Event)
    records = MAPPER.records(event, b"", NOW)
    assert [(r.kind, r.post_id) for r in records if isinstance(r, PostEvent)] == [
        ("delete", post) for post in HELD
    ]


@pytest.mark.parametrize(("active", "status"), [(True, ""), (False, "throttled"), (False, "")])
def test_an_account_that_is_not_gone_keeps_its_posts(active: bool, status: str) -> None:
    event = parse_v1(account(5, 1_000_000, "did:plc:a", active=active, status=status).v1)
    assert isinstance(event, Event)
    assert MAPPER.records(event, b"", NOW) == (Ignored(),)


@pytest.mark.parametrize("collection", [LIKE, REPOST])
def test_a_reaction_is_keyed_by_whose_post_it_is_and_hidden_alike(collection: str) -> None:
    mapper = EventMapper(Secret("k"), lambda author: ())
    made = commit(1, 1, "did:plc:poster", "create", POST, "p", {"text": "t"})
    uri = f"at://did:plc:poster/{POST}/p"
    subject = {"subject": {"uri": uri, "cid": "c"}}
    reaction = commit(2, 2, "did:plc:reader", "create", collection, "r", subject)
    events = [parse_v1(entry.v1) for entry in (made, reaction)]
    (post,), (told,) = (mapper.records(e, b"", NOW) for e in events if isinstance(e, Event))
    assert isinstance(post, Post)
    assert isinstance(told, PostEvent)
    assert (told.post_id, told.author) == (post.id, post.author)
    assert "did:plc" not in str((post, told))


def test_a_liked_feed_is_no_event_of_a_post() -> None:
    subject = {"subject": {"uri": "at://did:plc:a/app.bsky.feed.generator/x", "cid": "c"}}
    entry = commit(1, 1, "did:plc:a", "create", LIKE, "k", subject)
    event = parse_v1(entry.v1)
    assert isinstance(event, Event)
    assert MAPPER.records(event, b"", NOW) == (Ignored(),)


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00+00:00"),
        ("2026-07-01T10:00:00+02:00", "2026-07-01T08:00:00+00:00"),
        ("2026-07-01T10:00:00", "2026-07-01T10:00:00+00:00"),
        ("1969-01-01T00:00:00Z", "1969-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_claimed_times_become_utc_or_nothing(claimed: str, expected: str | None) -> None:
    record = {"text": "t", "createdAt": claimed}
    event = parse_v1(commit(1, 1, "did:plc:a", "create", POST, "k", record).v1)
    assert isinstance(event, Event)
    (post,) = MAPPER.records(event, b"", NOW)
    assert isinstance(post, Post)
    found = None if post.claimed_at is None else post.claimed_at.isoformat()
    assert found == expected
