"""The parts of ingest as a process joins them."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

from core.clock import ManualClock
from core.metrics import Metrics
from core.settings import IngestSettings, Settings
from services.ingest.cursor_store import CursorStore
from services.ingest.launch import make_runner
from services.ingest.samples import SampleStore
from testkit.ingest import START, make_source, sample_of
from testkit.kafka import FakeProducer, MemoryBroker


def test_old_samples_of_any_source_are_deleted_while_one_runs(tmp_path: Path) -> None:
    SampleStore(tmp_path, "bluesky", ManualClock(START - timedelta(days=8))).keep(b"old", "kind")
    SampleStore(tmp_path, "mastodon", ManualClock(START - timedelta(days=6))).keep(b"new", "kind")
    source = make_source("synthetic", sample_of("synthetic", tmp_path).options, tmp_path)
    settings = Settings(ingest=IngestSettings(cursor_dir=str(tmp_path)))
    producer, store = FakeProducer(MemoryBroker()), CursorStore(tmp_path, source.name)
    clock = ManualClock(START)
    make_runner(settings, source, producer, store, Metrics(), clock, threading.Event()).run()
    kept = {path.parent.name for path in tmp_path.glob("*.samples/*")}
    assert kept == {"mastodon.samples"}
