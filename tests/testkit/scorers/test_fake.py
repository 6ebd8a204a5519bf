import asyncio

import numpy as np
import pytest

from core.errors import ScorerRefused, ScorerUnavailable
from core.heads import HEADS
from testkit.scorers.fake import FakeScorer, Faults

# Written down once: a change of these numbers changes every result built on the fake.
GOLDEN = [[0.027415, 0.466263, 0.506322], [0.551724, 0.18761, 0.260666]]


async def test_scores_are_the_same_in_every_process() -> None:
    batch = await FakeScorer().score_batch(["a post", "another"], ["", "en"])
    np.testing.assert_allclose(
        batch.heads["sentiment"],
        GOLDEN,
        atol=1e-6,
    )


async def test_every_head_is_there() -> None:
    batch = await FakeScorer().score_batch(["a post"], [""])
    assert {name: values.shape[1] for name, values in batch.heads.items()} == {
        name: len(labels) for name, labels in HEADS.items()
    }


async def test_marked_text_makes_its_batch_refused_and_no_other() -> None:
    scorer = FakeScorer(faults=Faults(refuse_marker="poison"))
    with pytest.raises(ScorerRefused):
        await scorer.score_batch(["fine", "some poison here"], ["", ""])
    assert (await scorer.score_batch(["fine"], [""])).rated.all()


async def test_down_and_up_again() -> None:
    scorer = FakeScorer(faults=Faults(is_down=True))
    assert not await scorer.is_ready()
    with pytest.raises(ScorerUnavailable):
        await scorer.score_batch(["x"], [""])
    scorer.faults.is_down = False
    assert await scorer.is_ready()
    await scorer.score_batch(["x"], [""])
    assert (scorer.calls, scorer.posts) == (2, 1)


async def test_answer_later_than_the_timeout_is_unavailable() -> None:
    scorer = FakeScorer(faults=Faults(delay_s=60.0, timeout_s=0.01))
    with pytest.raises(ScorerUnavailable, match="did not answer within"):
        await asyncio.wait_for(scorer.score_batch(["x"], [""]), timeout=10)


async def test_delay_within_the_timeout_is_only_slow() -> None:
    scorer = FakeScorer(faults=Faults(delay_s=0.01, timeout_s=5.0))
    assert len((await scorer.score_batch(["x"], [""])).rated) == 1
