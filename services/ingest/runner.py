"""The loop of ingest: poll the source, send to Kafka, and store the cursor of what is safe there.

At least once, in an author's order: the cursor never passes a record that Kafka did not
acknowledge, and what follows a record that failed is sent again after it. The worker drops repeats.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from core import reasons
from core.clock import Clock
from core.errors import BrokerUnavailable, DecodeError, TransientError
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Post
from core.settings import IngestSettings
from services.ingest.cursor_store import CursorStore, StoredCursor, Totals
from services.ingest.outbox import Outbox
from services.ingest.outgoing import OutgoingRecord, RecordWriter
from services.ingest.samples import SampleStore
from services.ingest.sources.base import Gap, Ignored, Source, SourceItem, Unmappable
from services.kafka_client.messages import Producer
from services.kafka_client.producing import retried_until_stopped

POLL_ITEMS: Final = 500
POLL_TIMEOUT_S: Final = 0.05
"""Also how late acknowledgements are collected when the source is quiet."""
CURSOR_EVERY_S: Final = 0.1
"""A crash repeats what was sent in the last tenth of a second, and what was in flight."""
FULL_WAIT_S: Final = 0.002
FLUSH_S: Final = 0.5
_POST_TALLIES: Final = ("posts_produced", "duplicates_produced", "malformed_produced")


@dataclass
class IngestRunner:
    """Brings one source to Kafka until it ends or `stop` is set. Runs in the caller's thread.

    Attributes:
        source: The source, already made and not yet open.
        producer: A connected producer.
        store: Keeps the cursor of this source.
        writer: Makes records of items.
        settings: The bounds of what is held, and how long a stop may take.
        metrics: The metrics of this process.
        clock: Tells what time it is.
        stop: Set by a signal handler; the runner stops within `settings.stop_timeout_s`.
        wait: Blocks for so many seconds.
        edge: What is done to items before they become records; None is nothing.
        samples: Keeps some of the unmappable items for a while; None keeps none.
    """

    source: Source
    producer: Producer
    store: CursorStore
    writer: RecordWriter
    settings: IngestSettings
    metrics: Metrics
    clock: Clock
    stop: threading.Event
    wait: Callable[[float], None] = time.sleep
    edge: Callable[[Sequence[SourceItem]], Sequence[SourceItem]] | None = None
    samples: SampleStore | None = None

    def __post_init__(self) -> None:
        """Start with nothing held."""
        bounds = self.settings.max_buffered_posts, self.settings.max_buffered_bytes
        self._outbox = Outbox(self.producer, *bounds)
        self._largest_bytes = 1
        self._next_save_s = 0.0
        self._base = Totals()
        self._saved_cursor: object = None
        self._in_gap = False
        self._log = get_logger(__name__)

    def run(self) -> Totals:
        """Run to the end of the source or to the stop; return what Kafka has acknowledged.

        Raises:
            ConfigError: The source's options are wrong, or the cursor is of other options.
            FatalError: The broker refuses this client for good, or the cursor file is damaged.
        """
        self.store.settle(self.source.recalls)
        stored = self.store.load(self.source.fingerprint())
        if stored is not None and stored.done:
            self._log.info("source was already brought to its end", source=self.source.name)
            return stored.totals
        self.store.clear_done()
        self._open(stored)
        up = self.metrics.source_up.labels(source=self.source.name)
        up.set(1)
        ended = False
        try:
            ended = self._loop()
        finally:
            up.set(0)
            self._drain()
            self._save(done=ended)
            self.source.close()
        totals = self._totals()
        if ended:
            self.store.save_done(totals)
        self._log.info(
            "source ended" if ended else "source stopped", source=self.source.name,
            unacknowledged=len(self._outbox), **msgspec.to_builtins(totals),
        )  # fmt: skip
        return totals

    def _open(self, stored: StoredCursor | None) -> None:
        cursor = None if stored is None else stored.cursor
        self._base = Totals() if stored is None else stored.totals
        self._saved_cursor = self._outbox.cursor = cursor
        self.source.open(cursor)
        self._log.info("source opened", source=self.source.name, resumed=cursor is not None)
        # At 0 from the start: a counter that appears with its first event hides it from `rate`.
        for counter in (
            self.metrics.ingest_waits,
            self.metrics.source_gap_items,
            self.metrics.source_items_unmappable,
        ):
            counter.labels(source=self.source.name)

    def _loop(self) -> bool:
        """Work until stopped (False) or the source has ended (True)."""
        while not self.stop.is_set():
            self._collect()
            if self._outbox.is_full:
                self._meet_full_buffer()
                continue
            items = self._poll(min(POLL_ITEMS, self._outbox.room(self._largest_bytes)))
            if items:
                self._deliver(items)
            elif self.source.exhausted:
                if not len(self._outbox):
                    return True
                self.wait(FULL_WAIT_S)
            self._save_when_due()
        return False

    def _poll(self, max_items: int) -> list[SourceItem]:
        try:
            return self.source.poll(max_items, POLL_TIMEOUT_S)
        except TransientError as error:
            self._log.warning("source is away", source=self.source.name, error=str(error))
            self.wait(POLL_TIMEOUT_S)
            return []

    def _deliver(self, items: Sequence[SourceItem]) -> None:
        if self.edge is not None:
            items = self.edge(items)
        records = [self.writer.record(item) for item in items]
        self._largest_bytes = max(len(record.value) for record in records)
        self._outbox.add(records)
        self._count_in(items, records)
        try:
            self._outbox.transmit()
        except BrokerUnavailable as error:
            self._recover(error)

    def _count_in(self, items: Sequence[SourceItem], records: Sequence[OutgoingRecord]) -> None:
        name = self.source.name
        for item, record in zip(items, records, strict=True):
            if isinstance(item.record, Unmappable):
                self.metrics.source_items_unmappable.labels(source=name).inc()
                if self.samples is not None:
                    self.samples.keep(item.record.raw, item.record.detail)
            elif isinstance(item.record, Gap):
                self._count_gap(item.record)
            elif isinstance(item.record, Ignored):
                self.metrics.source_items_ignored.labels(source=name).inc()
            if record.tally in (reasons.UNMAPPABLE, reasons.TOO_LARGE):
                self.metrics.dead_posts.labels(reason=record.tally, stage="ingest").inc()
        self.metrics.posts_in.labels(source=name).inc(sum(bool(r.topic) for r in records))
        last = items[-1].record
        if isinstance(last, Post) and last.claimed_at is not None:
            lag = last.ingested_at - last.claimed_at
            self.metrics.source_lag_seconds.labels(source=name).set(lag.total_seconds())

    def _count_gap(self, gap: Gap) -> None:
        name = self.source.name
        self.metrics.source_gaps.labels(source=name, cause=gap.cause).inc()
        self.metrics.source_gap_seconds.labels(source=name).inc(gap.lost_s)
        self._log.warning(
            "items were missed", source=name, cause=gap.cause,
            lost_s=round(gap.lost_s, 3), items=gap.items or None,
        )  # fmt: skip

    def _collect(self) -> None:
        """Take in acknowledgements; a failed record starts everything after it over."""
        before = Counter(self._outbox.acknowledged)
        try:
            self._outbox.collect()
        except BrokerUnavailable as error:
            self._recover(error)
        except DecodeError as error:
            self._bury_head(error)
        gained = self._outbox.acknowledged
        posts = sum(gained[tally] - before[tally] for tally in _POST_TALLIES)
        self.metrics.posts_acknowledged.labels(source=self.source.name).inc(posts)
        self.metrics.ingest_buffered_posts.set(len(self._outbox))

    def _bury_head(self, error: DecodeError) -> None:
        """The broker's own limit is lower than ours: the record becomes a dead one."""
        refused = self._outbox.head
        self.metrics.dead_posts.labels(reason=error.reason, stage="ingest").inc()
        try:
            self._outbox.replace_head(self.writer.too_large(refused.value, refused.cursor))
        except BrokerUnavailable as unavailable:
            self._recover(unavailable)

    def _recover(self, error: BrokerUnavailable) -> None:
        """Reconnect with back-off and jitter, and send everything unacknowledged again in order.

        Records after the failed one may be in Kafka already and come twice; leaving them out
        would put a later post of an author before an earlier one.
        """
        self._log.warning("broker unavailable", error=str(error), held=len(self._outbox))

        def resend() -> bool:
            self.producer.reconnect()
            self._outbox.start_over()
            self._outbox.transmit()
            return True

        # Told to stop meanwhile: what is unacknowledged is after the cursor and comes again.
        if retried_until_stopped(resend, self.stop):
            self._log.info("broker is back", held=len(self._outbox))

    def _meet_full_buffer(self) -> None:
        """Slow a source that can wait; let items of one that cannot go by, counted."""
        if self.source.can_wait:
            self.metrics.ingest_waits.labels(source=self.source.name).inc()
            # A tenth of it free before going on: polling for single items would cost more.
            enough = self.settings.max_buffered_posts * 9 // 10
            while not self.stop.is_set():
                self.wait(FULL_WAIT_S)
                self._collect()
                self._save_when_due()
                if not self._outbox.is_full and len(self._outbox) <= enough:
                    return
            return
        lost = self._poll(POLL_ITEMS)
        if lost:
            if not self._in_gap:
                self._log.warning("buffer full: items are lost", source=self.source.name)
            self.metrics.source_gap_items.labels(source=self.source.name).inc(len(lost))
            self._base.dropped += len(lost)
        else:
            self.wait(FULL_WAIT_S)
        self._in_gap = bool(lost)
        self._save_when_due()

    def _drain(self) -> None:
        """Wait for the last acknowledgements; those that do not come in time come again later."""
        give_up_s = self.clock.monotonic() + self.settings.stop_timeout_s
        while len(self._outbox):
            left_s = give_up_s - self.clock.monotonic()
            if left_s <= 0:
                self._log.warning("not all was acknowledged in time", held=len(self._outbox))
                return
            before = len(self._outbox)
            with suppress(BrokerUnavailable):
                self.producer.flush(min(left_s, FLUSH_S))
            self._collect()
            if len(self._outbox) == before:
                self.wait(min(left_s, POLL_TIMEOUT_S))

    def _save_when_due(self) -> None:
        if self.samples is not None:
            self.samples.expire_when_due()
        now_s = self.clock.monotonic()
        if now_s >= self._next_save_s:
            self._next_save_s = now_s + CURSOR_EVERY_S
            self._save(done=False)

    def _save(self, done: bool) -> None:
        cursor = self._outbox.cursor
        if cursor == self._saved_cursor and not done:
            return
        self.store.prepare(
            StoredCursor(
                source=self.source.name, cursor=cursor, totals=self._totals(),
                stored_at=self.clock.now(), fingerprint=self.source.fingerprint(), done=done,
            )
        )  # fmt: skip
        self.source.acknowledged(cursor)
        self.store.commit()
        self._saved_cursor = cursor

    def _totals(self) -> Totals:
        return self._base.plus(self._outbox.settled)
