"""The worker: Kafka -> score -> panes. Run as many as there are partitions; Kafka shares them out.

Kill it at any moment: the next owner of its partitions seeks to the cursor that the store holds.
SIGTERM drains: nothing new is taken, what is in flight is applied, then it ends.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from core.authors import author_hasher
from core.clock import SystemClock
from core.folders import catalog_file
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.ports import Scorer
from core.reasons import DEAD_REASONS
from core.sealing import Sealer
from core.settings import Secret, Settings
from services.bootstrap import make_live_scorer, make_store
from services.cluster_guard import ClusterGuard
from stream.cluster import group_in
from stream.queries.catalog import CatalogWatcher
from stream.queries.matcher import Matcher
from stream.runtime.app import KafkaSink, make_app, run_app
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.worker.adaptive_limit import AdaptiveLimit
from stream.worker.batching import BatchLimits, PostBudget
from stream.worker.flows import Engine
from stream.worker.outlets import KafkaOutlets
from stream.worker.pipeline import Pipeline
from stream.worker.ports import FlowParts
from stream.worker.scoring import PatientScorer
from stream.worker.stages import EventsStage, PostsStage, StageParts

_log = get_logger(__name__)


class LiveMatcher:
    """The matcher in use, replaced when the query file changes; a bad file keeps the old one."""

    def __init__(self, path: Path, metrics: Metrics, author_key: Secret) -> None:
        self._watcher = CatalogWatcher(path)
        self._metrics = metrics
        # Without a key authors are plain handles, which the matcher compares by itself. With one
        # some still are: those of sources that are of public figures, or that are made up.
        self._author_key = author_hasher(author_key) if author_key else None
        self._take()

    def __call__(self) -> Matcher:
        """Return the matcher in use now."""
        return self.current

    def look(self) -> None:
        """Reload the query file if it changed."""
        reload = self._watcher.reload_if_changed()
        if reload.error is not None:
            self._metrics.query_reload_failures.inc()
            _log.error("query file refused, keeping the old one", error=str(reload.error))
        elif reload.is_changed:
            self._take()

    def _take(self) -> None:
        catalog = self._watcher.catalog
        self.current = Matcher(catalog.queries, self._author_key, plain_authors=True)
        self._metrics.queries_loaded.set(len(self.current.names))
        _log.info("queries loaded", count=len(catalog.queries), version=catalog.version)


def make_engine(
    settings: Settings,
    store: RedisStore,
    scorer: Scorer,
    sink: KafkaSink,
    matcher: Callable[[], Matcher],
    metrics: Metrics,
) -> Engine:
    """Join the parts of a worker."""
    worker, clock = settings.worker, SystemClock()
    limit = AdaptiveLimit(worker, clock, metrics)
    parts = FlowParts(
        store=store,
        outlets=KafkaOutlets(sink, clock, Sealer(settings.ingest.author_key)),
        clock=clock,
        metrics=metrics,
        limits=BatchLimits.of(worker, limit.batch_posts),
        max_in_flight_batches=worker.max_in_flight_batches,
        allowed_lateness_s=settings.windows.allowed_lateness_s,
        chance=random.Random(),
    )
    budget = PostBudget(worker.max_in_flight_posts, limit.in_flight_posts)
    metrics.in_flight_posts.set_function(lambda: budget.in_use)
    stage_parts = StageParts(
        pipeline=Pipeline(settings.windows),
        store=store,
        scorer=PatientScorer(scorer, clock, metrics, limit=limit),
        budget=budget,
        matcher=matcher,
        max_message_bytes=worker.max_message_bytes,
    )
    return Engine(
        parts,
        {POSTS: lambda: PostsStage(stage_parts), POST_EVENTS: lambda: EventsStage(stage_parts)},
    )


async def run(settings: Settings) -> None:
    """Run the worker until SIGTERM or SIGINT."""
    metrics = Metrics(role="worker")
    metrics.serve(settings.metrics.address, settings.metrics.port)
    for reason in DEAD_REASONS:
        metrics.dead_posts.labels(reason=reason, stage="worker")  # at 0: `rate` sees the first
    matcher = LiveMatcher(catalog_file(settings.queries.path), metrics, settings.ingest.author_key)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store, scorer, sink = (
        make_store(settings),
        make_live_scorer(settings, metrics),
        KafkaSink(settings.kafka),
    )
    try:
        await sink.start()
        await _stream(settings, store, scorer, sink, matcher, metrics, stop)
    finally:
        await sink.stop()
        await scorer.close()
        await store.close()


async def _stream(
    settings: Settings,
    store: RedisStore,
    scorer: Scorer,
    sink: KafkaSink,
    matcher: LiveMatcher,
    metrics: Metrics,
    stop: asyncio.Event,
) -> None:
    """Take partitions and count until `stop` is set, of one cluster only."""
    guard = ClusterGuard(settings.kafka, sink, store.identity)
    await guard.settle(stop)
    group = group_in(settings.worker.group, guard.cluster_id)
    settings = replace(settings, worker=replace(settings.worker, group=group))
    engine = make_engine(settings, store, scorer, sink, matcher, metrics)
    app = make_app(settings, engine)
    drained = asyncio.Event()

    async def drain_on_stop() -> None:
        await stop.wait()
        finished = await engine.drain(settings.worker.drain_timeout_s)
        _log.info("drained", finished=finished)
        drained.set()

    async def look_after() -> None:
        while True:
            await asyncio.sleep(settings.queries.reload_every_s)
            matcher.look()
            await engine.look_after()

    draining = asyncio.create_task(drain_on_stop())
    looking = [asyncio.create_task(look_after()), asyncio.create_task(guard.watch())]
    for task in looking:
        task.add_done_callback(lambda _: drained.set())
    try:
        await run_app(app, drained)
        for task in looking:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in (draining, *looking):
            task.cancel()


def main(settings: Settings) -> None:
    """Run a worker process."""
    set_up(settings.log, "worker")
    # A batch makes some ten thousand containers that reference counting frees by itself; at its
    # default threshold the cycle collector walks them over and over: a fifth of the worker's CPU.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    asyncio.run(run(settings))
