import numpy as np
import pytest

from models.popalm.sampling import NUCLEUS, Sampling, draw, log_softmax

LOGITS = np.log(np.array([[0.5, 0.3, 0.15, 0.05]], np.float32))


def drawn(top_p: float, temperature: float = 1.0, times: int = 4_000) -> list[float]:
    """Return how often each of four pieces is drawn."""
    rng = np.random.default_rng(1)
    rows = np.repeat(LOGITS, times, axis=0)
    pieces = draw(rows, Sampling(top_p=top_p, temperature=temperature), rng)
    return [float(np.mean(pieces == piece)) for piece in range(4)]


def test_pieces_are_drawn_as_likely_as_they_are() -> None:
    assert drawn(1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


@pytest.mark.parametrize(
    ("top_p", "left"), [(0.5, [1, 0, 0, 0]), (0.8, [5 / 8, 3 / 8, 0, 0]), (0.01, [1, 0, 0, 0])]
)
def test_pieces_beyond_the_nucleus_are_never_drawn(top_p: float, left: list[float]) -> None:
    assert drawn(top_p) == pytest.approx(left, abs=0.03)


def test_low_temperature_takes_the_likeliest_piece() -> None:
    assert drawn(1.0, temperature=0.01) == [1, 0, 0, 0]


def test_piece_that_may_not_come_is_never_drawn() -> None:
    logits = np.full((2_000, 3 * NUCLEUS), -np.inf, np.float32)
    logits[:, [5, 1_500]] = 0
    pieces = draw(logits, Sampling(top_p=1.0), np.random.default_rng(2))
    assert set(pieces.tolist()) == {5, 1_500}


def test_draws_follow_from_the_seed_alone() -> None:
    rows = np.random.default_rng(0).normal(size=(16, 5_000)).astype(np.float32)
    one, other = (draw(rows, Sampling(), np.random.default_rng(3)) for _ in range(2))
    assert one.tolist() == other.tolist()
    assert one.tolist() != draw(rows, Sampling(), np.random.default_rng(4)).tolist()


def test_log_probabilities_sum_to_one() -> None:
    rows = np.random.default_rng(0).normal(0, 50, (8, 1_000)).astype(np.float32)
    assert np.exp(log_softmax(rows)).sum(axis=1) == pytest.approx(np.ones(8), rel=1e-4)
