"""Recorded posts become columns of what was known at each post, and nothing later."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.errors import ConfigError
from core.schemas import MICRO
from core.shape import SHAPE
from models.build import WEIGHTS
from models.encoder.config import load_config, save_config
from models.engagement.features import BASES, FEATURES, HEAD_WIDTH
from models.engagement.history import DAY_S
from models.engagement.layout import OUTCOMES, from_log16
from models.engagement.training.dataset import (
    author_folds,
    examples,
    load_examples,
    source_levels,
    time_split,
    validation_split,
)
from models.engagement.training.heads import cache_file, head_scores
from models.engagement.training.sets import EngagementSet, present_sets, read_set

COLUMNS = ("source", "author", "post_id", "created_at", "text", "likes", "replies", "reposts")
Row = tuple[object, ...]


def written(data: Path, name: str, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Path:
    folder = data / f"engagement_{name}"
    folder.mkdir(parents=True)
    with gzip.open(folder / "posts.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return data


def post(author: str, day: float, likes: object = 1, text: str = "hello", **more: object) -> Row:
    at = np.datetime64("2020-01-01T00:00:00") + np.timedelta64(round(day * 86_400), "s")
    counts = (likes, more.get("replies", ""), more.get("reposts", 2))
    return ("s", author, f"{author}{day}", f"{at}Z", text, *counts)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    rows = [
        post(author, day, int(chance.integers(0, 50)), text)
        for author in ("ann", "bob", "cid")
        for day, text in zip(range(60), ("hi", "@you: no!") * 30, strict=True)
    ]
    return written(tmp_path, "made", rows)


def test_columns_are_author_by_author_in_order_of_time_with_unknown_counts(tmp_path: Path) -> None:
    rows = [post("bob", 3, 7), post("ann", 2), post("bob", 1, 0, "@ann ok?", replies=4)]
    found = read_set(written(tmp_path, "made", rows), "made")
    assert [found.authors[number] for number in found.author] == ["bob", "bob", "ann"]
    assert found.post_ids.tolist() == ["bob1", "bob3", "ann2"]
    assert found.rows.tolist() == [2, 0, 1]
    logs = from_log16(found.counts)
    np.testing.assert_allclose(np.expm1(logs[:, 0]), [0, 7, 1], rtol=1e-3)
    assert np.isnan(logs[:, 1]).tolist() == [False, True, True]
    assert found.shapes[:, SHAPE.index("reply")].tolist() == [1, 0, 0]
    assert (np.diff(found.at_s) == [2 * DAY_S, -DAY_S]).all()


def test_row_that_cannot_be_used_is_counted_by_what_is_wrong(tmp_path: Path) -> None:
    good = post("ann", 1)
    rows = [
        good,
        (*good[:3], "yesterday", *good[4:]),
        (*good[:5], "many", *good[6:]),
        (*good[:5], "-3", *good[6:]),
        (*good[:5], "inf", *good[6:]),
        (good[0], "", *good[2:]),
    ]
    found = read_set(written(tmp_path, "made", rows), "made")
    assert len(found) == 1
    assert dict(found.dropped) == {
        "created_at is no time": 1, "a count is no number from 0 on": 3, "no author": 1,
    }  # fmt: skip


def test_counts_that_were_read_too_early_are_unknown(tmp_path: Path) -> None:
    times = ("2021-04-22T20:00:00Z", "2021-04-22T22:00:00Z", "2021-04-24T01:00:00Z")
    later = "2021-05-02T00:00:00Z"
    rows = [(*post("ann", 1)[:3], time, "hi", 5, 5, 5) for time in (*times, later)]
    for name, known in (("accounts", [True, False, False, True]), ("other", [True] * 4)):
        found = read_set(written(tmp_path, name, rows), name)
        assert (~np.isnan(from_log16(found.counts[:, 0]))).tolist() == known
        assert found.unsettled == known.count(False)


def test_reply_is_also_what_names_the_post_that_it_answers(tmp_path: Path) -> None:
    rows = [(*post("ann", 1), "at://x"), (*post("ann", 2), "")]
    found = read_set(written(tmp_path, "made", rows, (*COLUMNS, "reply_to")), "made")
    assert found.shapes[:, SHAPE.index("reply")].tolist() == [1, 0]


def test_set_that_is_not_there_or_lacks_a_column_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engagement_none"):
        read_set(tmp_path, "none")
    with pytest.raises(ConfigError, match="no column created_at, likes"):
        read_set(written(tmp_path, "poor", [("a", "b")], ("author", "text")), "poor")
    with pytest.raises(ConfigError, match="no usable post"):
        read_set(written(tmp_path, "empty", []), "empty")
    written(tmp_path, "musk", [post("elon", 1)])
    assert present_sets(tmp_path) == ("musk", "empty", "poor")


def test_posts_are_seen_as_of_their_time_whatever_comes_later(data: Path) -> None:
    posts = read_set(data, "made")
    before = examples(posts)
    row = 30  # of the first author
    later = posts.at_s > posts.at_s[row] - DAY_S
    changed = posts.counts.copy()
    changed[later] = np.random.default_rng(1).permutation(changed[later])
    after = examples(EngagementSet(**{**_fields(posts), "counts": changed}))
    now = posts.at_s <= posts.at_s[row]
    for name in ("features", "sequence", "floors", "known"):
        one, other = getattr(before.seen, name), getattr(after.seen, name)
        np.testing.assert_array_equal(one[now], other[now])
    assert not np.array_equal(before.seen.floors, after.seen.floors)


def test_author_without_an_outcome_has_the_level_of_the_source_as_of_then(data: Path) -> None:
    posts = read_set(data, "made")
    levels = source_levels(posts.at_s, posts.counts)
    assert (levels[posts.at_s < posts.at_s.min() + DAY_S] == 0).all()
    now = posts.at_s.min() + 20 * DAY_S
    known = from_log16(posts.counts)[posts.at_s + DAY_S <= now]
    at = posts.at_s == now
    np.testing.assert_allclose(levels[at, 2], np.median(known[:, 2]), atol=1e-6)
    assert levels[at, 0].min() > 1
    found = examples(posts)
    assert (found.bases()[:3, 1] == 0).all()
    assert found.bases().shape == (len(posts), 3)
    assert list(BASES) == [
        FEATURES.index(f"{name}_base") for name in ("likes", "replies", "reposts")
    ]


def test_time_split_keeps_a_horizon_between_training_and_test(data: Path) -> None:
    found = examples(read_set(data, "made"))
    train, test = time_split(found)
    at_s = found.posts.at_s
    assert test.sum() == 36
    assert at_s[train].max() + DAY_S <= at_s[test].min()
    assert not (train & test).any()
    assert (at_s[~train & ~test] < at_s[test].min()).all()


def test_settings_are_chosen_by_posts_that_the_test_knows_nothing_of(data: Path) -> None:
    found = examples(read_set(data, "made"))
    known, test = time_split(found)
    train, chosen_by = validation_split(found)
    at_s = found.posts.at_s
    assert at_s[train].max() + DAY_S <= at_s[chosen_by].min()
    assert at_s[chosen_by].max() + DAY_S <= at_s[test].min()
    assert (known[train | chosen_by]).all()
    assert 36 <= chosen_by.sum() <= 39


def test_authors_are_in_one_fold_each_whatever_else_is_in_the_set(data: Path) -> None:
    found = read_set(data, "made")
    folds = author_folds(found)
    for author in range(3):
        assert len(set(folds[found.author == author])) == 1
    chosen = found.author == 1
    np.testing.assert_array_equal(author_folds(found.select(chosen)), folds[chosen])


def test_head_scores_are_read_by_set_and_encoder_and_refused_without_either(
    data: Path, tmp_path: Path
) -> None:
    posts, cache, encoder = read_set(data, "made"), tmp_path / "cache", tmp_path / "encoder"
    with pytest.raises(ConfigError, match="models build"):
        head_scores(data, posts, cache, encoder)
    encoder.mkdir()
    _describe(encoder)
    path = cache_file(posts, "encoder-9", cache)
    cache.mkdir()
    micro = np.arange(len(posts) * HEAD_WIDTH).reshape(-1, HEAD_WIDTH) % MICRO
    np.savez(path, heads=micro.astype(np.int32), rated=np.arange(len(posts)) % 2 == 0)
    heads, rated = head_scores(data, posts, cache, encoder)
    np.testing.assert_allclose(heads[5], micro[posts.rows[5]] / MICRO, rtol=1e-6)
    assert rated[7] == (posts.rows[7] % 2 == 0)
    other = EngagementSet(**{**_fields(posts), "digest": "another"})
    assert cache_file(other, "encoder-9", cache) != path
    assert cache_file(posts, "encoder-8", cache) != path


def test_sets_without_scores_have_unknown_heads(data: Path) -> None:
    found = load_examples(data, "made", with_heads=False)
    assert np.isnan(found.seen.features[:, -HEAD_WIDTH:]).all()
    assert found.seen.sequence.shape[1] == OUTCOMES


def _fields(posts: EngagementSet) -> dict[str, object]:
    return {name: getattr(posts, name) for name in EngagementSet.__slots__}


def _describe(folder: Path) -> None:
    config = msgspec.structs.replace(load_config(WEIGHTS), version="encoder-9")
    save_config(config, folder)
