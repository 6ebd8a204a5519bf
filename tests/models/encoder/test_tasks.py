from pathlib import Path

import pytest

from core.heads import HEADS
from models.encoder.data import ParticipationTexts, TaggedTexts
from models.encoder.heads import emotion, topics
from models.encoder.heads.participation import SOURCE_WEIGHTS
from models.encoder.heads.participation import lessons as participation_posts
from models.encoder.heads.topics import lessons as topic_posts
from models.encoder.tasks import TASKS, heads_of
from testkit.models import write_rows


def test_participation_teaches_problems_too_and_weighs_its_sources() -> None:
    posts = ParticipationTexts(
        ("a", "b", "c"), (0, 2, 1), ("a", "b", "c"), ("crowd", "synthetic", "extension")
    )
    levels, problem = participation_posts(posts).lessons
    assert (levels.head, problem.head) == ("participation", "problem")
    assert levels.targets == (0, 2, 1)
    assert levels.weights == tuple(
        SOURCE_WEIGHTS[source] for source in ("crowd", "synthetic", "extension")
    )
    assert problem.targets[1] == problem.targets[2] == (1.0,)
    assert problem.targets[0] != (1.0,)
    assert problem.weights[0] < levels.weights[0]


def test_news_says_nothing_of_problems_and_other_topics_say_there_is_none() -> None:
    news = tuple(int(name == "news_&_social_concern") for name in HEADS["topics"])
    music = tuple(int(name == "music") for name in HEADS["topics"])
    _, problem = topic_posts(TaggedTexts(("a", "b"), (news, music))).lessons
    assert problem.weights == (0.0, 1.0)
    assert problem.targets[1] == (0.0,)


@pytest.mark.parametrize(
    ("tasks", "heads"),
    [
        (("sentiment",), ("sentiment",)),
        (("emotion", "sentiment"), ("sentiment", "emotion")),
        (tuple(TASKS), tuple(HEADS)),
    ],
)
def test_heads_come_in_the_order_of_the_contract(
    tasks: tuple[str, ...], heads: tuple[str, ...]
) -> None:
    assert heads_of(tasks) == heads


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "topics" / "tweettopicxl_en.csv.gz",
        [
            {"split": "train", "text": "a", "labels": "music|sports"},
            {"split": "test", "text": "b", "labels": "music"},
        ],
    )
    found = topics.train(tmp_path)
    assert found.texts == ("a",)
    assert sum(found.labels[0]) == 2
    write_rows(tmp_path / "emotion" / "train.csv.gz", [{"text": "a", "label": "optimism"}])
    assert emotion.train(tmp_path).labels == (2,)
