"""The checks that every registered source must pass, and what they run it with.

A new source adds a sample to `SAMPLES`; the checks then find it through the registry.
"""

# ruff: noqa: S101 - checks for tests

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from core.clock import ManualClock
from core.metrics import Metrics
from core.schemas import Post, PostEvent
from core.settings import IngestSettings
from services.ingest.cursor_store import CursorStore, Totals
from services.ingest.options import load_options
from services.ingest.outgoing import IngestTopics, RecordWriter
from services.ingest.runner import IngestRunner
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source, SourceContext, SourceItem, Unmappable
from testkit.kafka import FakeProducer, MemoryBroker

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STOP_TIMEOUT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """A small, bounded run of a source.

    Attributes:
        options: The options of the source, unpaced.
        bad_items: The number of its items that are bad input, at least.
    """

    options: Mapping[str, Any]
    bad_items: int


def _replay_sample(directory: Path) -> Sample:
    path = directory / "sample.csv.gz"
    lines = ["created_at,post_id,author,text,lang"]
    for number in range(400):
        at = (START + timedelta(seconds=number * 0.7)).isoformat()
        lines.append(f'{at},p{number},a{number % 23},"post, number {number}",en')
        if number % 100 == 50:
            lines.append(f"not a time,bad{number},a,text,en")
            lines.append("one column too few,x")
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return Sample({"path": str(path)}, bad_items=8)


def _synthetic_sample(_directory: Path) -> Sample:
    options = {"posts": 600, "posts_per_s": 40.0, "speed": 0.0, "malformed_share": 0.1}
    return Sample({**options, "start_at": START.isoformat()}, bad_items=30)


SAMPLES: Final[dict[str, Callable[[Path], Sample]]] = {
    "replay": _replay_sample,
    "synthetic": _synthetic_sample,
}
"""Source -> makes its sample in a directory."""


def sample_of(name: str, directory: Path) -> Sample:
    """Return the sample of a registered source."""
    if name not in SAMPLES:
        raise AssertionError(f"source {name!r} has no sample in testkit.ingest.SAMPLES")
    return SAMPLES[name](directory)


def make_source(name: str, options: Mapping[str, Any], directory: Path) -> Source:
    """Return a source on a clock that moves only when it waits."""
    clock = ManualClock(START)
    context = SourceContext(directory, clock=clock, wait=clock.advance)
    kind: type[Source] = SOURCES.get(name)
    return kind(load_options(kind.Options, None, options), context)


@dataclass
class Rig:
    """A runner with everything fake but the source and the cursor file.

    Attributes:
        source: The source, to be brought to the fake broker.
        directory: The directory of the cursor.
        broker: The broker, shared by the rigs of one test, as the real one is by restarts.
    """

    source: Source
    directory: Path
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    settings: IngestSettings = field(
        default_factory=lambda: IngestSettings(stop_timeout_s=STOP_TIMEOUT_S)
    )
    max_message_bytes: int = 1_048_576
    on_send: Callable[[int], None] = lambda sent: None
    on_wait: Callable[[float], None] = lambda delay_s: None

    def __post_init__(self) -> None:
        """Put the parts together."""
        self.clock = ManualClock(START)
        self.stop = threading.Event()
        self.metrics = Metrics()
        self.store = CursorStore(self.directory, self.source.name)
        self.producer = FakeProducer(self.broker, lambda sent: self.on_send(sent))
        writer = RecordWriter(self.source.name, IngestTopics(), self.max_message_bytes, self.clock)
        self.runner = IngestRunner(
            self.source, self.producer, self.store, writer, self.settings,
            self.metrics, self.clock, self.stop, self._wait,
        )  # fmt: skip

    def _wait(self, delay_s: float) -> None:
        self.clock.advance(delay_s)
        self.on_wait(delay_s)

    def run(self) -> Totals:
        """Run to the end or the stop."""
        return self.runner.run()


def take_all(source: Source, cursor: object = None) -> list[SourceItem]:
    """Return every item of a bounded source."""
    source.open(cursor)
    items: list[SourceItem] = []
    while not source.exhausted:
        items.extend(source.poll(64, 0.1))
    return items


def check_resumes_without_loss(name: str, directory: Path) -> None:
    """From any cursor a new instance delivers exactly what came after it, to the byte."""
    options = sample_of(name, directory).options
    whole = take_all(make_source(name, options, directory))
    assert len(whole) > 100, f"the sample of {name} has {len(whole)} items, expected over 100"
    for place in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        rest = take_all(make_source(name, options, directory), whole[place].cursor)
        found = [(item.record, item.cursor) for item in rest]
        expected = [(item.record, item.cursor) for item in whole[place + 1 :]]
        assert found == expected, f"{name} resumed after item {place} differs"


def check_stops_and_goes_on(name: str, directory: Path) -> None:
    """Stopped twice in mid-stream and started again, nothing is missing from the topics."""
    options = sample_of(name, directory).options
    calm = Rig(make_source(name, options, directory), directory / "calm")
    expected = calm.run()
    broker = MemoryBroker()
    for stop_after in (70, 130, None):
        rig = Rig(make_source(name, options, directory), directory / "stopped", broker)

        def stop(sent: int, rig: Rig = rig, stop_after: int | None = stop_after) -> None:
            if sent == stop_after:
                rig.stop.set()

        rig.on_send = stop
        totals = rig.run()
    assert totals == expected
    for topic, records in calm.broker.topics.items():
        if topic != "dead-posts":  # its records carry the time of their death
            assert broker.values(topic) == [record.value for record in records]


def check_stops_while_kafka_is_silent(name: str, directory: Path) -> None:
    """A stop ends the run although nothing is acknowledged, and the cursor stays behind."""
    options = sample_of(name, directory).options
    rig = Rig(make_source(name, options, directory), directory / "cursor")
    rig.broker.holds_answers = True
    rig.on_send = lambda sent: rig.stop.set()
    started_s = rig.clock.monotonic()
    rig.run()
    assert rig.clock.monotonic() - started_s <= STOP_TIMEOUT_S + 0.1
    assert rig.store.load(rig.source.fingerprint()) is None
    assert not rig.store.done_path.exists()


def check_times_are_utc(name: str, directory: Path) -> None:
    """Every time on a record is aware and in UTC."""
    options = sample_of(name, directory).options
    for item in take_all(make_source(name, options, directory)):
        if isinstance(item.record, Post | PostEvent):
            for at in (item.record.ingested_at, item.record.claimed_at):
                assert at is None or at.utcoffset() == timedelta(0), f"{name}: {at!r} is not UTC"


def check_bad_input_is_kept(name: str, directory: Path) -> None:
    """Bad input is counted, and its bytes are in a topic; the run goes to its end."""
    sample = sample_of(name, directory)
    rig = Rig(make_source(name, sample.options, directory), directory / "cursor")
    totals = rig.run()
    bad = totals.unmappable + totals.malformed_produced + totals.too_large
    assert bad >= sample.bad_items, f"{name}: {bad} bad items, expected {sample.bad_items}"
    assert len(rig.broker.topics["dead-posts"]) == totals.unmappable + totals.too_large
    records = sum(len(found) for found in rig.broker.topics.values())
    assert records == totals.items_read
    unmappable = [
        item
        for item in take_all(make_source(name, sample.options, directory))
        if isinstance(item.record, Unmappable)
    ]
    assert len(unmappable) == totals.unmappable


def check_memory_is_bounded(name: str, directory: Path) -> None:
    """While Kafka is slow no more is taken than the bound, and nothing is lost after it."""
    options = sample_of(name, directory).options
    settings = IngestSettings(max_buffered_posts=50, stop_timeout_s=STOP_TIMEOUT_S)
    rig = Rig(make_source(name, options, directory), directory / "cursor", settings=settings)
    rig.broker.holds_answers = True
    most_held = 0

    def answer_after_a_while(_delay_s: float) -> None:
        nonlocal most_held
        most_held = max(most_held, rig.broker.held)
        rig.broker.release()

    rig.on_wait = answer_after_a_while
    totals = rig.run()
    assert 0 < most_held <= 50
    assert totals.items_read == len(take_all(make_source(name, options, directory)))
    waits = rig.metrics.registry.get_sample_value(
        "groundswell_ingest_waits_total", {"source": name}
    )
    assert waits, "the source was never slowed: this check has shown nothing"


CHECKS: Final[tuple[Callable[[str, Path], None], ...]] = (
    check_resumes_without_loss,
    check_stops_and_goes_on,
    check_stops_while_kafka_is_silent,
    check_times_are_utc,
    check_bad_input_is_kept,
    check_memory_is_bounded,
)
