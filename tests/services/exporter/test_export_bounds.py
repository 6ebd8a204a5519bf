"""What the exporter and a worker may export stays bounded, whatever people write."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.codec import encode
from core.metrics import Metrics
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from services.exporter.conversation import Exporter, mix
from services.local.redis_server import RedisServer
from services.windows_view import PaneView, WindowsView, snapshot
from stream.queries.catalog import Query
from stream.queries.grammar import parse
from stream.queries.matcher import Matcher
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.layout import INDEX, MAX_STRATA, WIDTH
from stream.windows.records import PaneSum
from stream.windows.summary import MIN_PARTICIPATION_POSTS
from stream.worker.flows import PartitionFlows
from testkit import local as testing
from testkit.builders import make_post
from testkit.stream import ListSink, MemoryPartition, feed, make_flows, make_tools

MAX_QUERIES = 50
AUTHORS = 10_000
QUERIES = 1_000


def samples(metrics: Metrics, prefix: str = "groundswell_") -> Iterator[tuple[str, dict[str, str]]]:
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name.startswith(prefix) and not sample.name.endswith("_created"):
                yield sample.name, sample.labels


def pane(posts: int, strata: dict[str, list[int]] | None = None, query: str = "all") -> PaneView:
    counters = [0] * WIDTH
    for name in ("posts", "rated", "participation_posts", "problem_posts"):
        counters[INDEX[name]] = posts
    counters[INDEX["participation_intention"]] = posts * 1_000_000
    return PaneView(query, 0, 60, True, 0, PaneSum(counters, strata or {}, posts))


@pytest.mark.parametrize("posts", [1, MIN_PARTICIPATION_POSTS - 1, MIN_PARTICIPATION_POSTS])
def test_participation_of_a_small_group_is_not_exported(posts: int) -> None:
    metrics = Metrics()
    exporter = Exporter(metrics, MAX_QUERIES)
    exporter.export(WindowsView([pane(MIN_PARTICIPATION_POSTS)]))
    exporter.export(WindowsView([pane(posts)]))  # what was shown before goes, too
    for name in ("groundswell_window_share", "groundswell_window_mobilisation"):
        assert bool(list(samples(metrics, name))) == (posts >= MIN_PARTICIPATION_POSTS), name


def test_posts_that_nobody_scored_are_no_cover_for_the_few_that_were() -> None:
    shown = pane(MIN_PARTICIPATION_POSTS)
    shown.content.counters[INDEX["participation_posts"]] -= 1
    shown.content.counters[INDEX["problem_posts"]] -= 1
    metrics = Metrics()
    Exporter(metrics, MAX_QUERIES).export(WindowsView([shown]))
    for name in ("groundswell_window_share", "groundswell_window_mobilisation"):
        assert not list(samples(metrics, name)), name


def test_the_mix_adds_up_to_the_posts_in_every_dimension() -> None:
    strata = {f"s{i % 9}|l{i % 7}|t{i % 11}": [i, 0, 0, 0] for i in range(200)}
    found = mix(strata)
    assert {sum(parts.values()) for parts in found.values()} == {sum(r[0] for r in strata.values())}
    assert all(len(parts) <= MAX_STRATA for parts in found.values())
    assert found["source"]["other"] > 0  # what the cap folded


def flows_on(store: RedisStore, metrics: Metrics) -> PartitionFlows:
    worker = WorkerSettings(max_batch_posts=256, max_batch_age_ms=5)
    matcher = Matcher([Query(f"q{n}", parse(f"word{n}")) for n in range(QUERIES)])
    tools = make_tools(
        store, ListSink(), worker=worker, windows=WindowSettings(allowed_lateness_s=0),
        matcher=matcher, metrics=metrics,
    )  # fmt: skip
    return make_flows(tools, random.Random(1), worker)


def hostile_values(count: int) -> list[bytes]:
    """Posts of as many authors, in languages and from sources that nobody knows, some broken."""
    chance = random.Random(5)
    values = []
    for number in range(count):
        text = " ".join(f"word{chance.randrange(QUERIES)}" for _ in range(8))
        post = make_post(
            number,
            author=f"author{number}",
            source=f"source{chance.randrange(500)}",
            lang=f"{chance.choice('abcdefgh')}{chance.choice('abcdefgh')}-{number}",
            text=text,
            claimed_at=make_post(number // 100).claimed_at,
        )
        value = encode(post)
        values.append(value[: chance.randrange(len(value))] if number % 50 == 0 else value)
    return values


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with testing.redis_server(tmp_path) as server:
        yield server


@pytest.mark.integration
async def test_labels_stay_bounded_under_ten_thousand_authors_and_a_thousand_queries(own_redis):
    store = RedisStore(
        RedisSettings(url=own_redis.url), Horizons.of(WindowSettings(), WorkerSettings())
    )
    worker, values = Metrics(role="worker"), hostile_values(AUTHORS)
    flows = flows_on(store, worker)
    feeding = asyncio.create_task(
        feed(flows, {(POSTS, 0): MemoryPartition(values)}, random.Random(2))
    )
    try:
        async with asyncio.timeout(120):
            while (await store.partition_state(0)).cursors[POSTS] < len(values) - 1:
                if feeding.done():
                    feeding.result()
                await asyncio.sleep(0.05)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await flows.drain(10)
    await store.close_through([0], max(await store.pane_starts([0])) + 60)
    exporter = Metrics(role="exporter")
    Exporter(exporter, MAX_QUERIES).export(await snapshot(store, pane_s=60, last=1))
    await store.close()

    assert 0 < len(list(samples(worker))) < 200
    exported = list(samples(exporter))
    per_query = 7 + 3 + 4 + 5 + 1 + 4 + 4 * MAX_STRATA
    assert MAX_QUERIES * 10 < len(exported) <= MAX_QUERIES * per_query + 50
    assert len({labels["query"] for _, labels in exported if "query" in labels}) == MAX_QUERIES
    left_out = exporter.registry.get_sample_value("groundswell_queries_left_out")
    assert left_out is not None
    assert left_out > QUERIES // 2
    said = [value for _, labels in [*exported, *samples(worker)] for value in labels.values()]
    assert not [value for value in said if "author" in value or "word" in value]
