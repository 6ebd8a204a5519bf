"""What one core of ingest reads from Bluesky: websocket, parse, mapping and producing to Kafka.

- `v1`: plain text frames, as most servers send them;
- `v2_zstd`: subscribeEvents with the server's dictionary.

Beside them the steps alone, in a loop: parse, mapping, encoding.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from benchmarks.harness import Measured, Options, run_benchmark, say, spread
from benchmarks.lab import BenchFailed, Lab
from core.clock import SystemClock
from core.settings import Secret
from evaluation.drawing import bars
from services.ingest.outgoing import IngestTopics, RecordWriter
from services.ingest.sources.base import SourceItem
from services.ingest.sources.bluesky.parse import EventMapper
from services.ingest.sources.bluesky.wire import PARSERS
from services.local.child import Child, Command
from services.local.machine import process_cpu_s
from services.local.paths import PROJECT_ROOT
from testkit.platforms.bluesky.journal import Conversation, Entry
from testkit.platforms.bluesky.server import FakeJetstream

EVENTS: Final = 80_000
WARM_UP: Final = 4_000
GIVE_UP_S: Final = 300.0
KEY: Final = "a key for measuring, not for people"
PROTOCOLS: Final = {"v1": "v1", "v2_zstd": "v2"}


@dataclass(frozen=True, slots=True)
class Run:
    """One feed brought to Kafka: events timed, and what they took."""

    events: int
    seconds: float
    cpu_s: float


def measure(options: Options) -> Measured:
    """Let the protocols take turns."""
    size = options.size(EVENTS)
    entries = list(Conversation(datetime.now(UTC), options.seed).events(WARM_UP + size))
    figures: dict[str, float] = _steps(entries[:20_000])
    runs: dict[str, list[Run]] = {name: [] for name in PROTOCOLS}
    dictionary = _dictionary(entries)
    with Lab("sources", {}) as lab:
        for round_ in range(options.rounds):
            for name, protocol in PROTOCOLS.items():
                run = _bring(lab, entries, protocol, dictionary, f"{name}-{round_}")
                runs[name].append(run)
                say(f"{name}: {run.events / run.seconds:,.0f}/s, {run.cpu_s:.2f} s of a core")
    rows: list[tuple[str, float, float, float]] = []
    for name, found in runs.items():
        figures |= spread(f"bluesky_{name}_events_per_s", [r.events / r.seconds for r in found])
        per_core = [r.events / r.cpu_s for r in found]
        figures |= spread(f"bluesky_{name}_events_per_core_s", per_core)
        rows.append((name, statistics.median(per_core), min(per_core), max(per_core)))
    picture = bars("Bluesky to Kafka, events for each second of one core", "events/s", rows)
    return Measured(figures, {"events": size, "posts_share": 0.12}, picture)


def _steps(entries: Sequence[Entry]) -> dict[str, float]:
    mapper = EventMapper(Secret(KEY), lambda author: ())
    writer = RecordWriter("bluesky", IngestTopics(), 1_048_576, SystemClock())
    now = datetime.now(UTC)
    figures: dict[str, float] = {}
    for version, parse in PARSERS.items():
        frames = [entry.v1 if version == "v1" else entry.v2 for entry in entries]
        began = time.process_time()
        events: Any = [parse(frame) for frame in frames]
        parsed = time.process_time()
        records = [mapper.records(event, b"", now) for event in events]
        mapped = time.process_time()
        sent = [writer.record(SourceItem(one, 0)) for found in records for one in found]
        encoded = time.process_time()
        for step, seconds in (
            ("parse", parsed - began), ("map", mapped - parsed), ("encode", encoded - mapped),
        ):  # fmt: skip
            figures[f"steps_us_{version}_{step}"] = round(seconds / len(frames) * 1e6, 2)
        if len(sent) < len(frames):
            raise BenchFailed(f"{len(sent)} records of {len(frames)} events")
    return figures


def _dictionary(entries: Sequence[Entry]) -> bytes:
    samples: list[Any] = [entry.v2 for entry in entries[:5_000]]
    return zstandard.train_dictionary(32_768, samples).as_bytes()


def _bring(lab: Lab, entries: list[Entry], protocol: str, dictionary: bytes, name: str) -> Run:
    home = lab.directory / name
    warm_up, timed = entries[:WARM_UP], entries[WARM_UP:]
    with FakeJetstream(list(warm_up), dictionary=dictionary) as server:
        child = _start(lab, server, protocol, home)
        try:
            _wait(home, child, len(warm_up))
            began, used = time.perf_counter(), process_cpu_s(child.pid)
            server.append(timed)
            _wait(home, child, len(entries))
            seconds, cpu_s = time.perf_counter() - began, process_cpu_s(child.pid) - used
        finally:
            child.stop(10)
    return Run(len(timed), seconds, cpu_s)


def _start(lab: Lab, server: FakeJetstream, protocol: str, home: Path) -> Child:
    home.mkdir(parents=True)
    argv = (
        sys.executable, "-m", "services.cli.main", "ingest", "--source", "bluesky",
        "--set", f'hosts=["{server.host}"]', "--set", f"protocol={protocol}",
        "--set", "start_s_ago=3600.0", "--cursor-dir", str(home),
    )  # fmt: skip
    flat = {f"{s}__{f}": v for s, fields in lab.tree.items() for f, v in fields.items()}
    flat |= {"ingest__author_key": KEY}
    env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
    command = Command(argv, env | {"PYTHONPATH": str(PROJECT_ROOT)}, cwd=lab.directory)
    return Child(command, home / "ingest.log")


def _wait(home: Path, child: Child, number: int) -> None:
    """Wait until Kafka has acknowledged so many events."""
    path = home / "bluesky.cursor.json"
    give_up_at = time.monotonic() + GIVE_UP_S
    while True:
        if path.exists() and msgspec.json.decode(path.read_bytes())["cursor"][3] >= number:
            return
        if not child.is_running or time.monotonic() > give_up_at:
            raise BenchFailed((home / "ingest.log").read_text(errors="replace")[-3_000:])
        time.sleep(0.02)


if __name__ == "__main__":
    run_benchmark(measure)
