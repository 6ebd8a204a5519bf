"""The exporter's process: turns the state in the store into gauges, every few seconds.

One is enough for a deployment; it only reads, so a second one does no harm.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from core.clock import SystemClock
from core.errors import StoreUnavailable
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.retry import pause_s
from core.settings import Settings
from services.bootstrap import make_store
from services.corrected_shares import ShareCorrector
from services.exporter.conversation import Exporter
from services.exporter.machinery import LagProbe, StateExporter
from services.heartbeat_watch import HeartbeatWatch
from services.stopping import until_signalled, wait
from services.windows_view import snapshot
from stream.store.redis_store import RedisStore

_log = get_logger(__name__)

RECENT_PANES: Final = 10
"""A query without a post in so many panes has no gauges."""


async def repeat_until(
    stop: asyncio.Event, look: Callable[[], Awaitable[None]], every_s: float
) -> None:
    """Look every `every_s` seconds until `stop` is set; wait out a store that is away."""
    rng, attempt = random.Random(), 0
    while not stop.is_set():
        try:
            await look()
            attempt, delay_s = 0, every_s
        except StoreUnavailable as error:
            if attempt == 0:
                _log.warning("waiting for the store", reason=str(error))
            delay_s = pause_s(attempt, rng)
            attempt += 1
        await wait(stop, delay_s)


async def refresh(store: RedisStore, exporter: Exporter, settings: Settings) -> None:
    """Export the windows once.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    exporter.export(await snapshot(store, pane_s=settings.windows.pane_s, last=RECENT_PANES))


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the exporter until `stop` is set."""
    metrics, clock = Metrics(role="exporter"), SystemClock()
    metrics.serve(settings.metrics.address, settings.metrics.port)
    store = make_store(settings)
    lag = LagProbe(settings.kafka, metrics, clock)
    corrector = ShareCorrector.of(settings)
    windows = Exporter(metrics, settings.exporter.max_queries, corrector)
    beats = HeartbeatWatch(metrics, clock, settings.heartbeat.every_s)
    state, every_s = StateExporter(metrics, lag, beats), settings.exporter.refresh_s
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                repeat_until(stop, lambda: refresh(store, windows, settings), every_s)
            )
            group.create_task(repeat_until(stop, lambda: state.look(store), every_s))
    finally:
        await lag.close()
        await store.close()


def main(settings: Settings) -> None:
    """Run an exporter process until SIGTERM or SIGINT."""
    set_up(settings.log, "exporter")
    asyncio.run(until_signalled(lambda stop: run(settings, stop)))
