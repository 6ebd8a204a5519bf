"""The process `ingest`: settings and options in, an exit status out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from core.clock import Clock, SystemClock
from core.errors import ConfigError
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.sealing import Sealer
from core.settings import Settings
from services.ingest.cursor_store import CursorStore
from services.ingest.edge import Edge, is_public
from services.ingest.late_posts import LatePosts, oldest_kept
from services.ingest.options import load_options
from services.ingest.outgoing import IngestTopics, RecordWriter
from services.ingest.runner import IngestRunner
from services.ingest.samples import SampleStore
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source, SourceContext
from services.kafka_client import RecordProducer
from services.kafka_client.messages import Producer
from services.kafka_client.producing import retried_until_stopped

NO_KEY: Final = (
    "ingest.author_key is empty: the source {name} hides its authors before they reach Kafka and "
    "needs a key to do so. `groundswell up` makes one; else set "
    "GROUNDSWELL__INGEST__AUTHOR_KEY_FILE to a file with a random line, for workers too"
)


def make_source(
    settings: Settings,
    name: str = "",
    options_path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    metrics: Metrics | None = None,
) -> Source:
    """Return a source, not yet open.

    Args:
        settings: The settings of this process.
        name: The registered name of the source; empty means `ingest.source`.
        options_path: The TOML file of its options; None means `ingest.source_options`, if set.
        overrides: The options that win over the file; None values do not count.
        metrics: The metrics of this process; None makes new ones.

    Raises:
        ConfigError: No such source, options that are wrong, or no key to hide the authors by.
    """
    kind, options = _kind_and_options(settings, name, options_path, overrides)
    if kind.is_live and not settings.ingest.author_key and not is_public(options):
        raise ConfigError(NO_KEY.format(name=kind.name))
    context = SourceContext(
        Path(settings.ingest.cursor_dir),
        settings.ingest.author_key,
        metrics=Metrics(role="ingest") if metrics is None else metrics,
        secret=settings.ingest.source_secret,
    )
    return kind(options, context)


def _kind_and_options(
    settings: Settings, name: str, path: Path | None, overrides: Mapping[str, Any] | None
) -> tuple[type[Source], Any]:
    kind: type[Source] = SOURCES.get(name or settings.ingest.source)
    if path is None and settings.ingest.source_options:
        path = Path(settings.ingest.source_options)
    return kind, load_options(kind.Options, path, overrides)


def check_source(
    settings: Settings,
    name: str,
    options_path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a source that could not start, before anything else is started for it.

    Nothing is connected or written. The key of the authors is left out of it: a local stack makes
    one.

    Raises:
        ConfigError: No such source, an option or secret that is missing or wrong, or a file that
            cannot be read.
    """
    kind, options = _kind_and_options(settings, name, options_path, overrides)
    state_dir = Path(settings.ingest.cursor_dir)
    kind(options, SourceContext(state_dir, secret=settings.ingest.source_secret)).check_input()


def run_ingest(
    settings: Settings, source: Source, *, fresh: bool = False, metrics: Metrics | None = None
) -> int:
    """Bring a source to Kafka until it ends or the process is told to stop; return the exit status.

    Raises:
        ConfigError, FatalError: As `IngestRunner.run`.
    """
    set_up(settings.log, "ingest")
    metrics = metrics or source.context.metrics
    metrics.serve(settings.metrics.address, settings.metrics.port)
    store = CursorStore(Path(settings.ingest.cursor_dir), source.name)
    if fresh:
        store.forget()
    # Before anything is waited for: a source with wrong options fails here, not after the broker.
    store.load(source.fingerprint())
    clock = SystemClock()
    with stopping_on_signals() as stop:
        producer = retried_until_stopped(
            lambda: RecordProducer(settings.kafka),
            stop,
            lambda error: get_logger(__name__).warning("waiting for the broker", error=str(error)),
        )
        if producer is None:
            return 0
        floor = oldest_kept(settings) if source.name == "replay" else None
        edge = LatePosts(floor, Edge(source, settings.ingest, metrics))
        try:
            make_runner(settings, source, producer, store, metrics, clock, stop, edge).run()
        finally:
            edge.warn()
            producer.close(timeout_s=1.0)
    return 0


def make_runner(
    settings: Settings,
    source: Source,
    producer: Producer,
    store: CursorStore,
    metrics: Metrics,
    clock: Clock,
    stop: threading.Event,
    edge: Edge | LatePosts | None = None,
) -> IngestRunner:
    """Join the parts of ingest: everything of a source passes the edge, what fails is sealed."""
    sealer = Sealer(settings.ingest.author_key)
    max_bytes = settings.kafka.max_message_bytes
    writer = RecordWriter(source.name, IngestTopics(), max_bytes, clock, sealer)
    samples = SampleStore(Path(settings.ingest.cursor_dir), source.name, clock, sealer)
    edge = edge or Edge(source, settings.ingest, metrics)
    return IngestRunner(
        source, producer, store, writer, settings.ingest, metrics, clock, stop,
        edge=edge, samples=samples,
    )  # fmt: skip


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; the second signal ends the process at once."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
