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
from typing import Final

import msgspec
import stamina

from core import reasons
from core.clock import Clock
from core.errors import BrokerUnavailable, DecodeError, TransientError
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Post
from core.settings import IngestSettings
from services.ingest.cursor_store import CursorStore, StoredCursor, Totals
from services.ingest.letters import LetterWriter
from services.ingest.outbox import Letter, Outbox
from services.ingest.samples import SampleStore
from services.ingest.sources.base import Gap, Source, SourceItem, Unmappable
from services.kafka_client.messages import Producer

POLL_ITEMS: Final = 500
POLL_TIMEOUT_S: Final = 0.05
"""Also how late acknowledgements are collected when the source is quiet."""
CURSOR_EVERY_S: Final = 0.1
"""A crash repeats what was sent in the last tenth of a second, and what was in flight."""
FULL_WAIT_S: Final = 0.002
FLUSH_S: Final = 0.5
_NOT_ITEMS: Final = ("items_read", "gaps")
_POST_TALLIES: Final = ("posts_produced", "duplicates_produced", "malformed_produced")


class IngestRunner:
    """Brings one source to Kafka until it ends or `stop` is set. Runs in the caller's thread.

    Args:
        source: already made, not yet open.
        producer: connected.
        store: keeps the cursor of this source.
        writer: makes records of items.
        settings: bounds.
        metrics: of this process.
        clock: what time it is.
        stop: set by a signal handler; the runner stops within `settings.stop_timeout_s`.
        wait: blocks for so many seconds.
        edge: what is done to items before they become records; None is nothing.
        samples: Where some of the unmappable items are kept for a while; None keeps none.
    """

    def __init__(
        self,
        source: Source,
        producer: Producer,
        store: CursorStore,
        writer: LetterWriter,
        settings: IngestSettings,
        metrics: Metrics,
        clock: Clock,
        stop: threading.Event,
        wait: Callable[[float], None] = time.sleep,
        edge: Callable[[Sequence[SourceItem]], Sequence[SourceItem]] | None = None,
        samples: SampleStore | None = None,
    ) -> None:
        self._source = source
        self._producer = producer
        self._store = store
        self._writer = writer
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._wait = wait
        self._edge = edge
        self._samples = samples
        self._outbox = Outbox(producer, settings.max_buffered_posts, settings.max_buffered_bytes)
        self._largest_bytes = 1
        self._next_save_s = 0.0
        self._base = Totals()
        self._saved_cursor: object = None
        self._in_gap = False
        self._log = get_logger(__name__)

    def run(self) -> Totals:
        """Run to the end of the source or to the stop; return what Kafka has acknowledged.

        Raises:
            ConfigError: the source's options, or a cursor of other options.
            FatalError: the broker refuses this client for good, or the cursor file is damaged.
        """
        self._store.settle(self._source.recalls)
        stored = self._store.load(self._source.fingerprint())
        if stored is not None and stored.done:
            self._log.info("source was already brought to its end", source=self._source.name)
            return stored.totals
        self._store.clear_done()
        cursor = None if stored is None else stored.cursor
        self._base = Totals() if stored is None else stored.totals
        self._saved_cursor = self._outbox.cursor = cursor
        self._source.open(cursor)
        self._log.info("source opened", source=self._source.name, resumed=cursor is not None)
        # At 0 from the start: a counter that appears with its first event hides it from `rate`.
        for counter in (
            self._metrics.ingest_waits,
            self._metrics.source_gap_items,
            self._metrics.source_items_unmappable,
        ):
            counter.labels(source=self._source.name)
        up = self._metrics.source_up.labels(source=self._source.name)
        up.set(1)
        ended = False
        try:
            ended = self._loop()
        finally:
            up.set(0)
            self._drain()
            self._save(done=ended)
            self._source.close()
        totals = self._totals()
        if ended:
            self._store.save_done(totals)
        self._log.info(
            "source ended" if ended else "source stopped",
            source=self._source.name,
            unacknowledged=len(self._outbox),
            **msgspec.to_builtins(totals),
        )
        return totals

    def _loop(self) -> bool:
        """Work until stopped (False) or the source has ended (True)."""
        while not self._stop.is_set():
            self._collect()
            if self._outbox.is_full:
                self._meet_full_buffer()
                continue
            items = self._poll(min(POLL_ITEMS, self._outbox.room(self._largest_bytes)))
            if items:
                self._deliver(items)
            elif self._source.exhausted:
                if not len(self._outbox):
                    return True
                self._wait(FULL_WAIT_S)
            self._save_when_due()
        return False

    def _poll(self, max_items: int) -> list[SourceItem]:
        try:
            return self._source.poll(max_items, POLL_TIMEOUT_S)
        except TransientError as error:
            self._log.warning("source is away", source=self._source.name, error=str(error))
            self._wait(POLL_TIMEOUT_S)
            return []

    def _deliver(self, items: Sequence[SourceItem]) -> None:
        if self._edge is not None:
            items = self._edge(items)
        letters = [self._writer.letter(item) for item in items]
        self._largest_bytes = max(len(letter.value) for letter in letters)
        self._outbox.add(letters)
        self._count_in(items, letters)
        try:
            self._outbox.transmit()
        except BrokerUnavailable as error:
            self._recover(error)
        self._metrics.ingest_buffered_posts.set(len(self._outbox))

    def _count_in(self, items: Sequence[SourceItem], letters: Sequence[Letter]) -> None:
        name = self._source.name
        sent = 0
        for item, letter in zip(items, letters, strict=True):
            if letter.topic:
                sent += 1
                if self._samples is not None and isinstance(item.record, Unmappable):
                    self._samples.keep(item.record.raw, item.record.detail)
            elif isinstance(item.record, Gap):
                self._count_gap(item.record)
            else:
                self._metrics.source_items_ignored.labels(source=name).inc()
            if letter.tally in (reasons.UNMAPPABLE, reasons.TOO_LARGE):
                self._metrics.dead_posts.labels(reason=letter.tally, stage="ingest").inc()
                if letter.tally == reasons.UNMAPPABLE:
                    self._metrics.source_items_unmappable.labels(source=name).inc()
        self._metrics.posts_in.labels(source=name).inc(sent)
        last = items[-1].record
        if isinstance(last, Post) and last.claimed_at is not None:
            lag = last.ingested_at - last.claimed_at
            self._metrics.source_lag_seconds.labels(source=name).set(lag.total_seconds())

    def _count_gap(self, gap: Gap) -> None:
        name = self._source.name
        self._metrics.source_gaps.labels(source=name, cause=gap.cause).inc()
        self._metrics.source_gap_seconds.labels(source=name).inc(gap.lost_s)
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
        if posts:
            self._metrics.posts_acknowledged.labels(source=self._source.name).inc(posts)
        self._metrics.ingest_buffered_posts.set(len(self._outbox))

    def _bury_head(self, error: DecodeError) -> None:
        """The broker's own limit is lower than ours: the record becomes a dead letter."""
        refused = self._outbox.head
        self._metrics.dead_posts.labels(reason=error.reason, stage="ingest").inc()
        try:
            self._outbox.replace_head(self._writer.too_large(refused.value, refused.cursor))
        except BrokerUnavailable as unavailable:
            self._recover(unavailable)

    def _recover(self, error: BrokerUnavailable) -> None:
        """Reconnect with back-off and jitter, and send everything unacknowledged again in order.

        Records after the failed one may be in Kafka already and come twice; leaving them out
        would put a later post of an author before an earlier one.
        """
        self._log.warning("broker unavailable", error=str(error), held=len(self._outbox))

        def is_worth_another(found: Exception) -> bool:
            return isinstance(found, BrokerUnavailable) and not self._stop.is_set()

        try:
            for attempt in stamina.retry_context(
                on=is_worth_another, attempts=None, timeout=None,
                wait_initial=0.1, wait_max=2.0, wait_jitter=0.5,
            ):  # fmt: skip
                with attempt:
                    self._producer.reconnect()
                    self._outbox.start_over()
                    self._outbox.transmit()
        except BrokerUnavailable:
            # Told to stop meanwhile: what is unacknowledged is after the cursor and comes again.
            return
        self._log.info("broker is back", held=len(self._outbox))

    def _meet_full_buffer(self) -> None:
        """Slow a source that can wait; let items of one that cannot go by, counted."""
        if self._source.can_wait:
            self._metrics.ingest_waits.labels(source=self._source.name).inc()
            # A tenth of it free before going on: polling for single items would cost more.
            enough = self._settings.max_buffered_posts * 9 // 10
            while not self._stop.is_set():
                self._wait(FULL_WAIT_S)
                self._collect()
                self._save_when_due()
                if not self._outbox.is_full and len(self._outbox) <= enough:
                    return
            return
        lost = self._poll(POLL_ITEMS)
        if lost:
            if not self._in_gap:
                self._log.warning("buffer full: items are lost", source=self._source.name)
            self._metrics.source_gap_items.labels(source=self._source.name).inc(len(lost))
            self._base.dropped += len(lost)
        else:
            self._wait(FULL_WAIT_S)
        self._in_gap = bool(lost)
        self._save_when_due()

    def _drain(self) -> None:
        """Wait for the last acknowledgements; those that do not come in time come again later."""
        give_up_s = self._clock.monotonic() + self._settings.stop_timeout_s
        while len(self._outbox):
            left_s = give_up_s - self._clock.monotonic()
            if left_s <= 0:
                self._log.warning("not all was acknowledged in time", held=len(self._outbox))
                return
            before = len(self._outbox)
            with suppress(BrokerUnavailable):
                self._producer.flush(min(left_s, FLUSH_S))
            self._collect()
            if len(self._outbox) == before:
                self._wait(min(left_s, POLL_TIMEOUT_S))

    def _save_when_due(self) -> None:
        if self._samples is not None:
            self._samples.expire_when_due()
        now_s = self._clock.monotonic()
        if now_s >= self._next_save_s:
            self._next_save_s = now_s + CURSOR_EVERY_S
            self._save(done=False)

    def _save(self, done: bool) -> None:
        cursor = self._outbox.cursor
        if cursor == self._saved_cursor and not done:
            return
        self._store.prepare(
            StoredCursor(
                source=self._source.name,
                cursor=cursor,
                totals=self._totals(),
                stored_at=self._clock.now(),
                fingerprint=self._source.fingerprint(),
                done=done,
            )
        )
        self._source.acknowledged(cursor)
        self._store.commit()
        self._saved_cursor = cursor

    def _totals(self) -> Totals:
        counts = msgspec.to_builtins(self._base)
        for tally, number in self._outbox.settled.items():
            counts[tally] += number
        counts["items_read"] = sum(n for tally, n in counts.items() if tally not in _NOT_ITEMS)
        return Totals(**counts)
