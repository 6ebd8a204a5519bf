from datetime import timedelta

import pytest

from core import reasons
from core.clock import epoch_ms
from core.codec import RecordDecoder, encode
from core.schemas import Post
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.ids import decimal, kept_shard
from stream.windows.watermark import PartitionWatermark
from stream.worker.intake import accept_posts
from stream.worker.pipeline import Pipeline
from testkit.builders import NOON, make_post
from testkit.stream import MemoryRecord

WINDOWS = WindowSettings(retention_s=21_600, allowed_lateness_s=30)


def _post(number: int, hours: float) -> bytes:
    at = NOON + timedelta(hours=hours)
    return encode(make_post(number, claimed_at=at, ingested_at=at))


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_what_is_too_late_does_not_depend_on_where_batches_are_cut(cut: int):
    """An hour-old post counts, one beyond retention of the posts before it does not."""
    values = [_post(0, 0), _post(1, 7), _post(2, 6), _post(3, 0.5), _post(4, 7.1)]
    pipeline, decoder = Pipeline(WINDOWS), RecordDecoder(Post)
    watermark, pending = PartitionWatermark(30_000), set()
    kept: list[str] = []
    dead: list[tuple[int, str]] = []
    for start in range(0, len(values), cut):
        records = [
            MemoryRecord(start + i, value) for i, value in enumerate(values[start : start + cut])
        ]
        run = accept_posts(records, decoder)
        pipeline.drop_unwanted(run, [False] * len(run.posts), pending, watermark.value_ms)
        for event_ms in run.event_ms:
            watermark.advance(event_ms)
        kept += [post.id for post in run.posts]
        dead += [(letter.offset, letter.reason) for letter in run.dead]
    assert kept == ["p0", "p1", "p2", "p4"]
    assert dead == [(3, reasons.DROPPED_LATE)]


def test_a_copy_in_the_same_run_is_dropped_and_the_first_stays():
    run = accept_posts(
        [MemoryRecord(i, _post(n, 0)) for i, n in enumerate([1, 2, 1])], RecordDecoder(Post)
    )
    Pipeline(WINDOWS).drop_unwanted(run, [False] * 3, set(), -1)
    assert run.offsets == [0, 1]
    assert [(letter.offset, letter.reason) for letter in run.dead] == [(2, reasons.DUPLICATE)]
    assert run.dead[0].value == b""


def test_a_pane_starts_at_a_multiple_of_its_length():
    pipeline = Pipeline(WINDOWS)
    assert pipeline.pane_start_s(119_999) == 60
    assert pipeline.pane_start_s(120_000) == 120


def test_id_hashes_are_signed_decimals_and_their_shards_are_bounded():
    assert decimal(b"\xff" * 8) == "-1"
    assert decimal(b"\x00" * 7 + b"\x05") == "5"
    assert kept_shard(b"\xff\xff" + b"\0" * 6) == 4095


def test_a_claim_of_the_future_does_not_make_the_present_late():
    future = encode(make_post(1, claimed_at=NOON + timedelta(days=1), ingested_at=NOON))
    run = accept_posts([MemoryRecord(0, future)], RecordDecoder(Post))
    watermark = PartitionWatermark(30_000)
    heartbeat.advance(run, watermark)
    assert run.event_ms == [epoch_ms(NOON) + 60_000]
    assert watermark.value_ms == epoch_ms(NOON) - 30_000
