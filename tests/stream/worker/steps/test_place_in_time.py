"""Where posts fall: their pane, and how far they move the watermark."""

from datetime import timedelta

from core.clock import ManualClock, epoch_ms
from core.codec import encode
from stream.worker.steps.decode_posts import DECODED, EVENT_MS, INGESTED_MS, DecodePosts
from stream.worker.steps.place_in_time import HEARTBEATS, PANE_STARTS, PlaceInTime
from testkit.builders import NOON, make_post
from testkit.stream import batch_of


def test_a_pane_starts_at_a_multiple_of_its_length():
    batch = batch_of(b"")
    batch[DECODED] = [make_post(1), make_post(2)]
    batch[EVENT_MS] = batch[INGESTED_MS] = [119_999, 120_000]
    PlaceInTime(60).run(batch)
    assert batch[PANE_STARTS] == [60, 120]
    assert batch[HEARTBEATS] == [None, None]


def test_a_claim_of_the_future_does_not_make_the_present_late():
    future = make_post(1, claimed_at=NOON + timedelta(days=1), ingested_at=NOON)
    batch = batch_of(encode(future))
    DecodePosts(10_000, ManualClock(NOON)).run(batch)
    PlaceInTime(60).run(batch)
    assert batch[EVENT_MS] == [epoch_ms(NOON) + 60_000]
    assert batch.position.watermark.value_ms == epoch_ms(NOON) - 30_000
    assert batch.apply.watermark_ms == epoch_ms(NOON) - 30_000
