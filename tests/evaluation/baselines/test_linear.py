import numpy as np
import pytest

from evaluation.baselines import frozen
from evaluation.baselines.linear import tfidf, tfidf_layered, tfidf_tags

pytestmark = pytest.mark.server

TEXTS = [f"{word} number {n}" for n in range(12) for word in ("calm", "marching", "planned")]
LEVELS = [0, 1, 2] * 12


def test_words_that_tell_classes_apart_are_learned() -> None:
    found = tfidf(TEXTS, LEVELS, 3, ["calm again", "planned again", "marching again"])
    assert found.argmax(1).tolist() == [0, 2, 1]
    assert found.sum(1) == pytest.approx(1, abs=1e-5)


def test_a_class_that_training_lacks_gets_nothing() -> None:
    found = tfidf(TEXTS, LEVELS, 5, ["calm"])
    assert found.shape == (1, 5)
    assert found[0, 3:].tolist() == [0, 0]


def test_the_chain_is_a_distribution_over_all_levels() -> None:
    found = tfidf_layered(TEXTS, LEVELS, 3, ["calm", "planned", "marching"])
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert found.argmax(1).tolist() == [0, 2, 1]


def test_tags_that_never_or_always_apply_need_no_classifier() -> None:
    tags = np.zeros((36, 3), np.bool_)
    tags[:, 1] = True
    tags[::3, 2] = True
    found = tfidf_tags(TEXTS, tags, ["calm", "planned"])
    assert found[:, :2].tolist() == [[0, 1], [0, 1]]
    assert found[0, 2] > 0.5 > found[1, 2]


@pytest.mark.parametrize("design", [design for _, design in frozen.DESIGNS.values()])
def test_every_design_of_the_head_gives_a_distribution_and_learns(design) -> None:
    rng = np.random.default_rng(2)
    levels = rng.integers(0, 5, 400)
    vectors = rng.normal(0, 0.05, (400, 16)).astype(np.float32)
    vectors[:, 0] += 0.25 * levels
    vectors[np.arange(400), levels + 1] += 0.3
    predict = design(vectors[:300], levels[:300], np.ones(300))
    found = predict(vectors[300:])
    assert found.shape == (100, 5)
    assert found.sum(1) == pytest.approx(1)
    assert (found >= -1e-9).all()
    assert np.mean(found.argmax(1) == levels[300:]) > 0.85
