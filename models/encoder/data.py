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
from core.heads import EMOTION, PARTICIPATION, SENTIMENT, TOPICS

csv.field_size_limit(16 * 1024 * 1024)

LEVELS: Final = {
    "None": "none",
    "Problem-Solution": "problem_solution",
    "Call-to-action": "call_to_action",
    "Intention": "intention",
    "Execution": "execution",
}
"""The participation data's own names of the levels."""
CROWD: Final = "crowd"
SOURCES: Final = {"None": CROWD, "RedditExtension": "extension", "Synthetic": "synthetic"}
"""The data's `augmentation` field: labelled by the crowd, inherited in a thread, rewritten."""
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
    `sources` has one of `SOURCES`' values.
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


def _labelled(
    path: Path, classes: Sequence[str], keep: Callable[[Mapping[str, str]], bool] = lambda row: True
) -> LabelledTexts:
    index = {name: position for position, name in enumerate(classes)}
    rows = [row for row in read_rows(path) if keep(row)]
    return LabelledTexts(
        tuple(row["text"] for row in rows), tuple(index[row["label"]] for row in rows)
    )


def sentiment_train(root: Path) -> LabelledTexts:
    """SemEval 2013-2016, without the posts that are also in the validation split."""
    return _labelled(
        root / "sentiment" / "train.csv.gz", SENTIMENT, lambda row: row["in_tweeteval_val"] == "0"
    )


def sentiment_validation(root: Path) -> LabelledTexts:
    """TweetEval's 2,000 validation posts: for selection and calibration."""
    return _labelled(root / "sentiment" / "tweeteval_val.csv.gz", SENTIMENT)


def sentiment_test(root: Path) -> LabelledTexts:
    """The official SemEval-2017 task 4A test, 12,284 posts: for the final figures only."""
    return _labelled(root / "sentiment" / "test.csv.gz", SENTIMENT)


def emotion_train(root: Path) -> LabelledTexts:
    """TweetEval emotion, 3,257 posts."""
    return _labelled(root / "emotion" / "train.csv.gz", EMOTION)


def emotion_validation(root: Path) -> LabelledTexts:
    """374 posts: for selection and calibration."""
    return _labelled(root / "emotion" / "val.csv.gz", EMOTION)


def emotion_test(root: Path) -> LabelledTexts:
    """The official test, 1,421 posts: for the final figures only."""
    return _labelled(root / "emotion" / "test.csv.gz", EMOTION)


def _topics(root: Path, split: str) -> TaggedTexts:
    rows = [
        row
        for row in read_rows(root / "topics" / "tweettopicxl_en.csv.gz")
        if row["split"] == split
    ]
    return TaggedTexts(
        tuple(row["text"] for row in rows),
        tuple(tuple(int(topic in row["labels"].split("|")) for topic in TOPICS) for row in rows),
    )


def topics_train(root: Path) -> TaggedTexts:
    """TweetTopicXL in English, the official few-shot split: 180 posts."""
    return _topics(root, "train")


def topics_validation(root: Path) -> TaggedTexts:
    """20 posts: enough to see a mistake, not to choose between settings."""
    return _topics(root, "validation")


def topics_test(root: Path) -> TaggedTexts:
    """800 posts: for the final figures only."""
    return _topics(root, "test")


def _participation(path: Path) -> ParticipationTexts:
    rows = read_rows(path)
    return ParticipationTexts(
        tuple(row["text"] for row in rows),
        tuple(PARTICIPATION.index(LEVELS[row["label"]]) for row in rows),
        tuple(
            row["text"] if row["original_text"] == "None" else row["original_text"] for row in rows
        ),
        tuple(SOURCES[row["augmentation"]] for row in rows),
    )


def participation_all(root: Path) -> ParticipationTexts:
    """All 1,817 training rows in the file's order, which `anchors.groups` numbers."""
    return _participation(root / "participation" / "train.csv.gz")


def participation_test(root: Path) -> ParticipationTexts:
    """The official test, 809 excerpts labelled by experts: for the final figures only."""
    return _participation(root / "participation" / "test.csv.gz")


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
