"""Emotion of a post: anger, joy, optimism or sadness.

Balanced, since optimism is 9 % of the training posts and counts a quarter in macro F1. Smoothed,
since the set is small and the classes overlap (a tweet that is both angry and sad was given one
label).
"""

from pathlib import Path

from core.heads import EMOTION
from models.encoder.data import LabelledTexts, labelled
from models.encoder.heads.base import (
    UNLABELLED,
    HeadTraining,
    OfficialTest,
    PublishedFigure,
    plain_posts,
    plain_sample,
)
from models.metrics import macro_f1

_TWEETEVAL = "TweetEval leaderboard, published"


def train(root: Path) -> LabelledTexts:
    """TweetEval emotion, 3,257 posts."""
    return labelled(root / "emotion" / "train.csv.gz", EMOTION)


def validation(root: Path) -> LabelledTexts:
    """374 posts: for selection and calibration."""
    return labelled(root / "emotion" / "val.csv.gz", EMOTION)


def test(root: Path) -> LabelledTexts:
    """The official test, 1,421 posts: for the final figures only."""
    return labelled(root / "emotion" / "test.csv.gz", EMOTION)


TRAINING = HeadTraining(
    figure=lambda logits, truth: macro_f1(logits.argmax(1), truth, logits.shape[1]),
    train=lambda root, _fold: plain_posts("emotion", train(root)),
    validation=lambda root, _fold: plain_posts("emotion", validation(root)),
    sample=lambda root: plain_sample(validation(root), "TweetEval emotion validation, {}"),
    label_smoothing=0.1,
    passes={"student": 4.0},
    teacher_asked=("sentiment", "emotion", "topics", "participation", UNLABELLED),
    test=OfficialTest("TweetEval emotion test", test, train, "anger"),
    published=(
        PublishedFigure("SVM", "macro_f1", 0.647, _TWEETEVAL),
        PublishedFigure("FastText", "macro_f1", 0.652, _TWEETEVAL),
        PublishedFigure("RoBERTa-Base", "macro_f1", 0.761, _TWEETEVAL),
        PublishedFigure("BERTweet", "macro_f1", 0.793, _TWEETEVAL),
        PublishedFigure("TimeLMs-2021", "macro_f1", 0.802, _TWEETEVAL),
    ),
)
