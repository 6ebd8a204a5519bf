import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import reasons
from core.clock import ManualClock, epoch_ms
from core.codec import encode
from core.schemas import Post
from core.text import clean_text
from stream.store.ids import id_hash
from stream.worker.batch import PostBatch
from stream.worker.steps.decode_posts import (
    DECODED,
    EVENT_MS,
    ID_HASHES,
    INGESTED_MS,
    OFFSETS,
    SEEN_HOURS,
    TEXTS,
    DecodePosts,
    event_time,
    seen_hours,
)
from testkit.builders import NOON, make_post
from testkit.stream import batch_of

NOON_MS = epoch_ms(NOON)
HOUR_MS = 3_600_000


def _decoded(*values: bytes) -> PostBatch:
    batch = batch_of(*values)
    DecodePosts(200_000, ManualClock(NOON)).run(batch)
    return batch


def test_good_posts_keep_their_order_and_offsets():
    batch = _decoded(encode(make_post(1)), encode(make_post(2)))
    assert [post.id for post in batch[DECODED]] == ["p1", "p2"]
    assert batch[OFFSETS] == [10, 11]
    assert batch[EVENT_MS] == [epoch_ms(NOON) + 1000, epoch_ms(NOON) + 2000]
    assert not batch.dead
    assert not batch.repairs


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
    batch = _decoded(encode(make_post(1)), raw, encode(make_post(2)))
    assert [post.id for post in batch[DECODED]] == ["p1", "p2"]
    assert [(dead.offset, dead.reason) for dead in batch.dead] == [(11, reason)]
    assert batch.dead[0].value == raw


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
    batch = _decoded(encode(make_post(1, **changes)))
    assert batch.size == 1
    assert batch.repairs == {repair: 1}
    assert batch[EVENT_MS] == [event_ms]


def test_a_post_without_a_time_happens_when_it_is_ingested():
    post = make_post(1)
    raw = json.loads(encode(post))
    del raw["claimed_at"]
    batch = _decoded(json.dumps(raw).encode())
    assert batch[EVENT_MS] == [epoch_ms(post.ingested_at)]
    assert batch.repairs == {reasons.NO_CLAIMED_TIME: 1}


def test_joiners_in_emoji_and_line_ends_are_left_alone():
    assert clean_text("family 👨‍👩‍👧 time\nyes\ttab") == ("family 👨‍👩‍👧 time\nyes\ttab", None)


@given(st.integers(0, 2**41), st.integers(0, 2**41))
def test_event_time_is_never_outside_its_bounds(claimed: int, ingested: int):
    at, _ = event_time(claimed, ingested)
    assert ingested - 86_400_000 <= at <= ingested + 60_000


def test_a_copy_of_an_unusable_claim_is_looked_for_over_a_day():
    assert len(seen_hours(0, 50 * 3_600_000, reasons.CLAMPED_PAST)) == 25
    assert seen_hours(7_200_000, 0, None) == (2,)


@pytest.mark.parametrize(
    ("claimed_ms", "found"),
    [
        (HOUR_MS * 30 + 60_000, (HOUR_MS * 30 + 60_000, None)),
        (HOUR_MS * 30 + 60_001, (HOUR_MS * 30 + 60_000, reasons.CLAMPED_FUTURE)),
        (HOUR_MS * 6, (HOUR_MS * 6, None)),
        (HOUR_MS * 6 - 1, (HOUR_MS * 6, reasons.CLAMPED_PAST)),
        (None, (HOUR_MS * 30, reasons.NO_CLAIMED_TIME)),
    ],
)
def test_a_claim_is_clamped_beyond_a_minute_ahead_and_a_day_behind(
    claimed_ms: int | None, found: tuple[int, str | None]
) -> None:
    assert event_time(claimed_ms, HOUR_MS * 30) == found


def test_the_hours_in_which_a_copy_may_be_end_with_that_of_the_post() -> None:
    assert seen_hours(HOUR_MS - 1, 9 * HOUR_MS, None) == (0,)
    assert seen_hours(0, 30 * HOUR_MS - 1, reasons.NO_CLAIMED_TIME) == tuple(range(5, 30))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ("", reasons.EMPTY_TEXT)),
        ("   ", ("", reasons.EMPTY_TEXT)),
        ("\n\t", ("", reasons.EMPTY_TEXT)),
        ("\x00\x1f", ("", reasons.EMPTY_TEXT)),
        ("a b", ("a b", None)),
        ("a\nb", ("a\nb", None)),
        ("a\x1fb\x7f\x80\x9f\xa0", ("a b   \xa0", reasons.CONTROL_CHARACTERS)),
        ("a\x08\t\n\x0b\r", ("a \t\n \r", reasons.CONTROL_CHARACTERS)),
    ],
)
def test_control_characters_become_spaces_and_tabs_and_line_ends_stay(
    text: str, found: tuple[str, str | None]
) -> None:
    assert clean_text(text) == found


def _posts(*posts: Post) -> PostBatch:
    return _decoded(*(encode(post) for post in posts))


def _at(number: int, at: datetime, **changes: object) -> Post:
    return make_post(number, claimed_at=at, ingested_at=at, **changes)


def test_each_repair_of_a_batch_is_counted_and_both_of_one_post() -> None:
    future = NOON + timedelta(days=1)
    batch = _posts(
        _at(1, NOON, text="a\x00"),
        make_post(2, claimed_at=future, ingested_at=NOON, text=""),
        make_post(3, claimed_at=future, ingested_at=NOON),
    )
    assert batch.repairs == {
        reasons.CONTROL_CHARACTERS: 1, reasons.EMPTY_TEXT: 1, reasons.CLAMPED_FUTURE: 2,
    }  # fmt: skip
    assert [len(hours) for hours in batch[SEEN_HOURS]] == [1, 25, 25]


def test_rows_that_are_kept_are_the_same_in_every_column() -> None:
    batch = _posts(*(_at(n, NOON + timedelta(hours=n), text=f"text {n}") for n in range(4)))
    batch.keep([1, 3])
    assert [post.id for post in batch[DECODED]] == ["p1", "p3"]
    assert batch[TEXTS] == ["text 1", "text 3"]
    assert batch[OFFSETS] == [11, 13]
    assert batch[EVENT_MS] == batch[INGESTED_MS] == [NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS]
    assert batch[ID_HASHES] == [id_hash("synthetic", "p1"), id_hash("synthetic", "p3")]
    assert batch[SEEN_HOURS] == [(NOON_MS // HOUR_MS + 1,), (NOON_MS // HOUR_MS + 3,)]
    batch.keep([])
    assert (batch[DECODED], batch[TEXTS], batch[OFFSETS], batch[EVENT_MS]) == ([], [], [], [])
