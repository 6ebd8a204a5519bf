"""What the shared checks of network sources run on: a runner in a thread, and a killed process."""

# ruff: noqa: S101 - checks for tests

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from core.clock import SystemClock
from core.codec import post_decoder
from core.settings import IngestSettings
from services.ingest.cursor_store import CursorStore, StoredCursor, Totals
from services.ingest.outgoing import IngestTopics, RecordWriter
from services.ingest.runner import IngestRunner
from services.ingest.sources.base import Source
from testkit import waiting
from testkit.kafka import FakeProducer, MemoryBroker

GIVE_UP_S: Final = 60.0
"""What has not come by then does not come: the machine may be very busy."""
wait_until = partial(waiting.wait_until, patience_s=GIVE_UP_S)


class Killed(BaseException):
    """The end of a process in the middle of what it did, as far as its files can tell."""


class KilledStore(CursorStore):
    """Writes nothing any more from a chosen step of a save on, once `is_armed`."""

    def __init__(self, directory: Path, source: str, step: str) -> None:
        super().__init__(directory, source)
        self._step = step
        self.is_armed = False
        self.is_dead = False
        self.has_saved = False

    def prepare(self, stored: StoredCursor) -> None:
        """Write, or be killed after it."""
        self._live()
        super().prepare(stored)
        self._die_at("prepare")

    def commit(self) -> None:
        """Be killed before it, or write."""
        self._live()
        self._die_at("commit")
        super().commit()
        self.has_saved = True

    def _live(self) -> None:
        if self.is_dead:
            raise Killed

    def _die_at(self, step: str) -> None:
        self.is_dead = self.is_armed and step == self._step
        self._live()


class LiveRig:
    """A runner in a thread of its own, on a fake broker that outlives it.

    Args:
        source: not yet open.
        directory: of the cursor.
        broker: shared by the rigs of one test, as the real one is by restarts.
        max_buffered_posts: bound of the outbox.
        store: of the cursor; one in `directory` unless given.
    """

    def __init__(
        self,
        source: Source,
        directory: Path,
        broker: MemoryBroker,
        max_buffered_posts: int = 5_000,
        store: CursorStore | None = None,
    ) -> None:
        self.source = source
        self.broker = broker
        self.metrics = source.context.metrics
        self.totals: Totals | None = None
        self.store = store or CursorStore(directory, source.name)
        self._stop = threading.Event()
        clock = SystemClock()
        # Whoever stops has seen all of it in the broker: only the reading of answers is left.
        settings = IngestSettings(max_buffered_posts=max_buffered_posts, stop_timeout_s=30.0)
        writer = RecordWriter(source.name, IngestTopics(), 1_048_576, clock)
        self.runner = IngestRunner(
            source, FakeProducer(broker), self.store, writer, settings, self.metrics, clock,
            self._stop,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.totals = self.runner.run()
        except Killed:
            self.source.close()

    def __enter__(self) -> LiveRig:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and wait for the end."""
        self._stop.set()
        self._thread.join(GIVE_UP_S)
        assert not self._thread.is_alive(), "the runner did not stop"

    def ids(self) -> list[str]:
        """Return the ids of the posts in the broker, in order."""
        return [post_decoder.decode(value).id for value in list(self.broker.values("posts"))]

    def wait_for(self, wanted: Sequence[str]) -> None:
        """Wait until the broker has these posts."""
        wait_until(lambda: set(wanted) <= set(self.ids()), f"{len(wanted)} posts are in Kafka")

    def count(self, name: str) -> float:
        """Return a counter of this source, summed over other labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"groundswell_{name}_total"
        )
