"""Samples of bad input are few, bounded, young, and never in the way of the stream."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from core.clock import ManualClock
from services.ingest.samples import EVERY_S, MAX_AGE_S, MAX_BYTES, MAX_SAMPLES, SampleStore

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_one_of_each_kind_is_kept_a_minute(tmp_path: Path) -> None:
    clock = ManualClock(START)
    store = SampleStore(tmp_path, "bluesky", clock)
    assert store.keep(b"one", "not JSON")
    assert not store.keep(b"two", "not JSON")
    assert store.keep(b"three", "no id")
    clock.advance(EVERY_S)
    assert store.keep(b"four", "not JSON")
    assert [s.payload for s in store.samples()] == [b"four", b"one", b"three"]


def test_samples_are_bounded_in_number_and_size_also_over_restarts(tmp_path: Path) -> None:
    clock = ManualClock(START)
    for _ in range(3):
        store = SampleStore(tmp_path, "bluesky", clock)
        for number in range(40):
            clock.advance(1)
            store.keep(b"x" * 100_000, f"kind {number} {clock.monotonic()}")
    samples = store.samples()
    assert len(samples) == MAX_SAMPLES
    assert all(len(s.payload) == MAX_BYTES and s.size == 100_000 for s in samples)


def test_old_samples_are_forgotten(tmp_path: Path) -> None:
    clock = ManualClock(START)
    SampleStore(tmp_path, "bluesky", clock).keep(b"old", "kind")
    (old,) = (tmp_path / "bluesky.samples").iterdir()
    os.utime(old, (START.timestamp(), START.timestamp()))
    clock.advance(MAX_AGE_S + 1)
    store = SampleStore(tmp_path, "bluesky", clock)
    store.keep(b"new", "kind")
    assert [s.payload for s in store.samples()] == [b"new"]


def test_a_place_that_cannot_be_written_costs_the_sample_only(tmp_path: Path) -> None:
    blocked = tmp_path / "bluesky.samples"
    blocked.write_text("a file where a folder should be")
    assert not SampleStore(tmp_path, "bluesky", ManualClock(START)).keep(b"x", "kind")
