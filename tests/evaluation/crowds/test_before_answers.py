"""The judges of forecasts before the first answer: what is there is found, nothing else is."""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.crowds.before_answers import (
    LEAST_LEARNT,
    HeadedEvent,
    headed_events,
    heads_gains,
    judge_heads,
    paired,
    usual_of,
)
from evaluation.crowds.known_before import author_gains
from evaluation.responses.threads import FOLDER
from models.socialalign.crowd_config import HEAD_CLASSES

SENTIMENTS = ("negative", "neutral", "positive")


def drawn(effect: float, number: int = 90) -> list[HeadedEvent]:
    """Return events of each set, whose crowds follow the first head as much as is said."""
    rng, found = np.random.default_rng(7), []
    for row in range(number):
        heads = rng.uniform(size=HEAD_CLASSES)
        shares = np.exp(np.log([0.3, 0.4, 0.3]) + effect * (heads[0] - 0.5) * np.array([1, 0, -1]))
        counts = rng.multinomial(25, shares / shares.sum()).astype(float)
        found.append(HeadedEvent(("fanchuan", "rumoureval", "reddit")[row % 3], "t", heads, counts))
    return found


def test_a_post_that_tells_how_it_is_answered_is_worth_its_gain() -> None:
    figures = judge_heads(drawn(4.0), 50)
    for name in ("fanchuan", "rumoureval", "reddit"):
        assert figures[f"{name}.heads_gain"].low > 0.02
        assert figures[f"{name}.heads_js_gain"].high < 0


def test_a_post_that_tells_nothing_gains_nothing() -> None:
    topic, gain = heads_gains(drawn(0.0), 1)
    assert topic.shape == gain.shape == (90, 2)
    assert abs(gain[:, 0].mean()) < 0.01


def test_what_is_held_out_is_not_learnt_from() -> None:
    events = drawn(0.0, 30)
    alone = HeadedEvent("reddit", "alone", events[0].heads, np.array([0.0, 0, 500]))
    rows = np.arange(30)
    usual = usual_of([*events, alone], rows, np.array([30]))
    assert usual[0, 2] < 0.5
    assert usual_of([*events, alone], np.arange(31), np.array([30]))[0, 2] > 0.5


def test_a_set_of_small_events_is_refused_by_name() -> None:
    events = [HeadedEvent(one.of, "t", one.heads, one.counts / 5) for one in drawn(0.0, 30)]
    with pytest.raises(ConfigError, match="fanchuan: no event has 10 answers"):
        judge_heads(events, 5)


def test_figures_have_the_mean_of_both_measures() -> None:
    topic, gain = np.array([[-1.0, 0.2]] * 4), np.array([[0.1, -0.01]] * 4)
    found = paired("x", "heads", topic, gain, 5)
    assert found["x.topic_log_score"].value == -1.0
    assert found["x.heads_gain"].low == pytest.approx(0.1)
    assert found["x.heads_js_gain"].value == pytest.approx(-0.01)


def write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def comments(number: int, mood_of_author: bool = True) -> list[dict[str, str]]:
    """Return comments on posts of ten authors, who are each answered in their own way."""
    draws, found = random.Random(11), []
    for row in range(number):
        post = draws.randrange(60)
        author = post % 10
        kept = mood_of_author and draws.random() < 0.85
        mood = SENTIMENTS[author % 3] if kept else draws.choice(SENTIMENTS)
        found.append({
            "topic": "t", "split": ("train", "val", "test")[row % 3], "user_id": str(row),
            "parent_user_id": f"{author}.0", "parent_text": f"post {post}",
            "text": f"answer {row}", "sentiment": mood,
        })  # fmt: skip
    return found


def test_how_an_author_is_answered_tells_how_the_next_post_is(tmp_path: Path) -> None:
    write(tmp_path / "comments.csv.gz", comments(600))
    topic, gain = author_gains(tmp_path)
    assert 20 <= len(topic) <= 60
    assert gain[:, 0].mean() > 0.1
    assert gain[:, 1].mean() < 0


def test_where_authors_are_alike_nothing_is_gained(tmp_path: Path) -> None:
    write(tmp_path / "comments.csv.gz", comments(600, mood_of_author=False))
    assert author_gains(tmp_path)[1][:, 0].mean() < 0.01


def test_events_are_read_of_all_sets_without_the_official_test(tmp_path: Path) -> None:
    said = comments(600)
    write(tmp_path / f"{FOLDER}fanchuan/comments.csv.gz", said)
    answers = Counter(row["parent_text"] for row in said if row["split"] != "test")
    tweets = [
        {"event": "e", "thread": "t1", "text": "first" if row == 0 else f"glad {row}",
         "is_source": str(int(row == 0)), "created_at": str(row), "stance": ""}
        for row in range(9)
    ]  # fmt: skip
    write(tmp_path / f"{FOLDER}rumoureval/posts.csv.gz", tweets)
    replies = [
        {"source": "r", "post": "a post", "text": "glad" if row else "?", "created_at": str(row)}
        for row in range(7)
    ]
    write(tmp_path / f"{FOLDER}reddit_scores/comments.csv.gz", replies)

    def heads_of(texts: Sequence[str]) -> np.ndarray:
        """Rate what is glad as positive, first posts as neutral, and nothing else."""
        found = np.full((len(texts), HEAD_CLASSES), np.nan)
        for row, text in enumerate(texts):
            if text != "?":
                found[row] = np.eye(HEAD_CLASSES)[2 if "glad" in text else 1]
        return found

    events = headed_events(tmp_path, heads_of)
    counted = sum(one.counts.sum() for one in events if one.of == "fanchuan")
    assert counted == sum(number for number in answers.values() if number >= LEAST_LEARNT)
    (thread,) = (one for one in events if one.of == "rumoureval")
    (post,) = (one for one in events if one.of == "reddit")
    assert (thread.topic, thread.counts.tolist()) == ("e", [0, 0, 8])
    assert post.counts.tolist() == [0, 0, 6]
    assert thread.heads[1] == 1
    with pytest.raises(ConfigError, match="gone"):
        headed_events(tmp_path / "gone", heads_of)
