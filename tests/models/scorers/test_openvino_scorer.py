import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.heads import HEADS
from core.ports import Scorer
from core.settings import ScorerSettings
from models.scorers import SCORERS
from models.scorers.openvino_scorer import OpenVinoScorer
from models.serving.post_encoder import ScoredTexts
from testkit.models import Check, NonsenseCheck, nonsense_checks, scorer_checks
from testkit.scorers.fake import FakeScorer
from testkit.scorers.nonsense import RATED, VERSION, Answer

pytestmark = pytest.mark.server


@pytest.fixture
async def scorer(built_repository: Path) -> AsyncIterator[Scorer]:
    made = SCORERS.get("openvino")(
        ScorerSettings(kind="openvino", repository=str(built_repository))
    )
    yield made
    await made.close()


@pytest.mark.parametrize("check", scorer_checks(), ids=lambda check: check.__name__)
async def test_openvino_keeps_the_contract(check: Check, scorer: Scorer) -> None:
    await check(scorer)


async def test_after_closing_it_is_not_ready(built_repository: Path) -> None:
    settings = ScorerSettings(kind="openvino", repository=str(built_repository))
    closed = SCORERS.get("openvino")(settings)
    await closed.close()
    assert not await closed.is_ready()
    with pytest.raises(ScorerUnavailable):
        await closed.score_batch(["x"], [""])


def test_without_a_built_model_it_says_how_to_build(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models build"):
        SCORERS.get("openvino")(ScorerSettings(kind="openvino", repository=str(tmp_path)))


class StuckService:
    """A model that hangs until released, or fails."""

    version = "stuck-1"

    def __init__(self, failure: Exception | None = None) -> None:
        self.released = threading.Event()
        self.failure = failure

    def score(self, texts: Sequence[str], langs: Sequence[str]) -> ScoredTexts:
        if self.failure is None:
            self.released.wait(30)
            raise AssertionError("released")
        raise self.failure


class SpoilingService:
    """A model that answers the fake scorer's numbers as they are changed."""

    version = "spoilt-1"
    heads = tuple(HEADS)

    def __init__(self, spoil: Callable[[Answer], Answer]) -> None:
        self._spoil = spoil

    def score(self, texts: Sequence[str], langs: Sequence[str]) -> ScoredTexts:
        right = asyncio.run(FakeScorer().score_batch(texts, langs))
        versions = np.full((len(texts), 1), self.version.encode(), np.object_)
        answer = self._spoil({RATED: right.rated, VERSION: versions, **right.heads})
        del answer[VERSION]  # in process it is the model's own
        return ScoredTexts(answer.pop(RATED), answer, None)


@pytest.mark.parametrize(
    ("check", "kind"),
    [(check, kind) for check, kind in nonsense_checks() if kind != "version"],
    ids=lambda value: str(value)[:20],
)
async def test_openvino_keeps_nonsense_out(check: NonsenseCheck, kind: str) -> None:
    def answering(spoil: Callable[[Answer], Answer]) -> Scorer:
        return OpenVinoScorer(SpoilingService(spoil))  # type: ignore[arg-type]

    await check(kind, answering)


async def test_timeout_becomes_unavailable() -> None:
    service = StuckService()
    scorer = OpenVinoScorer(service, timeout_s=0.05)  # type: ignore[arg-type]
    with pytest.raises(ScorerTimedOut, match=r"longer than 0\.05 s"):
        await scorer.score_batch(["x"], [""])
    service.released.set()
    await scorer.close()


async def test_failure_of_the_model_refuses_the_batch_and_quotes_no_text() -> None:
    scorer = OpenVinoScorer(StuckService(ValueError("secret words of a post")))  # type: ignore[arg-type]
    with pytest.raises(ScorerRefused) as refused:
        await scorer.score_batch(["x"], [""])
    assert "secret" not in str(refused.value)
    await scorer.close()
