from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.heads import HEADS
from core.quantification import Correction
from evaluation.shares import __main__ as program
from evaluation.shares.__main__ import (
    compare,
    compare_on_site,
    fit_all,
    fit_head,
)
from evaluation.shares.estimators import (
    adjusted_count,
    classify_and_count,
    expectation_maximisation,
    implied_prior,
    methods,
    probabilistic_count,
)
from evaluation.shares.fit import (
    blocks_of,
    choose_ridge,
    confusion_matrix,
    fit_correction,
    one_hot,
    refit_on_site,
)
from evaluation.shares.heldout import targets_of
from evaluation.shares.tables import Held, evaluation_of, ratio
from evaluation.shares.windows import Labelled, Target, draw, windows_of

NEGATIVE = Target("negative", (0,))


def made_up(posts: int, seed: int, shares: tuple[float, ...] = (0.2, 0.5, 0.3)) -> Labelled:
    """Posts of a middling classifier that was taught with equally frequent classes."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(shares), posts, p=shares)
    scores = rng.normal(0, 1, (posts, len(shares))) + 1.4 * np.eye(len(shares))[truth]
    weights = np.exp(1.4 * scores)
    probabilities = weights / weights.sum(1, keepdims=True)
    return Labelled(probabilities, probabilities.argmax(1), truth)


@pytest.mark.slow
def test_correcting_halves_the_error_of_counting_over_windows_of_any_mix() -> None:
    held = Held("sentiment", made_up(2_000, 1), made_up(3_000, 2))
    soft = fit_head("sentiment", held.known, "made up")
    errors = compare(held, soft, repeats=1)
    assert [target.name for target in errors] == list(HEADS["sentiment"])
    for found in errors.values():
        assert ratio(found) < 0.5
        assert found.mean("em") < found.mean("cc")
    figures = evaluation_of(held, soft, errors, compare_on_site(held, soft, repeats=1)).figures()
    assert figures["shares_sentiment_negative_pacc_all"] == errors[NEGATIVE].mean("pacc")
    assert figures["sentiment_negative_ratio"] < 0.5


@pytest.mark.slow
def test_labelled_posts_of_the_place_of_use_repair_a_correction_that_does_not_fit_there() -> None:
    elsewhere = made_up(2_000, 1)
    blurred = 0.5 * made_up(3_000, 2).probabilities + 0.5 * np.array([0.6, 0.2, 0.2])
    there = Labelled(blurred, blurred.argmax(1), made_up(3_000, 2).truth)
    held = Held("sentiment", elsewhere, there)
    soft = fit_head("sentiment", elsewhere, "made up")
    shipped = compare(held, soft, repeats=1)[NEGATIVE]
    local = compare_on_site(held, soft, repeats=1)[NEGATIVE]
    assert local.mean("local") < 0.5 * shipped.mean("pacc")
    assert ratio(local, "local") < 0.5


def test_a_refitted_correction_is_between_the_shipped_one_and_what_is_seen() -> None:
    shipped = Correction(labels=("a", "b"), blocks=(0, 1), matrix=((0.9, 0.2), (0.1, 0.8)))
    seen = Labelled(np.tile([[0.5, 0.5]], (10, 1)), np.zeros(10, int), np.zeros(10, int))
    found = refit_on_site(shipped, seen)
    assert found.matrix == ((0.7, 0.2), (0.3, 0.8))  # ten posts seen, ten posts' worth shipped
    assert "10 posts from the place of use" in found.fitted_on


def test_a_window_has_the_mix_that_was_asked_for() -> None:
    truth = np.array([0] * 5 + [1] * 60 + [2] * 20)
    rows = draw(truth, NEGATIVE, 0.95, 200, np.random.default_rng(1))
    assert np.mean(truth[rows] == 0) == pytest.approx(0.95)
    drawn = list(windows_of(truth, NEGATIVE, (40,), 2, seed=3))
    assert len(drawn) == 19 * 2
    for prior, size, chosen in drawn:
        assert len(chosen) == size
        assert np.mean(truth[chosen] == 0) == pytest.approx(prior, abs=0.5 / size + 1e-9)


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(max_examples=40)
def test_every_method_gives_shares(seed: int, posts: int) -> None:
    known, window = made_up(400, 5), made_up(posts, seed)
    soft = fit_correction(known.probabilities, known.truth, "abc", (0, 1, 2), ridge=1.0)
    hard = fit_correction(one_hot(known.labels, 3), known.truth, "abc", (0, 1, 2))
    for name, method in methods(soft, hard).items():
        shares = method(window.probabilities, window.labels)
        assert shares.sum() == pytest.approx(1.0), name
        assert (shares >= 0).all(), name


def test_labels_with_a_known_confusion_are_corrected_exactly() -> None:
    confusion = Correction(labels=("a", "b"), blocks=(0, 1), matrix=((0.9, 0.2), (0.1, 0.8)))
    labels = np.array([0] * 690 + [1] * 310)  # 0.7 and 0.3 after that confusion
    assert classify_and_count(labels, 2).tolist() == [0.69, 0.31]
    assert adjusted_count(labels, confusion) == pytest.approx([0.7, 0.3], abs=1e-6)


def test_expected_counts_are_right_where_their_prior_is_met() -> None:
    known = made_up(20_000, 6, (1 / 3, 1 / 3, 1 / 3))
    soft = fit_correction(known.probabilities, known.truth, "abc", (0, 1, 2))
    prior = implied_prior(soft)
    assert prior == pytest.approx([1 / 3] * 3, abs=0.02)
    assert probabilistic_count(known.probabilities) == pytest.approx(prior, abs=0.01)
    rare = made_up(20_000, 7, (0.9, 0.05, 0.05))
    assert expectation_maximisation(rare.probabilities, prior)[0] == pytest.approx(0.9, abs=0.05)
    assert probabilistic_count(rare.probabilities)[0] < 0.8


def test_classes_with_few_held_out_posts_share_a_block() -> None:
    truth = np.repeat(np.arange(5), [18, 35, 8, 3, 2])
    assert blocks_of(truth, 5) == (0, 1, 1, 1, 1)
    assert blocks_of(np.repeat(np.arange(5), [30, 35, 28, 23, 2]), 5) == (0, 1, 2, 3, 3)
    assert blocks_of(np.repeat(np.arange(5), [20, 35, 13, 8, 2]), 5) == (0, 1, 2, 2, 2)
    assert blocks_of(np.repeat(np.arange(3), 40), 3) == (0, 1, 2)
    assert blocks_of(np.repeat(np.arange(2), [40, 5]), 2) == (0, 1)


@given(st.integers(0, 1_000))
@settings(max_examples=20)
def test_columns_of_a_confusion_add_up_to_one(seed: int) -> None:
    posts = made_up(60, seed)
    if len(np.unique(posts.truth)) == 3:
        matrix = confusion_matrix(posts.probabilities, posts.truth, (0, 1, 1))
        assert matrix.shape == (2, 2)
        assert matrix.sum(0) == pytest.approx([1, 1])


def test_a_class_without_held_out_posts_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="no held-out post"):
        confusion_matrix(np.ones((3, 2)) / 2, np.array([0, 0, 0]), (0, 1))


def test_a_head_with_few_held_out_posts_ships_no_correction() -> None:
    heads = [Held("sentiment", made_up(posts, 1), made_up(50, 2)) for posts in (99, 100)]
    assert set(fit_all(heads[:1], "v").heads) == set()
    assert fit_all(heads[1:], "v").heads["sentiment"].posts == 100


def test_the_ridge_is_chosen_without_a_test_and_the_same_every_time() -> None:
    posts = made_up(300, 8)
    chosen = choose_ridge(posts, "abc", (0, 1, 2))
    assert chosen == choose_ridge(posts, "abc", (0, 1, 2))
    assert chosen >= 0


def test_levels_are_swept_together_first_and_alone_only_with_enough_posts() -> None:
    truth = np.repeat(np.arange(5), [600, 146, 39, 11, 13])
    names = [target.name for target in targets_of("participation", truth)]
    assert names == ["participating", "problem_solution", "call_to_action"]


@pytest.mark.parametrize(
    ("ratios", "status"),
    [
        ({"sentiment_negative_ratio": 0.5, "participation_participating_ratio": 0.4}, 0),
        ({"sentiment_negative_ratio": 0.51, "participation_participating_ratio": 0.4}, 1),
        ({"sentiment_negative_ratio": 0.4, "participation_participating_ratio": 1.6}, 1),
        ({}, 0),
    ],
)
def test_the_exit_status_says_whether_the_error_of_counting_is_halved(
    ratios: dict[str, float],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = SimpleNamespace(model_version="m")
    for name, value in (
        ("open_scorer", None), ("score_all", answer), ("score_heads", []),
        ("load_corrections", None), ("figures_of", ratios),
    ):  # fmt: skip
        monkeypatch.setattr(program, name, lambda *_, value=value: value)
    arguments = ["--data", str(tmp_path), "--json", str(tmp_path / "shares.json")]
    app = typer.Typer()
    app.command()(program.main)
    assert CliRunner().invoke(app, arguments).exit_code == status
    assert (tmp_path / "shares.json").is_file()
