import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import reasons
from core.clock import epoch_ms
from core.codec import RecordDecoder, encode
from core.schemas import Post, PostEvent
from core.text import clean_text
from stream.worker.intake import accept_events, accept_posts, event_time, seen_hours
from testkit.builders import NOON, make_event, make_post
from testkit.stream import MemoryRecord

DECODER = RecordDecoder(Post, 200_000)


def _run(*values: bytes):
    return accept_posts([MemoryRecord(10 + i, value) for i, value in enumerate(values)], DECODER)


def test_good_posts_keep_their_order_and_offsets():
    run = _run(encode(make_post(1)), encode(make_post(2)))
    assert [post.id for post in run.posts] == ["p1", "p2"]
    assert run.offsets == [10, 11]
    assert run.event_ms == [epoch_ms(NOON) + 1000, epoch_ms(NOON) + 2000]
    assert not run.dead
    assert not run.repairs


_BASE = json.loads(encode(make_post(1)))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{broken", reasons.NOT_JSON),
        (b"", reasons.NOT_JSON),
        (b"\xff\xfe{}", reasons.NOT_UTF8),
        (b"[1, 2]", reasons.NOT_OBJECT),
        (json.dumps(_BASE | {"v": 99}).encode(), reasons.UNKNOWN_VERSION),
        (json.dumps({k: v for k, v in _BASE.items() if k != "id"}).encode(), reasons.MISSING_FIELD),
        (json.dumps(_BASE | {"author": None}).encode(), reasons.NULL_FIELD),
        (json.dumps(_BASE | {"text": 7}).encode(), reasons.WRONG_TYPE),
        (json.dumps(_BASE | {"id": ""}).encode(), reasons.OUT_OF_RANGE),
        (
            json.dumps(_BASE | {"ingested_at": "2026-03-01T12:00:00"}).encode(),
            reasons.OUT_OF_RANGE,
        ),
        (b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", reasons.TOO_DEEP),
        (json.dumps(_BASE | {"text": "x" * 300_000}).encode(), reasons.TOO_LARGE),
    ],
)
def test_unusable_bytes_get_their_own_reason_and_the_run_goes_on(raw: bytes, reason: str):
    run = _run(encode(make_post(1)), raw, encode(make_post(2)))
    assert [post.id for post in run.posts] == ["p1", "p2"]
    assert [(letter.offset, letter.reason) for letter in run.dead] == [(11, reason)]
    assert run.dead[0].value == raw


@pytest.mark.parametrize(
    ("changes", "repair", "event_ms"),
    [
        (
            {"claimed_at": NOON + timedelta(days=3650), "ingested_at": NOON},
            reasons.CLAMPED_FUTURE,
            epoch_ms(NOON) + 60_000,
        ),
        (
            {"claimed_at": NOON - timedelta(days=20_000), "ingested_at": NOON},
            reasons.CLAMPED_PAST,
            epoch_ms(NOON) - 86_400_000,
        ),
        ({"text": ""}, reasons.EMPTY_TEXT, epoch_ms(NOON) + 1000),
        ({"text": " \x07 \n"}, reasons.EMPTY_TEXT, epoch_ms(NOON) + 1000),
        ({"text": "a\x00b\x1b[31m"}, reasons.CONTROL_CHARACTERS, epoch_ms(NOON) + 1000),
    ],
)
def test_documented_repairs_accept_the_post(changes: dict, repair: str, event_ms: int):
    run = _run(encode(make_post(1, **changes)))
    assert len(run.posts) == 1
    assert run.repairs == {repair: 1}
    assert run.event_ms == [event_ms]


def test_a_post_without_a_time_happens_when_it_is_ingested():
    post = make_post(1)
    raw = json.loads(encode(post))
    del raw["claimed_at"]
    run = _run(json.dumps(raw).encode())
    assert run.event_ms == [epoch_ms(post.ingested_at)]
    assert run.repairs == {reasons.NO_CLAIMED_TIME: 1}


def test_joiners_in_emoji_and_line_ends_are_left_alone():
    assert clean_text("family 👨‍👩‍👧 time\nyes\ttab") == ("family 👨‍👩‍👧 time\nyes\ttab", None)


@given(st.integers(0, 2**41), st.integers(0, 2**41))
def test_event_time_is_never_outside_its_bounds(claimed: int, ingested: int):
    at, _ = event_time(claimed, ingested)
    assert ingested - 86_400_000 <= at <= ingested + 60_000


def test_a_copy_of_an_unusable_claim_is_looked_for_over_a_day():
    assert len(seen_hours(0, 50 * 3_600_000, reasons.CLAMPED_PAST)) == 25
    assert seen_hours(7_200_000, 0, None) == (2,)


def test_an_edit_without_text_is_a_dead_letter():
    decoder = RecordDecoder(PostEvent)
    run = accept_events(
        [
            MemoryRecord(0, encode(make_event("edit", 1))),
            MemoryRecord(1, encode(make_event("edit", 1, text="better"))),
            MemoryRecord(2, encode(make_event("delete", 1))),
        ],
        decoder,
    )
    assert [event.kind for event in run.events] == ["edit", "delete"]
    assert [letter.reason for letter in run.dead] == [reasons.MISSING_FIELD]
