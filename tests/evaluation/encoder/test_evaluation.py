import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, InvalidAnswer
from core.heads import HEADS, PARTICIPATION, TOPICS
from core.ports import ScoreBatch
from evaluation.encoder.__main__ import chosen_heads, evaluate_all, write_all
from evaluation.encoder.context import Context
from evaluation.encoder.decisions import layered, participating, unread_as, with_prior
from evaluation.encoder.floors import constant_floor, kept, random_floor, shares_of
from evaluation.encoder.scoring import CHUNK_POSTS, score_all
from evaluation.encoder.single_label import measures
from models.encoder.heads.participation import LEVELS
from testkit.models import write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Made-up posts whose text names their class, in the form of the real sets."""
    root = tmp_path / "data"
    topics = [
        {"split": split, "text": f"{TOPICS[n % 19]} {TOPICS[n % 5]} {split}",
         "labels": f"{TOPICS[n % 19]}|{TOPICS[n % 5]}"}
        for split in ("train", "validation", "test") for n in range(38)
    ]  # fmt: skip
    write_rows(root / "topics" / "tweettopicxl_en.csv.gz", topics)
    names = [(short, long) for long, short in LEVELS.items()]
    for split, count in (("train", 50), ("test", 60)):
        rows = [
            {"text": f"{names[n % 5][0]} {split} {n}", "original_text": "None",
             "label": names[n % 5][1], "augmentation": "None"}
            for n in range(count)
        ]  # fmt: skip
        write_rows(root / "participation" / f"{split}.csv.gz", rows)
    for head in ("sentiment", "emotion"):
        rows = [
            {"text": f"{HEADS[head][n % len(HEADS[head])]} {n}",
             "label": HEADS[head][n % len(HEADS[head])], "in_tweeteval_val": "0"}
            for n in range(60)
        ]  # fmt: skip
        for split in ("train", "test"):
            write_rows(root / head / f"{split}.csv.gz", rows)
    return root


def reads_the_first_word(*heads: str):
    """A scorer that takes a post's first words for its classes; it abstains on nothing."""

    def score(texts, langs) -> ScoreBatch:
        found = {}
        for head in heads:
            hits = np.array([[float(c in t.split()[:2]) for c in HEADS[head]] for t in texts])
            if head != "topics":
                hits = 0.9 * hits + 0.1 / len(HEADS[head])
            found[head] = hits.astype(np.float32)
        return ScoreBatch("made-up-1", np.ones(len(texts), np.bool_), found)

    return score


def test_every_head_is_measured_and_written(data: Path, tmp_path: Path) -> None:
    score = reads_the_first_word("sentiment", "emotion", "participation", "topics")
    context = Context(data, score, resamples=10, has_floors=False)
    found = evaluate_all(chosen_heads("all"), context, pytest.fail)
    figures = {k: v for one in found for k, v in one.figures().items()}
    for name in (
        "sentiment_model_macro_recall",
        "emotion_model_macro_f1",
        "participation_binary_model_weighted_f1",
        "participation_binary_model_average_precision",
        "participation_levels_model_macro_f1",
        "topics_model_micro_f1",
    ):
        assert figures[name] == pytest.approx(1.0), name
    assert figures["participation_levels_model_mae"] == 0
    assert figures["participation_binary_always_none_f1_participation"] == 0
    assert all(isinstance(value, int | float) for value in figures.values())
    write_all(found, tmp_path / "page", "# Title")
    page = (tmp_path / "page" / "evaluation.md").read_text()
    assert "**made-up-1**" in page
    assert "TimeLMs-2021" in page
    for name in ("participation-reliability.svg", "topics-reliability.svg"):
        assert f"({name})" in page
        assert (tmp_path / "page" / name).read_text().startswith("<svg")
    json.dumps(figures, allow_nan=False)


def test_without_floors_none_is_fitted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []

    def fitting(name: str, *_: object) -> None:
        fitted.append(name)
        raise LookupError(name)

    for module in ("single_label", "participation", "topics"):
        monkeypatch.setattr(f"evaluation.encoder.{module}.kept", fitting)
    heads = ("sentiment", "emotion", "participation", "topics")
    for head in heads:
        context = Context(data, reads_the_first_word(*heads), resamples=10, has_floors=False)
        evaluate_all([head], context, pytest.fail)
        assert fitted == []
        with pytest.raises(LookupError):
            evaluate_all([head], replace(context, has_floors=True), pytest.fail)
        assert len(fitted) == 1
        fitted.clear()


def test_a_head_that_the_model_lacks_is_said_and_the_others_go_on(data: Path) -> None:
    said: list[str] = []
    context = Context(data, reads_the_first_word("emotion"), resamples=10, has_floors=False)
    found = evaluate_all(["participation", "emotion"], context, said.append)
    assert [one.head for one in found] == ["emotion"]
    assert said[0].startswith("participation: this model has no such head")


def test_an_unknown_head_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="sentiment, emotion, participation, topics or all"):
        chosen_heads("mood")


def test_all_posts_are_scored_in_their_order() -> None:
    texts = [str(number) for number in range(CHUNK_POSTS * 2 + 3)]
    sizes = []

    def score(part, langs) -> ScoreBatch:
        sizes.append(len(part))
        values = np.array([[float(text), 0.0, 0.0] for text in part], np.float32)
        return ScoreBatch("v", np.ones(len(part), np.bool_), {"sentiment": values})

    found = score_all(score, texts)
    assert found.heads["sentiment"][:, 0].tolist() == [float(text) for text in texts]
    assert sizes == [CHUNK_POSTS, CHUNK_POSTS, 3]


def test_a_model_that_answers_nonsense_is_not_measured() -> None:
    def score(part, langs) -> ScoreBatch:
        heads = {"sentiment": np.full((len(part), 3), 1 / 3, np.float32)}
        wrong = {1: "sentiment: NaN"} if len(part) < CHUNK_POSTS else {}
        return ScoreBatch("v", np.ones(len(part), np.bool_), heads, wrong)

    with pytest.raises(InvalidAnswer, match=r"1 of 1027 posts .* number 1025: sentiment: NaN"):
        score_all(score, ["x"] * (CHUNK_POSTS + 3))


def test_majority_floor_has_the_recall_of_chance() -> None:
    floor = constant_floor(shares_of([1, 1, 0], 3), 3)
    np.testing.assert_allclose(floor[0], [1 / 3, 2 / 3, 0])
    assert measures(floor, np.array([0, 1, 2]))["macro_recall"] == pytest.approx(1 / 3)


def test_random_floor_draws_classes_as_often_as_told() -> None:
    floor = random_floor(np.array([0.74, 0.26]), 4_000, seed=1)
    assert floor[:, 1].mean() == pytest.approx(0.26, abs=0.03)
    assert set(floor.ravel().tolist()) == {0.0, 1.0}


def test_a_kept_floor_is_fitted_once_and_again_for_other_texts(tmp_path: Path) -> None:
    fitted = []

    def fit() -> np.ndarray:
        fitted.append(1)
        return np.ones((1, 2), np.float32)

    for texts in (["a"], ["a"], ["b"]):
        assert kept("x", texts, fit, tmp_path).tolist() == [[1, 1]]
    assert len(fitted) == 2


def test_layered_decisions_ask_first_whether_and_then_which() -> None:
    posts = np.array([[0.45, 0.30, 0.15, 0.05, 0.05], [0.8, 0.0, 0.0, 0.0, 0.2]])
    assert posts.argmax(1).tolist() == [0, 0]
    assert layered(posts, 0.5).tolist() == [1, 0]
    assert layered(posts, 0.15).tolist() == [1, 4]
    assert participating(posts).tolist() == pytest.approx([0.55, 0.2])
    assert len(PARTICIPATION) == posts.shape[1]


def test_the_true_prior_never_worsens_the_brier_score_of_calibrated_posts() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(20_000) < 0.77
    logit = rng.normal(np.where(truth, 1.0, -1.0), 1.0) * 2 + np.log(0.77 / 0.23)
    p = 1 / (1 + np.exp(-logit))
    rare = np.concatenate([np.flatnonzero(truth)[:1_000], np.flatnonzero(~truth)[:3_000]])
    before, y = np.stack([1 - p[rare], p[rare]], 1), truth[rare]
    after = with_prior(before, (0.23, 0.77), (0.75, 0.25))
    np.testing.assert_allclose(after.sum(1), 1, atol=1e-6)
    assert np.mean((after[:, 1] - y) ** 2) < np.mean((before[:, 1] - y) ** 2) - 0.01


def test_unread_posts_count_as_the_class_that_is_named() -> None:
    found, unread = unread_as(np.array([[0.2, 0.8], [0.0, 0.0]]), 0)
    assert unread.tolist() == [False, True]
    assert found[1].tolist() == [1.0, 0.0]
    assert unread_as(np.zeros((1, 2)), None)[0].tolist() == [[0.0, 0.0]]
