"""Samples of bad input are few, bounded, young, and never in the way of the stream."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.sealing import Sealer
from core.settings import Secret
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


def test_a_sample_is_deleted_in_mid_run_once_it_is_a_week_old(tmp_path: Path) -> None:
    clock = ManualClock(START)
    store = SampleStore(tmp_path, "bluesky", clock)
    store.keep(b"old", "kind")
    clock.advance(MAX_AGE_S - EVERY_S)
    store.keep(b"new", "kind")
    store.expire_when_due()
    assert [s.payload for s in store.samples()] == [b"new", b"old"]
    clock.advance(EVERY_S + 1)
    store.expire_when_due()
    assert [s.payload for s in store.samples()] == [b"new"]


def test_samples_of_a_source_that_runs_no_more_are_deleted_by_another(tmp_path: Path) -> None:
    clock = ManualClock(START)
    SampleStore(tmp_path, "mastodon", clock).keep(b"old", "kind")
    clock.advance(MAX_AGE_S + 1)
    SampleStore(tmp_path, "bluesky", clock).expire_when_due()
    assert not list((tmp_path / "mastodon.samples").iterdir())


def test_with_a_key_samples_are_sealed_and_plain_ones_of_before_are_deleted(tmp_path: Path) -> None:
    clock, sealer = ManualClock(START), Sealer(Secret("key"))
    SampleStore(tmp_path, "bluesky", clock).keep(b"plain", "kind")
    store = SampleStore(tmp_path, "bluesky", clock, sealer)
    clock.advance(EVERY_S)
    store.keep(b"said by ana", "kind")
    store.expire_when_due()
    (sample,) = store.samples()
    assert b"ana" not in sample.payload
    assert sealer.open(sample.payload, sample.sealed_by) == b"said by ana"
    (file,) = (tmp_path / "bluesky.samples").iterdir()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"at": "yesterday"}'])
def test_a_file_that_is_no_sample_is_deleted(tmp_path: Path, content: bytes) -> None:
    store = SampleStore(tmp_path, "bluesky", ManualClock(START))
    (tmp_path / "bluesky.samples").mkdir()
    (tmp_path / "bluesky.samples" / "007.json").write_bytes(content)
    assert store.samples() == []
    store.expire_when_due()
    assert not list((tmp_path / "bluesky.samples").iterdir())


def test_a_place_that_cannot_be_written_costs_the_sample_only(tmp_path: Path) -> None:
    blocked = tmp_path / "bluesky.samples"
    blocked.write_text("a file where a folder should be")
    assert not SampleStore(tmp_path, "bluesky", ManualClock(START)).keep(b"x", "kind")


def test_file_without_a_zone_is_no_sample_and_stops_nothing(tmp_path: Path) -> None:
    store = SampleStore(tmp_path, "bluesky", ManualClock(START))
    store.keep(b"right", "kind")
    strange = tmp_path / "bluesky.samples" / "001.json"
    strange.write_text('{"at":"2026-03-01T00:00:00","detail":"d","size":1,"payload":"YQ=="}')
    assert [sample.payload for sample in store.samples()] == [b"right"]
    store.expire_when_due()
    assert not strange.exists()


def test_what_cannot_be_deleted_keeps_no_old_sample_of_any_source(tmp_path: Path) -> None:
    clock = ManualClock(START)
    for source in ("bluesky", "mastodon", "reddit"):
        SampleStore(tmp_path, source, clock).keep(b"old", "kind")
        (tmp_path / f"{source}.samples" / "folder").mkdir()
    clock.advance(MAX_AGE_S + 1)
    SampleStore(tmp_path, "rss", clock).expire_when_due()
    assert {path.name for path in tmp_path.glob("*/*")} == {"folder"}
