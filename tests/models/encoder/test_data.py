from pathlib import Path

import pytest

from core.errors import ConfigError
from models.encoder.data import read_rows
from models.encoder.heads import sentiment
from testkit.models import write_rows


def test_posts_of_the_validation_split_are_not_trained_on(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "sentiment" / "train.csv.gz",
        [
            {"text": "fine", "label": "positive", "in_tweeteval_val": "0"},
            {"text": "held out", "label": "negative", "in_tweeteval_val": "1"},
            {"text": "so so", "label": "neutral", "in_tweeteval_val": "0"},
        ],
    )
    train = sentiment.train(tmp_path)
    assert train.texts == ("fine", "so so")
    assert train.labels == (2, 1)


def test_a_class_called_none_and_new_lines_inside_texts_survive(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.csv.gz", [{"text": 'two\nlines, "quoted"', "label": "None"}])
    assert read_rows(tmp_path / "x.csv.gz") == [{"text": 'two\nlines, "quoted"', "label": "None"}]


def test_missing_data_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data DIR"):
        sentiment.test(tmp_path)
