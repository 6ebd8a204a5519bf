"""Synthetic: a generated conversation, live, faster than life to catch up, or without a pace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.errors import ConfigError
from services.ingest.sources.base import Cursor, PacedSource, SourceContext, SourceItem
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.conversation import Conversation
from services.ingest.synthetic.ledger import Ledger, write_truth

_NOT_THE_STREAM = ("speed", "ledger", "truth", "history_s")
"""Options that may change between a stop and the next start."""


class SyntheticSource(PacedSource[SyntheticOptions]):
    """A generated conversation with a known truth, live or as fast as wanted.

    Every item of a `Conversation` leaves when its time has come.

    A post's `ingested_at` is the moment at which it was to arrive, not the one at which it was
    taken: delays of the system show as latency, and the same seed and start give the same bytes.

    Cursor: start of event time, first opening (both milliseconds since 1970), tick, items of it
    that are done.
    """

    name: ClassVar[str] = "synthetic"
    is_live: ClassVar[bool] = False
    Options = SyntheticOptions

    def __init__(self, options: SyntheticOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        options.check()
        self.paced = options.speed > 0
        self._ledger: Ledger | None = None

    def fingerprint(self) -> str:
        """A hash of all options that the stream depends on."""
        tree = msgspec.to_builtins(self.options)
        kept = {key: value for key, value in tree.items() if key not in _NOT_THE_STREAM}
        return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()[:16]

    def open(self, cursor: Cursor | None) -> None:
        """Start the conversation, or go on with it; open the files beside it."""
        if self.options.ledger:
            self._ledger = Ledger(Path(self.options.ledger), is_fresh=cursor is None)
        super().open(cursor)

    def items(self, cursor: Cursor | None) -> Iterator[SourceItem]:
        """Yield what comes after `cursor`."""
        now = self.context.clock.now()
        if cursor is None:
            cursor = [epoch_ms(self._start(now)), epoch_ms(now), 0, 0]
        start_ms, opened_ms, first_tick, skip = cursor
        start = from_epoch_ms(start_ms)
        conversation = Conversation(self.options, start)
        if self.options.truth:
            write_truth(Path(self.options.truth), self.options, conversation.schedule)
        first_ms = conversation.tick_start_ms(first_tick)
        now_ms, speed = epoch_ms(now), self.options.speed
        ledger = self._ledger
        due_s = 0.0
        for tick, arrived in conversation.ticks(first_tick):
            for place, utterance in enumerate(arrived, start=1):
                if place <= skip:
                    continue
                if speed:
                    since_ms = utterance.arrival_ms - first_ms
                    behind_ms = (now_ms - opened_ms) - (first_ms - start_ms)
                    due_s = _due_s(since_ms, utterance.arrival_ms - now_ms, behind_ms, speed)
                here = [start_ms, opened_ms, tick, place]
                if ledger is not None:
                    ledger.add(here, utterance)
                yield SourceItem(utterance.record, here, utterance.kind == "duplicate", due_s)
            skip = 0

    def _start(self, now: datetime) -> datetime:
        """Return where event time begins in a fresh run."""
        options = self.options
        if options.start_at:
            try:
                start = datetime.fromisoformat(options.start_at)
            except ValueError as error:
                raise ConfigError(
                    f"synthetic: start_at = {options.start_at!r}: expected RFC 3339"
                ) from error
            if start.tzinfo is None:
                raise ConfigError(f"synthetic: start_at = {options.start_at!r}: expected a zone")
            return start
        history_s = options.history_s
        if not history_s and options.speed != 1:
            history_s = options.duration_s or options.posts / options.posts_per_s
        return now - timedelta(seconds=history_s)

    def acknowledged(self, cursor: Cursor) -> None:
        """Write the ledger up to `cursor`."""
        if self._ledger is not None:
            self._ledger.acknowledged(cursor)

    def close(self) -> None:
        """Stop generating and close the ledger."""
        self._items = iter(())
        if self._ledger is not None:
            self._ledger.close()


def _due_s(since_ms: int, ahead_ms: int, behind_ms: int, speed: float) -> float:
    """Return seconds after the start of this run when an item is to leave.

    Args:
        since_ms: The event time since the first item of this run.
        ahead_ms: Its time less the wall clock's when this run started.
        behind_ms: How much longer the run should have been going than event time shows.
        speed: The event time over wall time.
    """
    if speed == 1:  # in step with the wall clock, what was missed in a stop at once
        return (since_ms - behind_ms) / 1000
    due_s = since_ms / speed / 1000
    # Faster than life only until it has caught up: nobody posts in the future.
    return max(due_s, ahead_ms / 1000) if speed > 1 else due_s
