"""The hedge is hardly worse than its best expert, and safe from a bad model from the start."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.engagement.experts import EXPERTS, MED32, experts_of, experts_of_one
from models.engagement.hedge import PRIOR, Hedge, is_hedge
from models.engagement.layout import to_log16

MODEL = EXPERTS.index("model")


def errors(model_error: float, outcomes: int, seed: int = 0) -> tuple[float, NDArray[np.float64]]:
    """Return the mean error of the hedge and those of the experts, in a world of one source."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(4, 1, outcomes)
    floors = truth[:, None] + rng.normal(0, 1, (outcomes, 5))
    kept = to_log16(np.column_stack([floors, truth + rng.normal(0, model_error, outcomes)]))
    hedge, hedged = Hedge(), []
    experts = experts_of(kept)
    for row, outcome in zip(experts, truth.tolist(), strict=True):
        hedged.append(abs(outcome - float(row @ hedge.weights)))
        hedge.update(row.tolist(), outcome)
    return float(np.mean(hedged)), np.abs(truth[:, None] - experts).mean(axis=0)


def test_with_a_good_model_it_soon_follows_the_model() -> None:
    hedged, experts = errors(0.3, 1_000)
    assert hedged < 1.05 * experts[MODEL] < experts[MED32]


@pytest.mark.parametrize("model_error", [2.0, 5.0, 20.0])
def test_with_a_bad_model_it_is_not_worse_than_the_floor(model_error: float) -> None:
    for outcomes in (20, 200, 1_000):
        hedged, experts = errors(model_error, outcomes)
        assert hedged < 1.005 * experts[MED32]


def test_it_finds_back_when_the_best_expert_changes() -> None:
    hedge = Hedge()
    for best in (MODEL, MED32):
        row = [3.0] * len(EXPERTS)
        row[best] = 2.0
        for _ in range(200):
            hedge.update(row, 2.0)
        assert hedge.weights[best] > 0.9


def test_one_wild_outcome_moves_little() -> None:
    hedge = Hedge()
    rng = np.random.default_rng(1)
    for outcome in rng.normal(4, 1, 100).tolist():
        hedge.update([4.0] * len(EXPERTS), outcome)
    before = hedge.weights[MED32]
    row = [4.0] * len(EXPERTS)
    row[MODEL] = 15.0
    hedge.update(row, 15.0)
    assert hedge.weights[MED32] > 0.9 * before


def test_experts_of_one_post_are_those_of_a_batch() -> None:
    kept = np.arange(60, dtype=np.uint16).reshape(10, 6) * 1_000
    assert [experts_of_one(row) for row in kept.tolist()] == experts_of(kept).tolist()


def test_weights_that_cannot_be_are_told() -> None:
    assert is_hedge(PRIOR, 0.0)
    for weights, scale in (
        (PRIOR[:-1], 0.0),
        ((1.0,) * 7, 0.0),
        (PRIOR, -1.0),
        (PRIOR, float("nan")),
    ):
        assert not is_hedge(weights, scale)
    assert not is_hedge((float("nan"), *PRIOR[1:]), 0.0)
