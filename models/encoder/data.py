"""Labelled posts for training and evaluation, as plain lists.

Read with the csv module: no field is ever turned into a number or a missing value (pandas would
make the class label "None" of some sets disappear).
"""

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import ConfigError

csv.field_size_limit(16 * 1024 * 1024)

CROWD: Final = "crowd"
"""The source of a participation row that people labelled."""
NEWS_FORUMS: Final = ("News", "worldnews")
EXCERPT_WORDS: Final = (15, 70)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Raw texts (not normalised yet) and the index of each one's class."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class TaggedTexts:
    """Raw texts and, of each, one 0 or 1 per class: any number of classes may apply."""

    texts: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class ParticipationTexts:
    """Excerpts with their level (an index into `core.heads.PARTICIPATION`).

    `originals` has the whole message, or the excerpt where there is none (rewritten rows);
    `sources` has where each label comes from, `CROWD` or how the row was made.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    originals: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Sequence[int]) -> "ParticipationTexts":
        """The rows of those numbers, in that order."""
        return ParticipationTexts(
            tuple(self.texts[row] for row in rows),
            tuple(self.labels[row] for row in rows),
            tuple(self.originals[row] for row in rows),
            tuple(self.sources[row] for row in rows),
        )


def _present(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(
            f"{path} does not exist: name the folder of the data sets with --data DIR"
        )
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Every row of a gzip'd CSV file with a header.

    Raises:
        ConfigError: the file is not there.
    """
    with gzip.open(_present(path), "rt", encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def labelled(
    path: Path, classes: Sequence[str], keep: Callable[[Mapping[str, str]], bool] = lambda row: True
) -> LabelledTexts:
    """The rows of a set with one class a post, fields `text` and `label`, that are to be kept."""
    index = {name: position for position, name in enumerate(classes)}
    rows = [row for row in read_rows(path) if keep(row)]
    return LabelledTexts(
        tuple(row["text"] for row in rows), tuple(index[row["label"]] for row in rows)
    )


def _reddit_texts(root: Path) -> list[str]:
    """Replies under news, and comments on climate, wind power and immigration; no labels."""
    comments = read_rows(root / "responses_reddit_scores" / "comments.csv.gz")
    path = _present(root / "responses_reddit_pairs" / "threads.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as opened:
        threads = [json.loads(line) for line in opened]
    replies = [
        reply
        for thread in threads
        if thread["subreddit"] in NEWS_FORUMS
        for reply in thread["replies"]
    ]
    return [*(row["text"] for row in comments), *replies]


def posts_unlabelled(root: Path, count: int, seed: int) -> tuple[str, ...]:
    """`count` different posts and replies of several sites, drawn by `seed`: for text's own sake.

    Raises:
        ConfigError: the data is not there.
    """
    files = (
        root / "engagement_accounts" / "posts.csv.gz",
        root / "engagement_brand" / "posts.csv.gz",
        root / "streams" / "boxing_unlabelled.csv.gz",
    )
    texts = {row["text"] for file in files for row in read_rows(file)} | set(_reddit_texts(root))
    ordered = sorted(texts)
    drawn = np.random.default_rng(seed).permutation(len(ordered))[:count]
    return tuple(ordered[row] for row in drawn)


def reddit_unlabelled(root: Path, count: int, seed: int) -> tuple[str, ...]:
    """`count` different texts from where participation was collected, drawn by `seed`.

    Only texts as long as the participation excerpts, which are a few sentences each.

    Raises:
        ConfigError: the data is not there.
    """
    least, most = EXCERPT_WORDS
    texts = sorted({text for text in _reddit_texts(root) if least <= len(text.split()) <= most})
    drawn = np.random.default_rng(seed).permutation(len(texts))[:count]
    return tuple(texts[row] for row in drawn)
