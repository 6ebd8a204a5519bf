import numpy as np
import pytest

from core.ports import ScoreBatch
from models.encoder.data import LabelledTexts
from models.evaluation.evaluate import CHUNK_POSTS, bootstrap, majority_floor, measure, score_all


def made_up(posts: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 3, posts)
    scores = rng.normal(0, 1, (posts, 3)) + 1.5 * np.eye(3)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return probabilities.astype(np.float32), truth


def test_intervals_hold_their_figure_and_are_repeatable() -> None:
    probabilities, truth = made_up()
    found = bootstrap(probabilities, truth, resamples=200, seed=1)
    assert found == bootstrap(probabilities, truth, resamples=200, seed=1)
    for name, value in measure(probabilities, truth).items():
        assert found[name].value == value
        if name != "ece":  # drawing again adds noise, which this measure can only count as error
            assert found[name].low < value < found[name].high


def test_intervals_narrow_with_more_posts() -> None:
    few, many = (bootstrap(*made_up(posts), resamples=100)["accuracy"] for posts in (100, 5_000))
    assert many.high - many.low < (few.high - few.low) / 3


def test_majority_floor_has_the_recall_of_chance() -> None:
    train = LabelledTexts(("a", "b", "c"), (1, 1, 0))
    floor = majority_floor(train, 3, 3)
    np.testing.assert_allclose(floor[0], [1 / 3, 2 / 3, 0])
    assert measure(floor, np.array([0, 1, 2]))["macro_recall"] == pytest.approx(1 / 3)


def test_all_posts_are_scored_in_their_order() -> None:
    texts = [str(number) for number in range(CHUNK_POSTS * 2 + 3)]
    sizes = []

    def score(part: list[str], langs: list[str]) -> ScoreBatch:
        sizes.append(len(part))
        values = np.array([[float(text), 0.0, 0.0] for text in part], np.float32)
        return ScoreBatch("v", np.ones(len(part), np.bool_), {"sentiment": values})

    found = score_all(score, texts, [""] * len(texts), "sentiment")  # type: ignore[arg-type]
    assert found.heads["sentiment"][:, 0].tolist() == [float(text) for text in texts]
    assert sizes == [CHUNK_POSTS, CHUNK_POSTS, 3]
