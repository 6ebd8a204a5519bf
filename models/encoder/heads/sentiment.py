"""Sentiment of a post: negative, neutral or positive.

Balanced, since negatives are 16 % of the training posts and 32 % of the test, and the official
metric is recall averaged over classes.
"""

from pathlib import Path

from core.heads import SENTIMENT
from models.encoder.data import LabelledTexts, labelled
from models.encoder.heads.base import (
    UNLABELLED,
    HeadTraining,
    OfficialTest,
    PublishedFigure,
    plain_posts,
    plain_sample,
)
from models.metrics import macro_recall

_TWEETEVAL = "TweetEval leaderboard, published"
_SEMEVAL = "published, not re-checked against the papers"


def train(root: Path) -> LabelledTexts:
    """SemEval 2013-2016, without the posts that are also in the validation split."""
    file = root / "sentiment" / "train.csv.gz"
    return labelled(file, SENTIMENT, lambda row: row["in_tweeteval_val"] == "0")


def validation(root: Path) -> LabelledTexts:
    """TweetEval's 2,000 validation posts: for selection and calibration."""
    return labelled(root / "sentiment" / "tweeteval_val.csv.gz", SENTIMENT)


def test(root: Path) -> LabelledTexts:
    """The official SemEval-2017 task 4A test, 12,284 posts: for the final figures only."""
    return labelled(root / "sentiment" / "test.csv.gz", SENTIMENT)


TRAINING = HeadTraining(
    figure=lambda logits, truth: macro_recall(logits.argmax(1), truth),
    train=lambda root, _fold: plain_posts("sentiment", train(root)),
    validation=lambda root, _fold: plain_posts("sentiment", validation(root)),
    sample=lambda root: plain_sample(validation(root), "TweetEval sentiment validation, {}"),
    passes={"joint": 0.085, "distil": 0.375},
    teacher_weight=1.0,
    teacher_asked=("sentiment", "emotion", "topics", "participation", UNLABELLED),
    test=OfficialTest("SemEval-2017 task 4A test", test, train, "neutral"),
    published=(
        PublishedFigure(
            "SemEval-2017 winners DataStories, BB_twtr", "macro_recall", 0.681, _SEMEVAL
        ),
        PublishedFigure("SVM, FastText", "macro_recall", 0.629, _TWEETEVAL),
        PublishedFigure("RoBERTa-Base", "macro_recall", 0.713, _TWEETEVAL),
        PublishedFigure("BERTweet", "macro_recall", 0.734, _TWEETEVAL),
        PublishedFigure("TimeLMs-2021", "macro_recall", 0.737, _TWEETEVAL),
    ),
)
