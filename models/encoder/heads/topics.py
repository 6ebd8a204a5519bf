"""Topics of a post: any number of nineteen, each a yes-or-no question; yes counts more the rarer.

The rarest topic has 2 of 180 posts: its full weight of 89 would be all noise, hence a limit.
"""

from pathlib import Path
from typing import Final

from core.heads import TOPICS
from models.encoder.data import TaggedTexts, read_rows
from models.encoder.heads import problem
from models.encoder.heads.base import (
    UNLABELLED,
    HeadTraining,
    Lesson,
    OfficialTest,
    TaskPosts,
    plain_posts,
    plain_sample,
)
from models.metrics import average_precision

NEWS: Final = TOPICS.index("news_&_social_concern")


def _split(root: Path, split: str) -> TaggedTexts:
    file = root / "topics" / "tweettopicxl_en.csv.gz"
    rows = [row for row in read_rows(file) if row["split"] == split]
    return TaggedTexts(
        tuple(row["text"] for row in rows),
        tuple(tuple(int(topic in row["labels"].split("|")) for topic in TOPICS) for row in rows),
    )


def train(root: Path) -> TaggedTexts:
    """TweetTopicXL in English, the official few-shot split: 180 posts."""
    return _split(root, "train")


def validation(root: Path) -> TaggedTexts:
    """20 posts: enough to see a mistake, not to choose between settings."""
    return _split(root, "validation")


def test(root: Path) -> TaggedTexts:
    """800 posts: for the final figures only."""
    return _split(root, "test")


def lessons(posts: TaggedTexts) -> TaskPosts:
    """Posts for topics and `problem`; of news and social concern nothing follows for the latter."""
    own = plain_posts("topics", posts)
    weights = tuple(0.0 if labels[NEWS] else 1.0 for labels in posts.labels)
    others = Lesson("problem", (problem.NO,) * len(posts), weights)
    return TaskPosts(own.texts, (*own.lessons, others))


TRAINING = HeadTraining(
    figure=lambda logits, truth: average_precision(logits.ravel(), truth.ravel() > 0),
    train=lambda root, _fold: lessons(train(root)),
    validation=lambda root, _fold: lessons(validation(root)),
    sample=lambda root: plain_sample(
        validation(root), "TweetTopicXL validation, {}, one scale and bias for all topics"
    ),
    most_weight=5.0,
    passes={"joint": 3.0, "student": 8.0},
    teacher_weight=0.3,
    teacher_asked=("sentiment", "emotion", "participation", UNLABELLED),
    test=OfficialTest(
        "TweetTopicXL English, few-shot split (180 to learn from)",
        test,
        train,
        evaluation="evaluation.encoder.topics:evaluate",
    ),
)
