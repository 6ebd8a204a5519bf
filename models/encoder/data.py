"""Labelled posts for training and evaluation, as plain lists.

Read with the csv module: no field is ever turned into a number or a missing value (pandas would
make the class label "None" of some sets disappear).
"""

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigError
from core.labels import SENTIMENT

csv.field_size_limit(16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Raw texts (not normalised yet) and the index of each one's class."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Every row of a gzip'd CSV file with a header.

    Raises:
        ConfigError: the file is not there.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path} does not exist: name the folder of the data sets with --data DIR"
        )
    with gzip.open(path, "rt", encoding="utf-8", newline="") as opened:
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
