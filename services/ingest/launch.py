"""The process `ingest`: settings and options in, an exit status out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import stamina

from core.clock import Clock, SystemClock
from core.errors import BrokerUnavailable, ConfigError
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.sealing import Sealer
from core.settings import KafkaSettings, Settings
from services.ingest.cursor_store import CursorStore
from services.ingest.edge import Edge, is_public
from services.ingest.late_posts import LatePosts, oldest_kept
from services.ingest.letters import IngestTopics, LetterWriter
from services.ingest.options import load_options
from services.ingest.runner import IngestRunner
from services.ingest.samples import SampleStore
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source, SourceContext
from services.kafka_client import RecordProducer
from services.kafka_client.messages import Producer

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
        settings: of the process.
        name: registered name; empty means `ingest.source`.
        options_path: TOML file of its options; None means `ingest.source_options`, if set.
        overrides: options that win over the file; None values do not count.
        metrics: of this process; None makes new ones.

    Raises:
        ConfigError: no such source, options that are wrong, or no key to hide the authors by.
    """
    kind: type[Source] = SOURCES.get(name or settings.ingest.source)
    if options_path is None and settings.ingest.source_options:
        options_path = Path(settings.ingest.source_options)
    options = load_options(kind.Options, options_path, overrides)
    if kind.is_live and not settings.ingest.author_key and not is_public(options):
        raise ConfigError(NO_KEY.format(name=kind.name))
    context = SourceContext(
        Path(settings.ingest.cursor_dir),
        settings.ingest.author_key,
        metrics=Metrics(role="ingest") if metrics is None else metrics,
        secret=settings.ingest.source_secret,
    )
    return kind(options, context)


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
        ConfigError: no such source, an option or secret that is missing or wrong, or a file that
            cannot be read.
    """
    kind: type[Source] = SOURCES.get(name)
    if options_path is None and settings.ingest.source_options:
        options_path = Path(settings.ingest.source_options)
    options = load_options(kind.Options, options_path, overrides)
    state_dir = Path(settings.ingest.cursor_dir)
    kind(options, SourceContext(state_dir, secret=settings.ingest.source_secret)).check_input()


def run_ingest(
    settings: Settings, source: Source, *, fresh: bool = False, metrics: Metrics | None = None
) -> int:
    """Bring a source to Kafka until it ends or the process is told to stop; return the exit status.

    Raises:
        ConfigError, FatalError: as `IngestRunner.run`.
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
        producer = _connect(settings.kafka, stop)
        if producer is None:
            return 0
        floor = oldest_kept(settings) if source.name == "replay" else None
        edge = LatePosts(floor, Edge(source, settings.ingest, metrics))
        try:
            make_runner(settings, source, producer, store, metrics, clock, stop, edge).run()
        finally:
            edge.tell()
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
    writer = LetterWriter(source.name, IngestTopics(), max_bytes, clock, sealer)
    samples = SampleStore(Path(settings.ingest.cursor_dir), source.name, clock, sealer)
    edge = edge or Edge(source, settings.ingest, metrics)
    return IngestRunner(
        source, producer, store, writer, settings.ingest, metrics, clock, stop,
        edge=edge, samples=samples,
    )  # fmt: skip


def _connect(settings: KafkaSettings, stop: threading.Event) -> RecordProducer | None:
    """Return a connected producer, waiting for the broker; None if told to stop meanwhile."""
    log = get_logger(__name__)

    def is_worth_another(error: Exception) -> bool:
        if isinstance(error, BrokerUnavailable) and not stop.is_set():
            log.warning("waiting for the broker", error=str(error))
            return True
        return False

    try:
        for attempt in stamina.retry_context(
            on=is_worth_another, attempts=None, timeout=None,
            wait_initial=0.1, wait_max=2.0, wait_jitter=0.5,
        ):  # fmt: skip
            with attempt:
                return RecordProducer(settings)
    except BrokerUnavailable:
        if not stop.is_set():
            raise
    return None


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
