"""The scorer of several servers against two that speak Triton's protocol."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from core.clock import SystemClock
from core.errors import ScorerUnavailable
from core.metrics import Metrics
from core.ports import Scorer
from core.settings import ScorerSettings
from models.scorers import SCORERS
from models.scorers.pooled import PooledScorer
from models.scorers.triton import TritonScorer
from stream.worker.scoring import PatientScorer, Scored
from testkit.scorers.fake import FakeScorer
from testkit.scorers.fake_triton import ERRORS, FakeTriton

TEXTS = [f"the trains are late, number {number}" for number in range(8)]
LANGS = ["en"] * len(TEXTS)


class Bench:
    """Two servers, and the scorer that the settings make of them."""

    def __init__(self, servers: list[FakeTriton]) -> None:
        self.servers = servers
        urls = tuple(f"127.0.0.1:{server.port}" for server in servers)
        made = SCORERS.get("triton")(ScorerSettings(url=urls, timeout_s=60.0))
        assert isinstance(made, PooledScorer)
        self.scorer = made
        self.registry = CollectorRegistry()
        self.metrics = Metrics(registry=self.registry)
        self.scorer.watch(self.metrics)

    def value(self, name: str, at: int, **labels: str) -> float | None:
        labels["server"] = f"127.0.0.1:{self.servers[at].port}"
        return self.registry.get_sample_value(f"groundswell_{name}", labels)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    servers = [FakeTriton(), FakeTriton()]
    for server in servers:
        await server.start()
    made = Bench(servers)
    yield made
    await made.scorer.close()
    for server in servers:
        await server.stop()


async def _same(scores: Scored, texts: list[str]) -> bool:
    """Whether the scores are those of the fake, bit by bit."""
    right = await FakeScorer().score_batch(texts, ["en"] * len(texts))
    found = scores.scores
    return (
        not scores.unscored
        and found is not None
        and np.array_equal(found.rated, right.rated)
        and all(np.array_equal(found.heads[name], right.heads[name]) for name in right.heads)
    )


async def test_one_address_is_a_plain_client():
    for url in ("127.0.0.1:1", ("127.0.0.1:1",), "127.0.0.1:1,"):
        made: Scorer = SCORERS.get("triton")(ScorerSettings(url=url))
        assert type(made) is TritonScorer
        await made.close()


async def test_both_are_asked_and_shown(bench: Bench):
    assert await bench.scorer.is_ready()
    for _ in range(4):
        await bench.scorer.score_batch(TEXTS, LANGS)
    assert [server.requests for server in bench.servers] == [2, 2]
    assert [bench.value("scorer_server_up", at) for at in (0, 1)] == [1.0, 1.0]
    assert [bench.value("scorer_server_in_flight_posts", at) for at in (0, 1)] == [0.0, 0.0]


async def test_one_that_answers_errors_is_counted_and_the_other_answers(bench: Bench):
    bench.servers[0].manners.kind = ERRORS
    for _ in range(3):
        await bench.scorer.score_batch(TEXTS, LANGS)
    assert bench.value("scorer_server_up", 0) == 0.0
    assert bench.value("scorer_server_left_out_total", 0, cause="sick") == 1.0
    bench.servers[1].manners.kind = ERRORS
    with pytest.raises(ScorerUnavailable, match=r"none of 2 servers answers.*127\.0\.0\.1"):
        await bench.scorer.score_batch(TEXTS, LANGS)
    assert not await bench.scorer.is_ready()


async def test_of_two_models_one_scores(bench: Bench):
    bench.servers[1]._fake.version = "fake-2"
    found = {(await bench.scorer.score_batch(TEXTS, LANGS)).model_version for _ in range(6)}
    assert found == {"fake-1"}
    assert bench.value("scorer_server_left_out_total", 1, cause="version") == 1.0


async def test_both_killed_in_turn_under_load_lose_nothing(bench: Bench):
    patient = PatientScorer(bench.scorer, SystemClock(), bench.metrics)
    answered, ended = asyncio.Condition(), asyncio.Event()
    right: list[bool] = []

    async def load(lane: int) -> None:
        number = 0
        while not ended.is_set():
            texts = [f"lane {lane}, batch {number}, {text}" for text in TEXTS]
            number += 1
            is_right = await _same(await patient.score(texts, LANGS), texts)
            async with answered:
                right.append(is_right)
                answered.notify_all()

    async def more(batches: int) -> None:
        wanted = len(right) + batches
        async with answered:
            await answered.wait_for(lambda: len(right) >= wanted)

    lanes = [asyncio.create_task(load(lane)) for lane in range(4)]
    for turn in range(4):
        await more(20)
        server = bench.servers[turn % 2]
        port = server.port
        await server.stop()
        await more(20)  # the other one carries it all
        await server.start(port)
        while not bench.value("scorer_server_up", turn % 2):
            await more(1)
    ended.set()
    await asyncio.gather(*lanes)
    assert all(right)
    assert len(right) >= 160
    for at in (0, 1):
        assert (bench.value("scorer_server_left_out_total", at, cause="sick") or 0) >= 2
