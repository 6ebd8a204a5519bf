"""Whoever is judged was not fitted on: later posts, authors of other folds, sets left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.forecasts import fitting
from evaluation.forecasts.judging import TREES
from evaluation.forecasts.opening import open_way
from evaluation.forecasts.run import Plan
from evaluation.forecasts.serving import Scored
from models.engagement.features import FEATURES
from models.engagement.training.dataset import author_folds, examples
from models.engagement.training.sets import read_set
from tests.evaluation.forecasts.recorded import recorded


@pytest.fixture(autouse=True)
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Fit nothing, write down on what, and answer with the number of the fit."""
    found: list[tuple[str, Any]] = []

    def fit_on(columns: Any, variant: Any, name: str) -> Any:
        found.append((name, columns))
        number = len(found)

        def predict(features: Any, sequence: Any) -> Any:
            return np.full((len(features), 3, 5), number, np.float32), np.full(
                len(features), number
            )

        return predict

    def load(data: Path, name: str, cache: Path | None) -> Any:
        return examples(read_set(data, name))

    monkeypatch.setattr(fitting, "fit_on", fit_on)
    monkeypatch.setattr(fitting, "load_examples", load)
    return found


def asked(scored: Scored, plan: Plan, left_out: tuple[str, ...] = ()) -> Any:
    """Return the number of the model that answers for each post of a set."""
    way = open_way(plan, "engagement", fit=True, left_out=left_out, say=lambda _: None)
    answering = way.answering(scored)
    rows = np.arange(len(scored.posts))
    features = np.zeros((len(rows), len(FEATURES)), np.float32)
    answer = answering.ask(rows, features, np.zeros((len(rows), 32, 8), np.float32))
    np.testing.assert_array_equal(answering.others[TREES], answer.quantiles[:, 0, 0])
    return answer.quantiles[:, 0, 0].astype(int)


def outcomes(scored: Scored, mask: Any) -> list[float]:
    return sorted(examples(scored.posts).outcomes[mask, 0].tolist())


def test_author_is_answered_for_by_a_model_of_other_authors(tmp_path: Path, fits: Any) -> None:
    scored = recorded(tmp_path, "tiny", posts=20)
    numbers = asked(scored, Plan(tmp_path, "author"))
    folds = author_folds(scored.posts)
    assert len(fits) == 5
    np.testing.assert_array_equal(numbers, folds + 1)
    for fold, (_, columns) in enumerate(fits):
        assert sorted(columns.outcomes[:, 0].tolist()) == outcomes(scored, folds != fold)


def test_set_that_is_left_out_is_served_by_a_model_of_the_others(tmp_path: Path, fits: Any) -> None:
    scored = recorded(tmp_path, "one", posts=10)
    other = recorded(tmp_path, "two", seed=5, posts=10)
    assert set(asked(scored, Plan(tmp_path, "all"), ("one",))) == {1}
    everything = np.ones(len(other.posts), np.bool_)
    assert sorted(fits[0][1].outcomes[:, 0].tolist()) == outcomes(other, everything)


def test_later_posts_are_answered_for_by_a_model_of_what_was_known(
    tmp_path: Path, fits: Any
) -> None:
    scored = recorded(tmp_path, "tiny", posts=20)
    asked(scored, Plan(tmp_path, "time"))
    asked_again = asked(scored, Plan(tmp_path, "time"))
    assert set(asked_again) == {2}
    cut_s = np.quantile(scored.posts.at_s, 0.8)
    known = scored.posts.at_s + 86_400 <= cut_s
    assert sorted(fits[0][1].outcomes[:, 0].tolist()) == outcomes(scored, known)


@pytest.mark.parametrize(
    ("split", "fit", "left_out", "said"),
    [("all", True, (), "no post to fit on"), ("all", False, ("one",), "needs --fit")],
)
def test_what_leaves_nothing_to_fit_on_is_refused(
    split: str, fit: bool, left_out: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        open_way(Plan(tmp_path, split), "engagement", fit=fit, left_out=left_out, say=print)
