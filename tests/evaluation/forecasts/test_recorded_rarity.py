"""Recorded posts against what their authors' posts came to: how rare each is said to be."""

import csv
import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from evaluation.forecasts.recorded_rarity import logs_of, main, rarities_of
from models.engagement.training.sets import EngagementSet, read_set

START = datetime(2024, 1, 1, tzinfo=UTC)


def _set(folder: Path, likes: list[int], every: timedelta) -> EngagementSet:
    """Return the posts of one author, with so many likes each and a repost."""
    path = folder / "engagement_made" / "posts.csv.gz"
    path.parent.mkdir()
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["post_id", "author", "created_at", "text", "likes", "replies", "reposts"])
        for number, count in enumerate(likes):
            at = (START + number * every).isoformat()
            writer.writerow([number, "ann", at, "so it is", count, 0, 1])
    return read_set(folder, "made")


def test_posts_are_read_against_what_was_known_a_day_before(tmp_path: Path) -> None:
    likes = [94] * 8 + [994, 12, 94]
    found = list(logs_of(_set(tmp_path, likes, timedelta(days=1))))
    assert len(found) == 3, "of the first eight too little is known"
    assert found[0][1] == pytest.approx(math.log(1000 / 100), abs=1e-3)
    assert found[1][1] == -math.inf
    assert found[2][1] == pytest.approx(0, abs=1e-3)
    assert found[0][0] == (START + timedelta(days=8)).timestamp()


def test_rarities_of_posts_that_are_alike_mean_what_they_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    likes = np.exp(5 + 0.8 * rng.normal(size=12_000)).astype(int).tolist()
    rarities, days = rarities_of(_set(tmp_path, likes, timedelta(minutes=20)))
    assert 9_000 < len(rarities) < 10_000
    assert days == pytest.approx(len(rarities) / 72, rel=0.01)
    assert 0.003 < (rarities < 0.01).mean() < 0.015


def test_the_command_says_how_many_there_were_and_how_many_were_to_be_expected(
    tmp_path: Path,
) -> None:
    _set(tmp_path, [94] * 3_000, timedelta(minutes=20))
    main(tmp_path, "made", tmp_path / "rarity.json")
    figures = json.loads((tmp_path / "rarity.json").read_bytes())["figures"]
    assert figures["made.below_0.01"] == 0
    assert figures["made.expected_0.01"] == pytest.approx(figures["made.posts"] / 100, abs=0.1)
