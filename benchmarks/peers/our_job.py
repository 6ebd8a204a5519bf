"""The plain job on our own parts: record runs, flows, compare-and-set applies; no queries.

Transport, flow, store and script are those of the worker; only the stage between them is the plain
job's own.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Sequence
from datetime import timedelta

from benchmarks.peers.plain import Watch, arguments, decode_post
from core.clock import EPOCH, SystemClock, epoch_ms
from core.config import build
from core.metrics import Metrics
from core.settings import Settings
from services.bootstrap import make_store
from stream.runtime.app import make_app, run_app
from stream.store.increments import ApplyBatch, PartitionState
from stream.topics import POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batching import BatchLimits
from stream.worker.flows import Engine
from stream.worker.intake import RawRecord
from stream.worker.pipeline import Outcome
from stream.worker.ports import FlowParts, Prepared

BATCH_POSTS = 4_096
MINUTE = timedelta(minutes=1)


class PlainStage:
    """Counts posts and adds up their lengths by minute."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def reset(self) -> None:
        """Nothing is held between batches."""

    async def prepare(
        self,
        partition: int,
        records: Sequence[RawRecord],
        watermark: PartitionWatermark,
        applied: int,
    ) -> Prepared:
        """Decode and fold."""
        del partition, applied
        self._watch.begin()
        sums: dict[int, list[int]] = {}
        current = [0, 0]
        low = high = at = EPOCH  # of the minute that `current` is
        for record in records:
            post = decode_post(record.value or b"")
            at = post.claimed_at
            if not low <= at < high:
                low = at.replace(second=0, microsecond=0)
                high = low + MINUTE
                current = sums.setdefault(int(low.timestamp()), [0, 0])
            current[0] += 1
            current[1] += len(post.text)
        watermark.advance(epoch_ms(at))
        return Prepared(
            first=records[0].offset,
            last=records[-1].offset,
            watermark_ms=watermark.value_ms,
            finish=lambda apply: self._finish(sums, len(records), apply),
            release=lambda: None,
        )

    async def _finish(self, sums: dict[int, list[int]], posts: int, apply: ApplyBatch) -> Outcome:
        apply.panes = {start: [("all", counters, {}, [])] for start, counters in sums.items()}
        apply.totals["counted"] = posts
        return Outcome(apply, counted=posts)


class NoOutlets:
    """The plain job sends nothing; after each apply it is told how many posts are in."""

    def __init__(self, watch: Watch, done: asyncio.Event) -> None:
        self._watch = watch
        self._done = done
        self._cursors: dict[int, int] = {}

    async def send_scored(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Never called."""

    async def send_dead(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Never called."""

    async def send_progress(self, partition: int, state: PartitionState) -> None:
        """Take note of an apply; the last one ends the job."""
        self._cursors[partition] = state.cursors[POSTS] + 1
        applied = sum(self._cursors.values())
        self._watch.note(applied - self._watch.seen)
        if applied >= self._watch.posts:
            self._done.set()


async def run(settings: Settings, watch: Watch) -> None:
    """Run until every post is applied."""
    done = asyncio.Event()
    store, clock = make_store(settings), SystemClock()
    parts = FlowParts(
        store=store,
        outlets=NoOutlets(watch, done),
        clock=clock,
        metrics=Metrics(role="worker"),
        limits=BatchLimits.of(settings.worker),
        max_in_flight_batches=settings.worker.max_in_flight_batches,
        allowed_lateness_s=0,
        chance=random.Random(0),
    )
    engine = Engine(parts, {POSTS: lambda: PlainStage(watch)})
    try:
        await run_app(make_app(settings, engine), done)
    finally:
        await store.close()


def main() -> None:
    """Run and write times; the windows are in the store."""
    asked = arguments()
    settings = build(
        {
            "kafka": {"bootstrap_servers": asked.bootstrap},
            "redis": {"url": asked.redis},
            "worker": {
                "max_batch_posts": BATCH_POSTS,
                "max_batch_bytes": 8_388_608,
                "max_in_flight_posts": 4 * BATCH_POSTS,
                "max_fetched_records": BATCH_POSTS,
                "data_dir": str(asked.scratch),
                "group": asked.scratch.name,
            },
        }
    )
    watch = Watch(asked.posts)
    # As in services.worker: the collector finds nothing in batches and walks them all the same.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    asyncio.run(run(settings, watch))
    watch.write(asked.out, {})


if __name__ == "__main__":
    main()
