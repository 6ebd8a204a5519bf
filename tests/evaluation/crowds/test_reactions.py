"""The judge of single persons' reactions: who wins where it must, and no test in the training."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.crowds.reactions import judge_reactions, macro_f1


def write(folder: Path, mood_of_test: str | None = None) -> Path:
    """Write comments of forty persons who stay as they are, four of five times."""
    folder.mkdir(parents=True)
    draws, moods = random.Random(3), ("negative", "neutral", "positive")
    with gzip.open(folder / "comments.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = "topic", "split", "user_id", "parent_user_id", "parent_text", "text", "sentiment"
        writer.writerow(names)
        for number in range(600):
            person = draws.randrange(40)
            mood = moods[person % 3] if draws.random() < 0.8 else draws.choice(moods)
            part = draws.choice(["train", "val", "test"])
            mood = mood_of_test if mood_of_test and part == "test" else mood
            post = f"post {draws.randrange(200)}"
            writer.writerow(["t", part, person, "99.0", post, f"answer {number}", mood])
    return folder


def test_history_wins_where_people_stay_as_they_are_and_anothers_costs(tmp_path: Path) -> None:
    found = judge_reactions(write(tmp_path / "set"), 20)
    assert found["log_loss"].high < found["topic_log_loss"].low
    assert found["macro_f1"].low > found["topic_macro_f1"].high
    assert found["swap_cost"].low > 0.05


def test_labels_of_the_test_do_not_change_what_is_learnt(tmp_path: Path) -> None:
    found = judge_reactions(write(tmp_path / "set", "positive"), 10)
    # A third of the persons is positive: who had seen the test would say it of everybody.
    assert found["log_loss"].value > 1.0
    assert found["topic_log_loss"].value == pytest.approx(np.log(3), abs=0.15)


def test_f1_of_a_class_that_is_nowhere_is_none() -> None:
    one = np.array([0, 0, 1])
    assert macro_f1(one, one, 3) == pytest.approx(2 / 3)


def test_a_set_without_a_test_or_with_strange_labels_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone"):
        judge_reactions(tmp_path / "gone", 10)
    with pytest.raises(ConfigError, match="cross"):
        judge_reactions(write(tmp_path / "set", "cross"), 10)
