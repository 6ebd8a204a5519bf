"""Copies and the too-late: the last post that is not too late, and what does not depend on cuts."""

from datetime import datetime, timedelta

import pytest

from core import reasons
from core.clock import ManualClock, epoch_ms, from_epoch_ms
from core.codec import encode, post_decoder
from core.schemas import Post
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.ids import decimal, kept_shard, lookup
from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS
from stream.topics import POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import PartitionPosition, PostBatch
from stream.worker.steps.decode_posts import DECODED, ID_HASHES, OFFSETS, DecodePosts
from stream.worker.steps.deduplicate import Deduplicate
from stream.worker.steps.place_in_time import PlaceInTime
from testkit.builders import NOON, make_post
from testkit.stream import batch_of

WINDOWS = WindowSettings(pane_s=60, retention_s=21_600, allowed_lateness_s=30)
NOON_MS = epoch_ms(NOON)
DECODE = DecodePosts(10_000, ManualClock(NOON))


class Counted:
    """A store that has counted the posts of some rows."""

    def __init__(self, *seen: bool) -> None:
        self.found = list(seen)

    async def seen(self, partition, lookups, first=None, applied=-1):
        return self.found or [False] * len(lookups)


def _at(number: int, at: datetime, **changes: object) -> Post:
    return make_post(number, claimed_at=at, ingested_at=at, **changes)


async def _deduplicated(*posts: Post, seen=(), watermark_ms=-1, in_flight=()) -> PostBatch:
    batch = batch_of(*(encode(post) for post in posts), watermark_ms=watermark_ms)
    batch.position.ids_in_flight.update(in_flight)
    DECODE.run(batch)
    await Deduplicate(Counted(*seen), WINDOWS).run(batch)
    return batch


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
async def test_what_is_too_late_does_not_depend_on_where_batches_are_cut(cut: int):
    """An hour-old post counts, one beyond retention of the posts before it does not."""
    hours = [0, 7, 6, 0.5, 7.1]
    values = [encode(_at(n, NOON + timedelta(hours=at))) for n, at in enumerate(hours)]
    position = PartitionPosition(POSTS, 0, -1, PartitionWatermark(30_000))
    kept: list[str] = []
    dead: list[tuple[int, str]] = []
    for start in range(0, len(values), cut):
        batch = batch_of(*values[start : start + cut], first=start, position=position)
        DECODE.run(batch)
        await Deduplicate(Counted(), WINDOWS).run(batch)
        PlaceInTime(WINDOWS.pane_s).run(batch)
        kept += [post.id for post in batch[DECODED]]
        dead += [(one.offset, one.reason) for one in batch.dead]
    assert kept == ["p0", "p1", "p2", "p4"]
    assert dead == [(3, reasons.DROPPED_LATE)]


async def test_a_copy_of_what_is_too_late_is_too_late_wherever_batches_are_cut():
    for cut in (1, 3):
        position = PartitionPosition(POSTS, 0, -1, PartitionWatermark(30_000))
        posts = [_at(1, NOON + timedelta(hours=7)), *[_at(2, NOON)] * 2]
        values, dead = [encode(post) for post in posts], []
        for start in range(0, 3, cut):
            batch = batch_of(*values[start : start + cut], first=start, position=position)
            DECODE.run(batch)
            await Deduplicate(Counted(), WINDOWS).run(batch)
            PlaceInTime(WINDOWS.pane_s).run(batch)
            dead += [(one.offset, one.reason) for one in batch.dead]
        assert dead == [(1, reasons.DROPPED_LATE), (2, reasons.DROPPED_LATE)]


async def test_a_copy_in_the_same_batch_is_dropped_and_the_first_stays():
    batch = await _deduplicated(*(_at(n, NOON) for n in (1, 2, 1)))
    assert batch[OFFSETS] == [10, 11]
    assert [(one.offset, one.reason) for one in batch.dead] == [(12, reasons.DUPLICATE)]
    assert batch.dead[0].value == b""


def test_id_hashes_are_signed_decimals_and_their_shards_are_bounded():
    assert decimal(b"\xff" * 8) == "-1"
    assert decimal(b"\x00" * 7 + b"\x05") == "5"
    assert kept_shard(b"\xff\xff" + b"\0" * 6) == 4095


async def test_a_post_is_too_late_when_retention_has_passed_the_end_of_its_pane() -> None:
    last_ms = NOON_MS + WINDOWS.retention_s * 1000 + 60_000
    for watermark_ms, is_dead in ((last_ms - 1, False), (last_ms, True), (-1, False)):
        post = _at(1, NOON + timedelta(seconds=59))
        batch = await _deduplicated(post, watermark_ms=watermark_ms)
        assert [one.reason for one in batch.dead] == [reasons.DROPPED_LATE] * is_dead
        if is_dead:
            assert post_decoder.decode(batch.dead[0].value).id == "p1"
            assert from_epoch_ms(last_ms).isoformat() in batch.dead[0].detail


async def test_a_watermark_of_zero_is_one() -> None:
    early = from_epoch_ms(0) - timedelta(seconds=WINDOWS.retention_s + 60)
    batch = await _deduplicated(_at(1, early), watermark_ms=0)
    assert [one.reason for one in batch.dead] == [reasons.DROPPED_LATE]


async def test_what_was_seen_or_is_in_flight_is_a_copy_and_what_stays_is_in_flight() -> None:
    posts = [_at(n, NOON) for n in range(3)]
    hashes = (await _deduplicated(*posts))[ID_HASHES]
    batch = await _deduplicated(*posts, seen=(True, False, False), in_flight=hashes[1:2])
    assert batch[OFFSETS] == [12]
    assert [(one.offset, one.reason) for one in batch.dead] == [
        (10, reasons.DUPLICATE), (11, reasons.DUPLICATE),
    ]  # fmt: skip
    assert batch.position.ids_in_flight == {hashes[1], hashes[2]}


@pytest.mark.parametrize(("late_ms", "kept"), [(0, 1), (1, 2)])
async def test_a_post_before_it_in_the_batch_makes_one_late_less_the_allowed_lateness(
    late_ms: int, kept: int
) -> None:
    seconds = WINDOWS.pane_s + WINDOWS.retention_s + WINDOWS.allowed_lateness_s
    ahead = NOON + timedelta(seconds=seconds) - timedelta(milliseconds=late_ms)
    assert (await _deduplicated(_at(1, ahead), _at(2, NOON), watermark_ms=NOON_MS)).size == kept


async def test_only_posts_move_the_time_by_which_others_are_late() -> None:
    far = NOON + timedelta(seconds=WINDOWS.retention_s + 120)
    for source, kept in ((heartbeat.SOURCE, 2), ("synthetic", 1)):
        posts = [_at(1, far, source=source), _at(2, NOON)]
        assert (await _deduplicated(*posts, watermark_ms=NOON_MS)).size == kept


def test_an_id_is_asked_for_as_a_signed_decimal_in_the_shard_of_its_third_and_fourth_byte() -> None:
    hashed = bytes((0x12, 0x34, 0x07, 0x05, 0, 0, 0, 9))
    assert lookup(hashed, (7, 8)) == (decimal(hashed), 0x0705 % SEEN_SHARDS, (7, 8))
    assert kept_shard(hashed) == 0x1234 % KEPT_SHARDS
