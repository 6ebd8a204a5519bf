import numpy as np
import pytest

from evaluation.baselines.centroid import best_cut, centroids, class_scores, held_out_scores
from evaluation.baselines.shown import cut_for_prior
from models.encoder.neighbours import choose_neighbours, neighbour_scores
from models.metrics import macro_f1
from models.popalm.encoders import unit


def around(labels: np.ndarray, seed: int = 1, width: int = 8) -> np.ndarray:
    """Unit vectors that lie about their class's own axis."""
    rng = np.random.default_rng(seed)
    return unit((np.eye(width)[labels] + 0.2 * rng.normal(size=(len(labels), width))).astype("f4"))


def test_centroids_find_the_class_of_what_lies_near() -> None:
    labels = np.arange(60) % 3
    vectors = around(labels)
    found = class_scores(around(labels, seed=2), centroids(vectors, labels, 3))
    assert found.sum(1) == pytest.approx(1)
    assert macro_f1(found.argmax(1), labels, 3) == 1.0


def test_no_post_helps_to_judge_itself_or_its_fold() -> None:
    labels = np.array([0, 1] * 20)
    vectors = around(labels)
    folds = [row // 2 % 4 for row in range(40)]
    found = held_out_scores(vectors, labels, 2, folds)
    inside = np.asarray(folds) == 1
    means = centroids(vectors[~inside], labels[~inside], 2)
    assert np.allclose(found[inside], class_scores(vectors[inside], means))


def test_the_best_cut_separates_what_can_be_separated() -> None:
    scores = np.linspace(0, 1, 200)
    assert best_cut(scores, scores > 0.6) == pytest.approx(0.6, abs=0.02)


def test_a_cut_for_rarer_positives_is_higher() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(3_000) < 0.77
    scores = 1 / (1 + np.exp(-rng.normal(np.where(positive, 1.0, -1.0), 1.3)))
    as_shown, as_used = (cut_for_prior(scores, positive, prior) for prior in (0.77, 0.26))
    assert as_used > as_shown + 0.1
    rare = np.concatenate([np.flatnonzero(positive)[:200], np.flatnonzero(~positive)[:570]])
    figures = [
        macro_f1((scores[rare] >= cut).astype(int), positive[rare].astype(int), 2)
        for cut in (as_shown, as_used)
    ]
    assert figures[1] > figures[0]


def test_neighbours_vote_and_never_for_themselves() -> None:
    labels = np.arange(40) % 4
    vectors, tags = around(labels), np.eye(4, dtype=bool)[labels]
    found = neighbour_scores(around(labels, seed=5), vectors, tags, k=5)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert (found.argmax(1) == labels).all()
    lonely = np.vstack([vectors[:4], -vectors[:1]])
    own = neighbour_scores(lonely, lonely, np.eye(5, dtype=bool), k=1, is_same=True)
    assert np.diag(own).max() == 0
    assert choose_neighbours(vectors, tags) in (3, 5)


def test_a_row_of_zeros_stays_zero() -> None:
    assert unit(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
