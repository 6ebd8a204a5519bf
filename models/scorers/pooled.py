"""The models of several servers behind the ports of one; see `models.scorers.pool`."""

from collections.abc import Callable, Sequence
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from core.metrics import Metrics
from core.ports import (
    CrowdAnswer,
    CrowdModel,
    CrowdQuestions,
    EngagementAnswer,
    EngagementModel,
    Generated,
    Responder,
    ScoreBatch,
    Scorer,
)
from models.scorers.pool import ServerPool
from models.scorers.pool_server import C


class _Pooled(Generic[C]):
    """What every port has."""

    def __init__(self, pool: ServerPool[C]) -> None:
        self._pool = pool

    async def is_ready(self) -> bool:
        """Whether any server answers and has loaded the model."""
        return await self._pool.is_ready()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()


class PooledScorer(_Pooled[Scorer]):
    """Satisfies `core.ports.Scorer`."""

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """See `Scorer.score_batch`."""
        return await self._pool.ask(len(texts), lambda client: client.score_batch(texts, langs))

    def watch(self, metrics: Metrics) -> None:
        """Show each server in the metrics of a worker."""
        for server in self._pool.servers:
            metrics.scorer_server_up.labels(server.url).set_function(
                lambda one=server: 0.0 if one.why_out else 1.0
            )
            metrics.scorer_server_in_flight_posts.labels(server.url).set_function(
                lambda one=server: float(one.in_flight)
            )
            for cause in ("sick", "slow", "version"):
                metrics.scorer_server_left_out.labels(server.url, cause)
            metrics.scorer_server_asked_again.labels(server.url)
        self._pool.on_left_out = lambda url, cause: metrics.scorer_server_left_out.labels(
            url, cause
        ).inc()
        self._pool.on_asked_again = lambda url: metrics.scorer_server_asked_again.labels(url).inc()


class PooledEngagement(_Pooled[EngagementModel]):
    """Satisfies `core.ports.EngagementModel`."""

    async def predict(
        self, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """See `EngagementModel.predict`."""
        return await self._pool.ask(
            len(features), lambda client: client.predict(features, sequence)
        )


class PooledResponder(_Pooled[Responder]):
    """Satisfies `core.ports.Responder`."""

    async def reply(self, text: str, number: int, seed: int) -> Generated:
        """See `Responder.reply`."""
        return await self._pool.ask(1, lambda client: client.reply(text, number, seed))


class PooledCrowd(_Pooled[CrowdModel]):
    """Satisfies `core.ports.CrowdModel`."""

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """See `CrowdModel.expect`."""
        return await self._pool.ask(len(questions.texts), lambda client: client.expect(questions))


def one_or_pooled(
    urls: Sequence[str], make: Callable[[str], C], pooled: Callable[[ServerPool[C]], C],
    timeout_s: float,
) -> C:  # fmt: skip
    """Return the client of the one server that is named, or a pool of several behind its port."""
    clients = [(url, make(url)) for url in urls]
    return clients[0][1] if len(clients) == 1 else pooled(ServerPool(clients, timeout_s))
