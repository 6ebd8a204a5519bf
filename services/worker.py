"""The worker: Kafka -> score -> panes. Run as many as there are partitions; Kafka shares them out.

Kill it at any moment: the next owner of its partitions seeks to the cursor that the store holds.
SIGTERM drains: nothing new is taken, what is in flight is applied, then it ends.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
from dataclasses import dataclass

from msgspec.structs import replace

from core.clock import SystemClock
from core.folders import catalog_file
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.ports import Scorer
from core.reasons import DEAD_REASONS
from core.sealing import Sealer
from core.settings import Settings
from models.scorers.pooled import PooledScorer
from services.bootstrap import make_scorer, make_shadow, make_store
from services.cluster_guard import ClusterGuard
from stream.cluster import group_in
from stream.queries.live import LiveMatcher
from stream.runtime.app import make_app, run_app
from stream.runtime.sink import KafkaSink
from stream.store.redis_store import RedisStore
from stream.worker.adaptive_limit import AdaptiveLimit
from stream.worker.batching import BatchLimits, PostBudget
from stream.worker.chain import StepTools, make_chains
from stream.worker.flow import FlowParts
from stream.worker.flows import PartitionFlows
from stream.worker.scoring import PatientScorer
from stream.worker.steps.compare_shadow import ShadowComparison

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Connections:
    """What a worker holds open, and closes at its end."""

    store: RedisStore
    scorer: Scorer
    shadow: ShadowComparison | None
    sink: KafkaSink

    async def close(self) -> None:
        """Close everything; the shadow first, as it may still compare."""
        await self.sink.stop()
        if self.shadow is not None:
            await self.shadow.close()
        await self.scorer.close()
        await self.store.close()


def make_flows(
    settings: Settings, held: _Connections, matcher: LiveMatcher, metrics: Metrics
) -> PartitionFlows:
    """Return the flows of a worker, with their chains."""
    worker, clock = settings.worker, SystemClock()
    limit = AdaptiveLimit(worker, clock, metrics)
    budget = PostBudget(worker.max_in_flight_posts, limit.in_flight_posts)
    metrics.in_flight_posts.set_function(lambda: budget.in_use)
    if isinstance(held.scorer, PooledScorer):
        held.scorer.watch(metrics)
    chains = make_chains(
        StepTools(
            store=held.store,
            sink=held.sink,
            scorer=PatientScorer(held.scorer, clock, metrics, limit=limit),
            budget=budget,
            matcher=matcher,
            windows=settings.windows,
            max_message_bytes=worker.max_message_bytes,
            clock=clock,
            metrics=metrics,
            sealer=Sealer(settings.ingest.author_key),
            shadow=held.shadow,
        )
    )
    parts = FlowParts(
        store=held.store,
        clock=clock,
        metrics=metrics,
        limits=BatchLimits.of(worker, limit.batch_posts, limit.last_call_s),
        max_in_flight_batches=worker.max_in_flight_batches,
        allowed_lateness_s=settings.windows.allowed_lateness_s,
        rng=random.Random(),
    )
    return PartitionFlows(parts, chains)


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
    held = _Connections(
        make_store(settings),
        make_scorer(settings),
        make_shadow(settings, metrics),
        KafkaSink(settings.kafka),
    )
    try:
        await held.sink.start()
        await _stream(settings, held, matcher, metrics, stop)
    finally:
        await held.close()


async def _stream(
    settings: Settings,
    held: _Connections,
    matcher: LiveMatcher,
    metrics: Metrics,
    stop: asyncio.Event,
) -> None:
    """Take partitions and count until `stop` is set, of one cluster only."""
    guard = ClusterGuard(settings.kafka, held.sink, held.store.identity)
    await guard.settle(stop)
    group = group_in(settings.worker.group, guard.cluster_id)
    settings = replace(settings, worker=replace(settings.worker, group=group))
    flows = make_flows(settings, held, matcher, metrics)
    app = make_app(settings, flows)
    drained = asyncio.Event()

    async def drain_on_stop() -> None:
        await stop.wait()
        finished = await flows.drain(settings.worker.drain_timeout_s)
        _log.info("drained", finished=finished)
        drained.set()

    async def check() -> None:
        while True:
            await asyncio.sleep(settings.queries.reload_every_s)
            matcher.check()
            await flows.check()

    draining = asyncio.create_task(drain_on_stop())
    checking = [asyncio.create_task(check()), asyncio.create_task(guard.watch())]
    for task in checking:
        task.add_done_callback(lambda _: drained.set())
    try:
        await run_app(app, drained)
        for task in checking:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in (draining, *checking):
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
