import asyncio

import pytest
import redis

from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.settings import RedisSettings, Settings
from services.exporter.conversation import Exporter
from services.exporter.process import refresh, repeat_until
from services.local.redis_server import RedisServer
from services.windows_view import PaneView, WindowsView
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.records import PaneSum

DATABASE = 11
START = 1_772_366_400
CONTENT = [4, 2, 1_000_000, 500_000, 200_000, 600_000, 1_200_000]


def _pane(
    query: str, start_s: int = START, closed: bool = True, content: object = None
) -> PaneView:
    found = PaneSum(CONTENT, {}, 3) if content is None else content
    assert isinstance(found, PaneSum)
    return PaneView(query, start_s, start_s + 60, closed, 0 if closed else -1, found)


class Bench:
    def __init__(self, max_queries: int = 200) -> None:
        self.metrics = Metrics()
        self.exporter = Exporter(self.metrics, max_queries)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}", labels)


def test_last_closed_pane_of_each_query_becomes_gauges() -> None:
    bench = Bench()
    bench.exporter.export(
        WindowsView([_pane("all"), _pane("rail"), _pane("all", START + 60, closed=False)])
    )
    assert bench.value("window_posts", query="all") == 4
    assert bench.value("window_sentiment", query="all") == pytest.approx(0.5)
    assert bench.value("window_sentiment_stderr", query="rail") == pytest.approx(0.0)
    assert bench.value("window_authors", query="all") == 3
    share = bench.value("window_share", query="all", head="sentiment", label="positive")
    assert share == pytest.approx(0.6)
    assert bench.value("window_end_seconds") == START + 60


def test_query_without_posts_in_the_last_pane_has_zero_posts_and_no_mean() -> None:
    bench = Bench()
    bench.exporter.export(WindowsView([_pane("all"), _pane("rail")]))
    bench.exporter.export(WindowsView([_pane("all"), _pane("rail"), _pane("all", START + 60)]))
    assert bench.value("window_posts", query="rail") == 0
    assert bench.value("window_sentiment", query="rail") is None
    assert bench.value("window_share", query="rail", head="sentiment", label="positive") is None
    assert bench.value("window_sentiment", query="all") is not None


def test_query_that_fell_silent_loses_its_gauges() -> None:
    bench = Bench()
    bench.exporter.export(WindowsView([_pane("all"), _pane("rail")]))
    bench.exporter.export(WindowsView([_pane("all", START + 600)]))
    assert bench.value("window_posts", query="rail") is None


def test_labels_are_bounded_and_what_is_left_out_is_counted() -> None:
    bench = Bench(max_queries=2)
    bench.exporter.export(WindowsView([_pane(q) for q in ("a", "b", "all", "c")]))
    assert bench.value("window_posts", query="all") == 4
    assert bench.value("window_posts", query="a") == 4
    assert bench.value("window_posts", query="b") is None
    assert bench.value("queries_left_out") == 2


def test_unrated_pane_has_posts_and_no_mean() -> None:
    bench = Bench()
    bench.exporter.export(WindowsView([_pane("all", content=PaneSum([5], {}, 5))]))
    assert bench.value("window_posts", query="all") == 5
    assert bench.value("window_sentiment", query="all") is None


def test_accounting_of_each_partition_is_exported() -> None:
    bench = Bench()
    bench.exporter.export(WindowsView(totals={2: {"counted": 7, "dead:posts": 1}}))
    assert bench.value("partition_posts", partition="2", outcome="counted") == 7
    assert bench.value("partition_posts", partition="2", outcome="dead:posts") == 1


@pytest.mark.integration
async def test_exporter_reads_the_store_again_and_again_and_waits_while_it_is_away(
    redis_server: RedisServer,
) -> None:
    url = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    store = _Flaky(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    batch = ApplyBatch(POSTS, -1, 3, (START + 60) * 1000, {START: [("all", CONTENT, {}, ["a"])]})
    batch.totals["counted"] = 4
    await store.apply(0, batch)
    await store.close_through([0], START + 60)
    bench, stop = Bench(), asyncio.Event()
    exporter = _Telling(bench.metrics, 200)
    settings = Settings()
    running = asyncio.create_task(
        repeat_until(stop, lambda: refresh(store, exporter, settings), 0.01)
    )
    try:
        async with asyncio.timeout(60):
            await exporter.exported.wait()
        assert bench.value("partition_posts", partition="0", outcome="counted") == 4
        assert store.refused == 1
        assert bench.value("window_posts", query="all") == 4
    finally:
        stop.set()
        await running
        await store.close()


class _Telling(Exporter):
    """Tells when it has exported."""

    def __init__(self, metrics: Metrics, max_queries: int) -> None:
        super().__init__(metrics, max_queries)
        self.exported = asyncio.Event()

    def export(self, view: WindowsView) -> None:
        super().export(view)
        self.exported.set()


class _Flaky(RedisStore):
    """Away at the first look."""

    refused = 0

    async def partitions(self) -> list[int]:
        if not self.refused:
            self.refused = 1
            raise StoreUnavailable("away")
        return await super().partitions()
