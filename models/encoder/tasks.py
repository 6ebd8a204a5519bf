"""What the encoder is trained on: per task its posts, and which heads learn what from them.

A task is a set of posts; a head is a question. Most tasks teach one head. The participation posts
also teach `problem`, and so do the topics posts, so their batches carry targets for two heads and
the backbone is run once for both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.heads import TOPICS
from models.encoder import data as datasets
from models.encoder.anchors import participation_split
from models.encoder.data import CROWD, LabelledTexts, ParticipationTexts, TaggedTexts
from models.encoder.lessons import Lesson, Target

SOURCE_WEIGHTS: Final = {CROWD: 1.0, "extension": 0.3, "synthetic": 0.3}
"""How much a participation row counts by where its label comes from. Chosen by cross-validation
over groups with a linear model on frozen embeddings; see the model card."""
MAX_GATE_BALANCE: Final = 4.0
"""Most that one answer of a gate may count more than the other in training."""
MAX_TOPIC_WEIGHT: Final = 5.0
"""Most that a yes may count for a topic: the rarest has 2 of 180 posts, and its full weight of 89
would be all noise."""
NONE_IS_NO: Final = 0.5
"""Weight, for `problem`, of a post whose level is none: its problem may be absent or unclear."""
NONE_TARGET: Final = (0.15,)
CERTAIN: Final = (1.0,)
NO_PROBLEM: Final = (0.0,)
NEWS: Final = TOPICS.index("news_&_social_concern")


@dataclass(frozen=True, slots=True)
class TaskPosts:
    """Raw texts and what is learned from them; the first lesson is the task's own head."""

    texts: tuple[str, ...]
    lessons: tuple[Lesson, ...]

    def __len__(self) -> int:
        return len(self.texts)


def _lesson(head: str, targets: tuple[Target, ...]) -> Lesson:
    return Lesson(head, targets, (1.0,) * len(targets))


def _exclusive(head: str, posts: LabelledTexts) -> TaskPosts:
    return TaskPosts(posts.texts, (_lesson(head, posts.labels),))


def _topics(posts: TaggedTexts) -> TaskPosts:
    """News and social concern may or may not name a problem, so those posts say nothing of it."""
    problem = Lesson(
        "problem",
        (NO_PROBLEM,) * len(posts),
        tuple(0.0 if labels[NEWS] else 1.0 for labels in posts.labels),
    )
    return TaskPosts(posts.texts, (_lesson("topics", posts.labels), problem))


def _participation(posts: ParticipationTexts) -> TaskPosts:
    weights = tuple(SOURCE_WEIGHTS[source] for source in posts.sources)
    problem = Lesson(
        "problem",
        tuple(CERTAIN if level else NONE_TARGET for level in posts.labels),
        tuple(
            weight if level else weight * NONE_IS_NO
            for weight, level in zip(weights, posts.labels, strict=True)
        ),
    )
    return TaskPosts(posts.texts, (Lesson("participation", posts.labels, weights), problem))


@dataclass(frozen=True, slots=True)
class Task:
    """Where a task's posts come from; `validation` posts are never trained on.

    Both take the folder of the data sets and the fold that is held out, which only a task without
    an official validation split needs.
    """

    train: Callable[[Path, int], TaskPosts]
    validation: Callable[[Path, int], TaskPosts]


TASKS: Final = {
    "sentiment": Task(
        lambda root, _fold: _exclusive("sentiment", datasets.sentiment_train(root)),
        lambda root, _fold: _exclusive("sentiment", datasets.sentiment_validation(root)),
    ),
    "emotion": Task(
        lambda root, _fold: _exclusive("emotion", datasets.emotion_train(root)),
        lambda root, _fold: _exclusive("emotion", datasets.emotion_validation(root)),
    ),
    "topics": Task(
        lambda root, _fold: _topics(datasets.topics_train(root)),
        lambda root, _fold: _topics(datasets.topics_validation(root)),
    ),
    "participation": Task(
        lambda root, fold: _participation(participation_split(root, fold)[0]),
        lambda root, fold: _participation(participation_split(root, fold)[1]),
    ),
}
"""Task -> its posts. A new task adds its entry here."""


def heads_of(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The heads that these tasks teach, in the order of `core.heads.HEADS`."""
    from core.heads import HEADS

    taught = set(tasks)
    if taught & {"participation"}:
        taught.add("problem")
    return tuple(head for head in HEADS if head in taught)
