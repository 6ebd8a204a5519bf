"""Posts at the bounds: the last that is not too late, the clamp's edge, and what a batch tells."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from core import reasons
from core.clock import epoch_ms, from_epoch_ms
from core.codec import RecordDecoder, encode, post_decoder, scored_post_decoder
from core.heads import HEADS
from core.ports import ScoreBatch
from core.schemas import Post
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.increments import ApplyBatch
from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS
from stream.topics import POSTS
from stream.worker.intake import (
    AcceptedPosts,
    accept_posts,
    clean_text,
    event_time,
    id_hash,
    seen_hours,
)
from stream.worker.pipeline import Outcome, Pipeline, decimal, kept_shard, lookup
from stream.worker.scoring import Scored
from testkit.builders import NOON, make_post
from testkit.stream import MemoryRecord

WINDOWS = WindowSettings(pane_s=60, retention_s=21_600, allowed_lateness_s=30)
NOON_MS = epoch_ms(NOON)
HOUR_MS = 3_600_000
NAMES = ("all", "trains", "late")


def _accepted(*posts: Post) -> AcceptedPosts:
    records = [MemoryRecord(10 + i, encode(post)) for i, post in enumerate(posts)]
    return accept_posts(records, RecordDecoder(Post))


def _at(number: int, at: datetime, **changes: object) -> Post:
    return make_post(number, claimed_at=at, ingested_at=at, **changes)


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


def test_each_repair_of_a_run_is_counted_and_both_of_one_post() -> None:
    future = NOON + timedelta(days=1)
    run = _accepted(
        _at(1, NOON, text="a\x00"),
        make_post(2, claimed_at=future, ingested_at=NOON, text=""),
        make_post(3, claimed_at=future, ingested_at=NOON),
    )
    assert run.repairs == {
        reasons.CONTROL_CHARACTERS: 1, reasons.EMPTY_TEXT: 1, reasons.CLAMPED_FUTURE: 2,
    }  # fmt: skip
    assert [len(hours) for hours in run.seen_hours] == [1, 25, 25]


def test_the_event_time_is_the_claim_itself_only_where_it_was_not_clamped() -> None:
    elsewhere = timezone(timedelta(hours=2))
    run = _accepted(
        _at(1, NOON + timedelta(microseconds=7)),
        make_post(2, claimed_at=NOON + timedelta(days=1), ingested_at=NOON),
        make_post(3, claimed_at=None, ingested_at=NOON),
    )
    assert run.event_at(0) == NOON + timedelta(microseconds=7)
    assert run.event_at(1) == NOON + timedelta(minutes=1)
    run.posts[0] = _at(1, NOON.astimezone(elsewhere))
    assert run.event_at(0).tzinfo is UTC


def test_rows_that_are_kept_are_the_same_in_every_column() -> None:
    run = _accepted(*(_at(n, NOON + timedelta(hours=n), text=f"text {n}") for n in range(4)))
    run.keep([1, 3])
    assert [post.id for post in run.posts] == ["p1", "p3"]
    assert run.texts == ["text 1", "text 3"]
    assert run.offsets == [11, 13]
    assert run.event_ms == run.ingested_ms == [NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS]
    assert run.id_hashes == [id_hash("synthetic", "p1"), id_hash("synthetic", "p3")]
    assert run.seen_hours == [(NOON_MS // HOUR_MS + 1,), (NOON_MS // HOUR_MS + 3,)]
    run.keep([])
    assert (run.posts, run.texts, run.offsets, run.event_ms) == ([], [], [], [])


def test_a_post_is_too_late_when_retention_has_passed_the_end_of_its_pane() -> None:
    last_ms = NOON_MS + WINDOWS.retention_s * 1000 + 60_000
    for watermark_ms, is_dead in ((last_ms - 1, False), (last_ms, True), (-1, False)):
        run = _accepted(_at(1, NOON + timedelta(seconds=59)))
        Pipeline(WINDOWS).drop_unwanted(run, [False], set(), watermark_ms)
        assert [letter.reason for letter in run.dead] == [reasons.DROPPED_LATE] * is_dead
        if is_dead:
            assert post_decoder.decode(run.dead[0].value).id == "p1"
            assert from_epoch_ms(last_ms).isoformat() in run.dead[0].detail


def test_a_watermark_of_zero_is_one() -> None:
    early = from_epoch_ms(0) - timedelta(seconds=WINDOWS.retention_s + 60)
    run = _accepted(_at(1, early))
    Pipeline(WINDOWS).drop_unwanted(run, [False], set(), 0)
    assert [letter.reason for letter in run.dead] == [reasons.DROPPED_LATE]


def test_what_was_seen_or_is_in_flight_is_a_copy_and_what_stays_is_in_flight() -> None:
    run = _accepted(*(_at(n, NOON) for n in range(3)))
    pending = {run.id_hashes[1]}
    hashes = list(run.id_hashes)
    Pipeline(WINDOWS).drop_unwanted(run, [True, False, False], pending, -1)
    assert run.offsets == [12]
    assert [(letter.offset, letter.reason) for letter in run.dead] == [
        (10, reasons.DUPLICATE), (11, reasons.DUPLICATE),
    ]  # fmt: skip
    assert pending == {hashes[1], hashes[2]}


@pytest.mark.parametrize(("late_ms", "kept"), [(0, 1), (1, 2)])
def test_a_post_before_it_in_the_batch_makes_one_late_less_the_allowed_lateness(
    late_ms: int, kept: int
) -> None:
    seconds = WINDOWS.pane_s + WINDOWS.retention_s + WINDOWS.allowed_lateness_s
    ahead = NOON + timedelta(seconds=seconds) - timedelta(milliseconds=late_ms)
    run = _accepted(_at(1, ahead), _at(2, NOON))
    Pipeline(WINDOWS).drop_unwanted(run, [False, False], set(), NOON_MS)
    assert len(run.posts) == kept


def test_only_posts_move_the_time_by_which_others_are_late() -> None:
    far = NOON + timedelta(seconds=WINDOWS.retention_s + 120)
    for source, kept in ((heartbeat.SOURCE, 2), ("synthetic", 1)):
        run = _accepted(_at(1, far, source=source), _at(2, NOON))
        Pipeline(WINDOWS).drop_unwanted(run, [False, False], set(), NOON_MS)
        assert len(run.posts) == kept


def test_an_id_is_asked_for_as_a_signed_decimal_in_the_shard_of_its_third_and_fourth_byte() -> None:
    hashed = bytes((0x12, 0x34, 0x07, 0x05, 0, 0, 0, 9))
    assert lookup(hashed, (7, 8)) == (decimal(hashed), 0x0705 % SEEN_SHARDS, (7, 8))
    assert kept_shard(hashed) == 0x1234 % KEPT_SHARDS


def _scored(positive: list[float], rated: list[bool]) -> Scored:
    size = len(positive)
    heads = {name: np.zeros((size, len(labels)), np.float32) for name, labels in HEADS.items()}
    heads["sentiment"][:, 2] = positive
    return Scored(ScoreBatch("m-1", np.array(rated), heads), {})


def _outcome(run: AcceptedPosts, scored: Scored, matches: list[tuple[int, ...]]) -> Outcome:
    apply = ApplyBatch(POSTS, 9, 9 + len(run.offsets))
    return Pipeline(WINDOWS).posts_outcome(run, matches, NAMES, scored, apply)


def test_a_batch_tells_what_it_counted_and_what_it_did_not() -> None:
    run = _accepted(
        _at(1, NOON), _at(2, NOON + timedelta(seconds=60), near_duplicate=True, lang="eu"),
        _at(3, NOON, source=heartbeat.SOURCE),
    )  # fmt: skip
    run.dead.append(accept_posts([MemoryRecord(5, b"{")], RecordDecoder(Post)).dead[0])
    outcome = _outcome(run, _scored([0.5, 0.25, 0.0], [True, False, False]), [(0, 1), (0,), (0,)])
    assert (outcome.counted, outcome.heartbeats, outcome.unrated) == (2, 1, 2)
    assert outcome.model_version == "m-1"
    assert outcome.ingested_ms == run.ingested_ms
    assert outcome.apply.totals == {"counted": 2, heartbeat.TOTAL: 1, "dead:posts": 1}
    assert not outcome.is_only_heartbeats
    posts = [scored_post_decoder.decode(value) for _, value, _ in outcome.scored]
    assert [post.queries for post in posts[:2]] == [["all", "trains"], ["all"]]
    assert [post.pane_start for post in posts[:2]] == [NOON, NOON + timedelta(seconds=60)]
    assert [post.rated for post in posts] == [True, False, False]
    assert [post.near_duplicate for post in posts] == [False, True, False]
    assert [post.scores["sentiment"][2] for post in posts] == [500_000, 250_000, 0]
    assert [post.event_at for post in posts[:2]] == [NOON, NOON + timedelta(seconds=60)]
    assert [offset for _, _, offset in outcome.scored] == [10, 11, 12]
    assert posts[1].stratum.split("|")[:2] == ["synthetic", "other"]
    seconds = NOON_MS // 1000
    assert set(outcome.apply.panes) == {seconds, seconds + 60}
    assert sum(len(ids) for ids in outcome.apply.seen.values()) == 3
    assert {hour for hour, _ in outcome.apply.seen} == {NOON_MS // HOUR_MS}
    assert sum(len(pairs) for pairs in outcome.apply.kept.values()) == 6


def test_a_batch_of_which_nothing_is_left_still_tells_its_letters() -> None:
    run = _accepted()
    run.dead.append(accept_posts([MemoryRecord(5, b"{")], RecordDecoder(Post)).dead[0])
    outcome = _outcome(run, Scored(None, {}), [])
    assert outcome.apply.totals == {"counted": 0, heartbeat.TOTAL: 0, "dead:posts": 1}
    assert (outcome.scored, outcome.apply.panes, outcome.apply.seen) == ([], {}, {})


@pytest.mark.parametrize(
    ("counted", "heartbeats", "dead", "is_only"),
    [(0, 2, 0, True), (1, 2, 0, False), (0, 2, 1, False), (0, 0, 0, False), (0, 1, 0, True)],
)
def test_only_a_batch_of_heartbeats_and_nothing_else_says_nothing_of_posts(
    counted: int, heartbeats: int, dead: int, is_only: bool
) -> None:
    outcome = Outcome(ApplyBatch(POSTS, 0, 1), counted=counted, heartbeats=heartbeats)
    outcome.dead = accept_posts([MemoryRecord(5, b"{")] * dead, RecordDecoder(Post)).dead
    assert outcome.is_only_heartbeats is is_only
