"""The plain job on our own parts: record runs, flows, compare-and-set applies; no queries.

Transport, flow, store and script are those of the worker; only the steps between them are the plain
job's own.
"""

from __future__ import annotations

import asyncio
import gc
import random
from datetime import timedelta

from benchmarks.peers.plain import Watch, arguments, decode_post
from core.clock import EPOCH, SystemClock, epoch_ms
from core.config import build
from core.metrics import Metrics
from core.settings import Settings
from services.bootstrap import make_store
from stream.runtime.app import make_app, run_app
from stream.topics import POSTS
from stream.worker.batch import PostBatch
from stream.worker.batching import BatchLimits
from stream.worker.flow import FlowParts
from stream.worker.flows import PartitionFlows
from stream.worker.running import Chain
from stream.worker.step import Step, beside_others, in_order
from stream.worker.steps.apply import Apply

BATCH_POSTS = 4_096
MINUTE = timedelta(minutes=1)


class Fold(Step):
    """Counts posts and adds up their lengths by minute."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def run(self, batch: PostBatch) -> None:
        """Decode and fold."""
        self._watch.begin()
        sums: dict[int, list[int]] = {}
        current = [0, 0]
        low = high = at = EPOCH  # of the minute that `current` is
        for record in batch.records:
            post = decode_post(record.value or b"")
            at = post.claimed_at
            if not low <= at < high:
                low = at.replace(second=0, microsecond=0)
                high = low + MINUTE
                current = sums.setdefault(int(low.timestamp()), [0, 0])
            current[0] += 1
            current[1] += len(post.text)
        batch.apply.watermark_ms = batch.position.watermark.advance(epoch_ms(at))
        batch.apply.panes = {start: [("all", counters, {}, [])] for start, counters in sums.items()}
        batch.apply.totals["counted"] = len(batch.records)


class Note(Step):
    """Takes note of an apply; the last one ends the job."""

    def __init__(self, watch: Watch, done: asyncio.Event) -> None:
        self._watch = watch
        self._done = done
        self._cursors: dict[int, int] = {}

    def run(self, batch: PostBatch) -> None:
        """Note how many posts are in."""
        self._cursors[batch.position.partition] = batch.position.cursor + 1
        applied = sum(self._cursors.values())
        self._watch.note(applied - self._watch.seen)
        if applied >= self._watch.posts:
            self._done.set()


async def run(settings: Settings, watch: Watch) -> None:
    """Run until every post is applied."""
    done = asyncio.Event()
    store, metrics = make_store(settings), Metrics(role="worker")
    parts = FlowParts(
        store=store,
        clock=SystemClock(),
        metrics=metrics,
        limits=BatchLimits.of(settings.worker),
        max_in_flight_batches=settings.worker.max_in_flight_batches,
        allowed_lateness_s=0,
        rng=random.Random(0),
    )
    chain = Chain(
        POSTS, metrics,
        in_order(Fold(watch)), beside_others(), in_order(Apply(store), Note(watch, done)),
    )  # fmt: skip
    flows = PartitionFlows(parts, [chain])
    try:
        await run_app(make_app(settings, flows), done)
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
