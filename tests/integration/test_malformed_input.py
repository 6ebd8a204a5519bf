"""Malformed input of every kind ends in `dead-posts` with its reason, or is repaired."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core import reasons
from core.codec import encode
from stream.topics import POSTS
from testkit.builders import make_post

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)


def _raw(**changes: object) -> bytes:
    """Return a valid post as JSON with some fields changed; None as a value stays null."""
    post = json.loads(encode(make_post(1, id="x", claimed_at=NOW, ingested_at=NOW)))
    return json.dumps(post | changes).encode()


def _without(field: str) -> bytes:
    post = json.loads(_raw())
    del post[field]
    return json.dumps(post).encode()


REFUSED: dict[str, tuple[bytes, str]] = {
    "bad JSON": (b'{"id": "x", ', reasons.NOT_JSON),
    "empty message": (b"", reasons.NOT_JSON),
    "invalid UTF-8": (b'{"id": "\xc3\x28"}', reasons.NOT_UTF8),
    "not an object": (b'["a", "list"]', reasons.NOT_OBJECT),
    "wrong type": (_raw(text=["a", "list"]), reasons.WRONG_TYPE),
    "unknown version": (_raw(v=7), reasons.UNKNOWN_VERSION),
    "missing field": (_without("author"), reasons.MISSING_FIELD),
    "null": (_raw(text=None), reasons.NULL_FIELD),
    "empty id": (_raw(id=""), reasons.OUT_OF_RANGE),
    "no time zone": (_raw(ingested_at="2026-03-01T12:00:00"), reasons.OUT_OF_RANGE),
    "five megabytes": (_raw(text="long " * 1_000_000), reasons.TOO_LARGE),
    "deep nesting": (b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", reasons.TOO_DEEP),
}

REPAIRED: dict[str, tuple[bytes, str]] = {
    "a future date": (
        _raw(id="future", claimed_at=(NOW + timedelta(days=9000)).isoformat()),
        reasons.CLAMPED_FUTURE,
    ),
    "1970": (_raw(id="past", claimed_at="1970-01-01T00:00:00Z"), reasons.CLAMPED_PAST),
    "no date": (json.dumps(json.loads(_without("claimed_at")) | {"id": "undated"}).encode(),
                reasons.NO_CLAIMED_TIME),
    "empty text": (_raw(id="empty", text=""), reasons.EMPTY_TEXT),
    "control characters": (_raw(id="bell", text="a\u0000b\u0007\u001b[2Jc"),
                           reasons.CONTROL_CHARACTERS),
}  # fmt: skip


def test_each_kind_gets_its_reason_or_its_repair_and_the_stream_goes_on(make_stream: Callable):
    # Kafka must carry the five megabytes, so that it is the worker that has to cope with them.
    stream = make_stream(kafka={"max_message_bytes": 8_000_000})
    good = [encode(make_post(i, claimed_at=NOW, ingested_at=NOW)) for i in range(2, 40)]
    values = [
        *good[:10],
        *(raw for raw, _ in REFUSED.values()),
        *good[10:20],
        *(raw for raw, _ in REPAIRED.values()),
        good[0],  # a duplicate id
        *good[20:],
    ]
    stream.start_worker("w1")
    # One key: one partition, so that what follows a bad message is known to come after it.
    stream.produce(POSTS, [(b"author", value) for value in values])
    stream.wait_until(lambda: stream.accounted() >= len(values), "counting all messages")

    letters = sorted(stream.dead(), key=lambda letter: letter.offset)
    expected = [reason for _, reason in REFUSED.values()]
    assert [letter.reason for letter in letters] == [*expected, reasons.DUPLICATE]
    for letter, (raw, _) in zip(letters, REFUSED.values(), strict=False):
        assert letter.size == len(raw)
        assert letter.payload == raw[:65_536]

    in_panes = sum(c["posts"] for (q, _), c in stream.windows().items() if q == "all")
    assert in_panes == len(good) + len(REPAIRED)
    scored = {post.id: post for post in stream.scored()}
    assert scored["future"].event_at == NOW + timedelta(seconds=60)
    assert scored["past"].event_at == NOW - timedelta(hours=24)
    assert scored["undated"].event_at == NOW
    assert not scored["empty"].rated
    assert scored["bell"].rated
