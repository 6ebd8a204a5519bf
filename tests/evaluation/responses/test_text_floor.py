"""The TF-IDF floor learns what is liked from words and letters, and never from what it judges."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.responses.rewarding import reddit_figures, weibo_figures
from evaluation.responses.text_floor import TextFloor, floor_ahead, floors_by_fold
from models.popalm.pairs import Pair
from models.popalm.reward import FOLDS, fold_of
from models.popalm.text_shape import BUCKETS

pytestmark = pytest.mark.server

LIKED = {"en": ("thank you for this lovely", "kind"), "zh": ("谢谢你这样好", "很好")}
LEFT = {"en": ("what an awful waste of", "sad"), "zh": ("真是太差劲的", "很差")}


def made_up_pairs(language: str, number: int = 60) -> list[Pair]:
    """Return pairs that kind words win, each beside words of its own post."""
    return [
        Pair(f"post {row}", f"{LIKED[language][0]} {row} {LIKED[language][1]}",
             f"{LEFT[language][0]} {row} {LEFT[language][1]}", 1.5)
        for row in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_that_win_are_found_in_posts_that_were_left_out(language: str) -> None:
    pairs = made_up_pairs(language)
    ahead = floor_ahead(floors_by_fold(pairs, language), pairs)
    assert ahead.shape == (60,)
    assert (ahead > 0).all()
    # The same pairs told the other way round are lost as far.
    turned = [Pair(one.post, one.rejected, one.preferred, one.margin) for one in pairs]
    assert floor_ahead(floors_by_fold(pairs, language), turned) == pytest.approx(-ahead)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_of_the_judged_post_change_nothing(language: str) -> None:
    pairs = made_up_pairs(language)
    judged = [one for one in pairs if fold_of(one.post) == 0]
    turned = [
        Pair(one.post, one.rejected, one.preferred, one.margin) if one in judged else one
        for one in pairs
    ]
    one, other = (floors_by_fold(learnt, language) for learnt in (pairs, turned))
    assert judged
    assert floor_ahead(one, judged) == pytest.approx(floor_ahead(other, judged))
    assert len(one) == FOLDS


@pytest.mark.parametrize("language", ["en", "zh"])
def test_order_by_chance_is_not_foreseen(language: str) -> None:
    rng = np.random.default_rng(4)
    pairs = [
        Pair(one.post, one.preferred, one.rejected, 1.5) if rng.random() < 0.5
        else Pair(one.post, one.rejected, one.preferred, 1.5)
        for one in made_up_pairs(language, 400)
    ]  # fmt: skip
    ahead = floor_ahead(floors_by_fold(pairs, language), pairs)
    assert 0.4 < np.mean(ahead > 0) < 0.6


@pytest.mark.parametrize("pairs", [[], [Pair("p", "one", "two", 1.0)]])
def test_nothing_to_learn_is_a_tie_for_all(pairs: list[Pair]) -> None:
    floor = TextFloor(pairs, "en")
    assert not floor.has_learnt
    assert floor.scores(["any", "thing"]).tolist() == [0.0, 0.0]
    assert TextFloor(made_up_pairs("en"), "en").scores([]).tolist() == []


class NoReward:
    """A reward that likes nothing more than another: what is measured beside it is the floor."""

    def __init__(self) -> None:
        self.tensors = {"letters": np.zeros((FOLDS + 1, BUCKETS), np.float32)}

    def fold_for(self, post: str) -> int:
        return fold_of(post)

    def popularity(self, _vectors: Any, texts: list[str], *_: Any) -> Any:
        return np.zeros(len(texts), np.float32)

    def relevance(self, _post_vector: Any, vectors: Any, *_: Any) -> Any:
        return np.zeros(len(vectors), np.float32)

    def total(self, _post_vector: Any, texts: list[str], *_: Any) -> Any:
        return np.zeros(len(texts), np.float32)


def no_vectors(texts: list[str]) -> Any:
    return np.zeros((len(texts), 4), np.float32)


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.writelines(json.dumps(row) + "\n" for row in rows)


def test_chinese_pairs_have_the_floor_in_their_table(tmp_path: Path) -> None:
    folder, pairs = tmp_path / "responses_popalm", made_up_pairs("zh", 40)
    write_lines(folder / "posts.jsonl.gz", [
        {"split": "dev", "post": one.post, "replies": [one.preferred, one.rejected]}
        for one in pairs
    ])  # fmt: skip
    write_lines(folder / "preference_pairs_dev.jsonl.gz", [
        {"post": one.post, "preferred": one.preferred, "rejected": one.rejected,
         "preferred_likes": 90, "rejected_likes": 3} for one in pairs
    ])  # fmt: skip
    reward: Any = NoReward()
    figures = weibo_figures(tmp_path, reward, no_vectors, 20)
    assert figures["reward_zh.tfidf_pair_accuracy"] == 1
    assert figures["reward_zh.tfidf_pair_accuracy_low"] == 1
    assert figures["reward_zh.pair_accuracy"] == 0.5
    assert figures["reward_zh.pairs"] == 40


def test_english_events_have_the_floor_in_their_table(tmp_path: Path) -> None:
    folder = tmp_path / "responses_reddit_scores"
    folder.mkdir()
    with gzip.open(folder / "comments.csv.gz", "wt", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["source", "post", "author", "text", "score", "created_at"])
        for event in range(20):
            for at in range(8):
                liked = (at + event) % 2
                said = f"{(LIKED if liked else LEFT)['en'][0]} {event} {at}"
                time = f"2026-03-01T12:{at:02d}:00Z"
                rows.writerow(["made-up", f"post {event}", "", said, 90 * liked, time])
    reward: Any = NoReward()
    figures = reddit_figures(tmp_path, reward, no_vectors, 20)
    assert figures["reddit_scores.aged_tfidf_pair_accuracy"] == 1
    assert figures["reddit_scores.tfidf_ndcg5"] == pytest.approx(1)
    assert figures["reddit_scores.arrival_ndcg5"] < 0.9
