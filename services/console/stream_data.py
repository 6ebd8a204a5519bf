"""The data of a running stream, from Redis, Kafka, and the catalog of queries.

Every look has a deadline of its own, so that what is away is named. What is read from Kafka is
kept for `console.refresh_s`: a list of alerts costs a topic, the texts of one a part of `posts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from threading import Lock
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import BrokerUnavailable, StoreUnavailable, TransientError
from core.folders import catalog_file
from core.settings import Settings
from services.alerting.showing import ExampleText, PastAlert, PastAlerts, read_alerts, read_examples
from services.bootstrap import make_store
from services.console.data import PanesFound, QualityFound
from services.console.recent import RecentAnswers
from services.console.window_posts import WindowPosts, read_window_posts
from services.dead_letters import DeadLetters, Replayed, read_dead_letters, replay
from services.kafka_client import TopicProbe
from services.pipeline_view import PipelineView, read_pipeline
from services.windows_view import PaneBounds, all_panes, pane_bounds
from stream.queries import CatalogWatcher, QueryCatalog
from stream.store.quarantine import EVERY, Missing
from stream.topics import ALERTS
from stream.windows.layout import COUNTERS

_T = TypeVar("_T")
_THREADS: Final = 4
_POSTS: Final = COUNTERS.index("posts")
_CATALOG, _ALERTS, _QUALITY = "catalog", "alerts", "quality"
_BUSIEST, _PARTITIONS = "busiest", "partitions"
_PIPELINE, _DEAD = "pipeline", "dead letters"


class StreamData:
    """The data of a running stream.

    Args:
        settings: Where everything is.
        clock: Tells the time.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._store = make_store(settings)
        self._recent = RecentAnswers(settings.console.refresh_s, clock)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="console")
        self._watcher: CatalogWatcher | None = None
        self._catalog_lock = Lock()

    async def catalog(self) -> QueryCatalog:
        """Return the queries that are watched."""
        return await self._recent.get(_CATALOG, lambda: self._apart(self._catalog_now))

    def _catalog_now(self) -> QueryCatalog:
        """Return what the file says now; thousands of queries are read again only if it changed."""
        with self._catalog_lock:  # who gave up waiting may have left a thread at it
            if self._watcher is None:
                self._watcher = CatalogWatcher(catalog_file(self._settings.queries.path))
            else:
                self._watcher.reload_if_changed()
            if self._watcher.last_error is not None:
                raise self._watcher.last_error
            return self._watcher.catalog

    async def bounds(self) -> PaneBounds:
        """Return which panes there are."""
        return await self._in_time(self._bounds(), StoreUnavailable, "Redis")

    async def panes(self, query: str, start_s: int, end_s: int) -> PanesFound:
        """Return the panes of a query that start in `[start_s, end_s)`."""
        found = await self._in_time(
            self._panes([query], (start_s, end_s)), StoreUnavailable, "Redis"
        )
        return found[query]

    async def panes_of(self, queries: Sequence[str], last: int) -> dict[str, PanesFound]:
        """Return the last panes of some queries; for all who look at once they are read once."""

        async def look() -> dict[str, PanesFound]:
            last_s = (await self._bounds()).last_s
            first_s = last_s - (last - 1) * self._settings.windows.pane_s
            return await self._panes(queries, (first_s, last_s + 1))

        key = ("panes of", tuple(queries), last)
        return await self._recent.get(key, lambda: self._in_time(look(), StoreUnavailable, "Redis"))

    async def busiest(self) -> tuple[PaneBounds, dict[str, int]]:
        """Return which panes there are, and the posts of each query in the last closed one."""

        async def look() -> tuple[PaneBounds, dict[str, int]]:
            bounds = await self._bounds()
            at_s, pane_s = bounds.last_closed_s, self._settings.windows.pane_s
            looked = all_panes(
                self._store, pane_s, between_s=(at_s, at_s + 1), partitions=await self._partitions()
            )
            async with aclosing(looked):
                posts = {one.query: one.content.counters[_POSTS] async for one in looked}
            return bounds, posts

        return await self._recent.get(
            _BUSIEST, lambda: self._in_time(look(), StoreUnavailable, "Redis")
        )

    async def _partitions(self) -> list[int]:
        """Return which partitions have state: asked for once for all who look at the time."""
        return await self._recent.get(_PARTITIONS, self._store.partitions)

    async def _bounds(self) -> PaneBounds:
        return await pane_bounds(self._store, await self._partitions())

    async def _panes(
        self, queries: Sequence[str], between_s: tuple[int, int]
    ) -> dict[str, PanesFound]:
        """Return the panes of these queries alone: of thousands of others nothing is decoded."""
        found, missing = {query: PanesFound() for query in queries}, list[Missing]()
        if not queries:
            return found
        pane_s = self._settings.windows.pane_s
        partitions = await self._partitions()
        looked = all_panes(self._store, pane_s, missing, between_s, queries, partitions)
        async with aclosing(looked):
            async for pane in looked:
                found[pane.query].panes[pane.start_s] = pane
        for query, panes in found.items():
            panes.missing = {one.start_s for one in missing if one.query in (query, EVERY)}
        return found

    async def alerts(self) -> PastAlerts:
        """Return the alerts that are kept, the newest first."""
        kafka = self._settings.kafka
        return await self._recent.get(_ALERTS, lambda: self._ask_kafka(lambda: read_alerts(kafka)))

    async def examples(self, past: PastAlert) -> list[ExampleText]:
        """Return what the posts that show an alert say now."""
        kafka = self._settings.kafka
        # As it was when it was last told: another set of posts is another look.
        key = (past.alert.alert_id, past.chosen_ms, len(past.alert.examples))
        return await self._recent.get(
            key, lambda: self._ask_kafka(lambda: read_examples(kafka, past))
        )

    async def window_posts(self, query: str, start_s: int, end_s: int) -> WindowPosts:
        """Return some of the posts of a query in a window, and what they say now."""
        kafka = self._settings.kafka
        key = ("posts of a window", query, start_s, end_s)
        return await self._recent.get(
            key,
            lambda: self._ask_kafka(lambda: read_window_posts(kafka, query, start_s, end_s)),
        )

    async def quality(self) -> QualityFound:
        """Return what forecasts were worth."""

        async def look() -> QualityFound:
            # With numpy, and forecasts may be off.
            from services.forecaster.showing import read_view

            view = await read_view(self._settings)
            return QualityFound(tuple(view.quality()), tuple(view.notes))

        return await self._recent.get(
            _QUALITY, lambda: self._in_time(look(), StoreUnavailable, "Redis")
        )

    async def pipeline(self) -> PipelineView:
        """Return how far each stage is: what Redis says, and beside it what Kafka says."""

        async def look() -> PipelineView:
            return await read_pipeline(self._settings, self._store, self._clock, self._ask_kafka)

        return await self._recent.get(_PIPELINE, look)

    async def dead_letters(self) -> DeadLetters:
        """Return the last messages that could not be used, the newest first."""
        kafka = self._settings.kafka
        return await self._recent.get(
            _DEAD, lambda: self._ask_kafka(lambda: read_dead_letters(kafka))
        )

    async def replay(self, place: int, repaired: bytes | None) -> Replayed:
        """Send the record of a dead letter again."""
        return await self._ask_kafka(lambda: replay(self._settings, place, repaired))

    async def away(self) -> list[str]:
        """Return which of `store` and `broker` do not answer."""

        async def fails(look: Callable[[], Awaitable[object]]) -> bool:
            try:
                await look()
            except TransientError:
                return True
            return False

        store, broker = await asyncio.gather(
            fails(self.bounds), fails(lambda: self._recent.get("broker", self._ask_broker))
        )
        return [name for name, is_away in (("store", store), ("broker", broker)) if is_away]

    async def _ask_broker(self) -> int:
        def ask() -> int:
            probe = TopicProbe(self._settings.kafka, ALERTS)
            try:
                return len(probe.ends())
            finally:
                probe.close()

        return await self._ask_kafka(ask)

    async def _ask_kafka(self, look: Callable[[], _T]) -> _T:
        return await self._in_time(self._apart(look), BrokerUnavailable, "Kafka")

    async def _apart(self, look: Callable[[], _T]) -> _T:
        """Call what waits on a thread of its own; no more than a few at once."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, look)

    async def _in_time(self, look: Awaitable[_T], away: type[TransientError], name: str) -> _T:
        # Before the request as a whole is late: so it is known who has not answered.
        limit_s = 0.8 * self._settings.console.deadline_s
        try:
            async with asyncio.timeout(limit_s):
                return await look
        except TimeoutError:
            raise away(f"{name} has not answered within {limit_s:g} s") from None

    async def close(self) -> None:
        """Release connections; a thread that waits for Kafka ends when that gives up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._store.close()
