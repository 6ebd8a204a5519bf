"""The judge of stances: what is earlier is used, what is later or tested is not."""

from __future__ import annotations

import csv
import gzip
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.crowds.stance import judge_stances, read_stances, stance_shares

NAMES = (
    "platform", "event", "thread", "id", "parent_id", "is_source", "author", "author_bio",
    "created_at", "text", "stance", "split",
)  # fmt: skip


def write(folder: Path, stances: tuple[str, ...] = ("comment", "support", "query", "deny")) -> Path:
    """Write threads in which everybody answers alike, four of five times."""
    folder.mkdir(parents=True)
    draws = random.Random(4)
    with gzip.open(folder / "posts.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        for thread in range(36):
            split = ("train", "dev", "test")[thread % 3]
            usual, name = draws.choice(stances), f"{thread}"
            where = ("twitter", "storm", name)
            writer.writerow([*where, name, "", 1, "a", "", "2015", f"news {name}", usual, split])
            for number in range(8):
                stance = usual if draws.random() < 0.8 else draws.choice(stances)
                answer = (
                    f"{name}.{number}",
                    name,
                    0,
                    f"p{number}",
                    "hi",
                    f"2015-{number:02}",
                    "so",
                )
                writer.writerow([*where, *answer, stance, split])
    return folder


def test_first_replies_say_what_the_later_ones_will(tmp_path: Path) -> None:
    found = judge_stances(write(tmp_path / "set"), 20)
    assert found["gain_over_topic_log_loss"].low > 0
    assert found["gain_over_majority_log_loss"].low > 0
    assert found["thread_macro_f1"].low > found["majority_macro_f1"].high


def test_what_is_later_or_of_the_same_second_changes_nothing_before(tmp_path: Path) -> None:
    replies = read_stances(write(tmp_path / "set"))
    known = [row for row, one in enumerate(replies) if one.split != "test"]
    when = "2015-04"
    early = [
        row for row, one in enumerate(replies) if one.split == "test" and one.posted_at <= when
    ]
    turned = [
        replace(one, label=(one.label + 1) % 4)
        if one.split == "test" and one.posted_at >= when
        else one
        for one in replies
    ]
    before = stance_shares(replies, known, early, with_text=True)
    after = stance_shares(turned, known, early, with_text=True)
    for name, shares in before.items():
        np.testing.assert_array_equal(shares, after[name])
    late = [row for row, one in enumerate(replies) if one.split == "test" and one.posted_at > when]
    moved = stance_shares(turned, known, late, with_text=False)[""]
    assert not np.array_equal(stance_shares(replies, known, late, with_text=False)[""], moved)


def test_a_set_that_is_not_there_or_has_strange_stances_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone"):
        read_stances(tmp_path / "gone")
    with pytest.raises(ConfigError, match="shrug"):
        read_stances(write(tmp_path / "set", ("shrug",)))
