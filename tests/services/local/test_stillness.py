"""Every reason for which nothing is scored, from pages as the processes have them."""

import pytest
from prometheus_client import generate_latest

from core.metrics import Metrics
from services.local.collector import SnapshotMaker
from services.local.scrape import Page, parse_pages
from services.local.snapshot import PartLine
from services.windows_view import WindowsView

RUNNING = (PartLine("triton", "ready", 0), PartLine("ingest", "ready", 0))


def page_of(metrics: Metrics) -> Page:
    return parse_pages([generate_latest(metrics.registry).decode()])


class Watched:
    """A source and a worker that are looked at twice, ten seconds apart."""

    def __init__(self) -> None:
        self.ingest, self.worker = Metrics(), Metrics()
        self.maker = SnapshotMaker("synthetic", started_s=0.0)
        self.look(0.0, RUNNING)

    def look(self, now_s: float, parts: tuple[PartLine, ...]) -> str:
        pages = {1: page_of(self.ingest), 2: page_of(self.worker)}
        return self.maker.make(now_s, pages, WindowsView(), parts, "").stillness

    def sends(self, waiting: int = 0) -> None:
        self.ingest.posts_acknowledged.labels(source="synthetic").inc(100)
        self.worker.lag_posts.labels(topic="posts", partition="0").set(waiting)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_nothing_is_said_while_posts_are_scored(watched: Watched) -> None:
    watched.sends(waiting=50)
    watched.worker.scored_posts_out.inc(50)
    watched.worker.scorer_retries.inc()
    assert watched.look(10.0, RUNNING) == ""


def test_a_source_that_sends_nothing_is_named_also_while_heartbeats_are_scored(
    watched: Watched,
) -> None:
    watched.worker.scored_posts_out.inc(4)
    assert "nothing arrives" in watched.look(10.0, RUNNING)
    ended = (RUNNING[0], PartLine("ingest", "ended", 0))
    assert watched.look(11.0, ended) == ""


def test_a_model_that_is_loaded_is_named_before_what_follows_from_it(watched: Watched) -> None:
    watched.sends(waiting=100)
    watched.worker.scorer_retries.inc(7)
    loading = (PartLine("triton", "starting", 1), RUNNING[1])
    assert "loading its model" in watched.look(10.0, loading)


def test_time_outs_and_a_scorer_that_is_away_are_told_apart(watched: Watched) -> None:
    watched.sends(waiting=100)
    watched.worker.scorer_retries.inc(7)
    assert "cannot be reached, 7 tries" in watched.look(10.0, RUNNING)
    watched.worker.scorer_timeouts.inc(3)
    assert "did not answer 3 batches in time" in watched.look(11.0, RUNNING)


def test_posts_in_scoring_and_posts_that_nobody_took_are_told_apart(watched: Watched) -> None:
    watched.sends(waiting=100)
    assert "no worker has taken the 100 posts" in watched.look(10.0, RUNNING)
    watched.worker.in_flight_posts.set(64)
    assert "has had 64 posts" in watched.look(11.0, RUNNING)


def test_nothing_is_said_before_anything_could_have_arrived(watched: Watched) -> None:
    assert watched.look(2.0, RUNNING) == ""
