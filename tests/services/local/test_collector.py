import time

from prometheus_client import generate_latest, start_http_server

from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.schemas import MICRO
from services.local.collector import Collector, SnapshotMaker
from services.local.scrape import Page, parse_pages
from services.local.snapshot import PartLine
from services.windows_view import PaneView, WindowsView
from stream.windows.layout import COUNTERS, INDEX
from stream.windows.records import PaneSum

PARTS = [PartLine("kafka", "ready", 0)]


def page_of(metrics: Metrics) -> Page:
    return parse_pages([generate_latest(metrics.registry).decode()])


def test_a_snapshot_has_rates_lag_latency_and_letters_of_all_processes() -> None:
    ingest, worker = Metrics(), Metrics()
    maker = SnapshotMaker("synthetic", started_s=100.0)
    maker.make(100.0, {1: page_of(ingest), 2: page_of(worker)}, WindowsView(), PARTS, "")
    ingest.posts_acknowledged.labels(source="synthetic").inc(500)
    worker.posts_applied.labels(partition="0").inc(300)
    worker.posts_applied.labels(partition="1").inc(100)
    worker.scored_posts_out.inc(450)
    worker.lag_posts.labels(topic="posts", partition="0").set(60)
    worker.lag_posts.labels(topic="posts", partition="1").set(20)
    worker.dead_posts.labels(reason="duplicate", stage="worker").inc(7)
    for _ in range(100):
        worker.count_latency_seconds.observe(0.02)
    snapshot = maker.make(
        105.0, {1: page_of(ingest), 2: page_of(worker)}, WindowsView(), PARTS, "hello"
    )
    assert [(f.name, f.posts_per_s, f.posts) for f in snapshot.flows] == [
        ("ingest", 100.0, 500), ("scored", 90.0, 450), ("counted", 80.0, 400),
    ]  # fmt: skip
    assert (snapshot.elapsed_s, snapshot.lag_posts, snapshot.lag_s) == (5.0, 80, 1.0)
    assert 0.01 <= (snapshot.latency_p50_s or 0) <= (snapshot.latency_p95_s or 0) <= 0.025
    assert snapshot.dead_letters == (("duplicate", 7),)
    assert (snapshot.parts, snapshot.message) == (tuple(PARTS), "hello")
    assert maker.latencies() == (snapshot.latency_p50_s, snapshot.latency_p95_s)


def test_nothing_answering_gives_an_empty_snapshot() -> None:
    snapshot = SnapshotMaker("replay", started_s=0.0).make(1.0, {}, WindowsView(), [], "")
    assert (snapshot.lag_posts, snapshot.lag_s, snapshot.latency_p95_s) == (0, None, None)
    assert [flow.posts for flow in snapshot.flows] == [0, 0, 0]


def pane(query: str, start_s: int, posts: int, rated: int, closed: bool = True) -> PaneView:
    counters = [0] * len(COUNTERS)
    counters[INDEX["posts"]], counters[INDEX["rated"]] = posts, rated
    counters[INDEX["sentiment_sum"]] = 2 * MICRO
    return PaneView(query, start_s, start_s + 10, closed, 1 if closed else -1, PaneSum(counters))


def test_windows_come_newest_first_and_queries_by_their_posts() -> None:
    view = WindowsView(
        [
            pane("all", 0, 50, 8),
            pane("rail", 0, 5, 0),
            pane("all", 10, 60, 4),
            pane("rail", 10, 6, 4),
            pane("all", 20, 7, 1, closed=False),
        ]
    )
    snapshot = SnapshotMaker("replay", started_s=0.0).make(1.0, {}, view, [], "")
    assert [(w.start_s, w.query, w.is_open) for w in snapshot.windows] == [
        (20, "all", True), (10, "all", False), (10, "rail", False), (0, "all", False),
        (0, "rail", False),
    ]  # fmt: skip
    assert [(q.name, q.posts, q.sentiment, q.history) for q in snapshot.queries] == [
        ("all", 60, 0.5, (0.25, 0.5)), ("rail", 6, 0.5, (None, 0.5)),
    ]  # fmt: skip


def test_the_collector_looks_by_itself_and_outlives_a_store_that_is_away() -> None:
    def away() -> WindowsView:
        raise StoreUnavailable("killed")

    metrics = Metrics()
    metrics.posts_acknowledged.labels(source="synthetic").inc(5)
    metrics.windows_closed.inc(3)
    maker = SnapshotMaker("synthetic", started_s=0.0)
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    ports = [server.server_port]
    collector = Collector(maker, ports, away, lambda: PARTS, lambda: "", every_s=0.01)
    give_up_at = time.monotonic() + 60.0
    try:
        # The first look may be too slow for its time-out and see nothing.
        while not collector.latest.flows[0].posts and time.monotonic() < give_up_at:
            time.sleep(0.002)
    finally:
        collector.close()
        server.shutdown()
        server.server_close()
        thread.join()
    assert (collector.latest.flows[0].posts, collector.latest.windows_closed) == (5, 3)
