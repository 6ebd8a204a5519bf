"""The one table of heads: what the post encoder is asked of a post, in training, panes and docs.

A row here and a file `models/encoder/heads/<name>.py` are a head; all else follows from the row:
the scorers' edge, the counters of a pane, shares and their exporting, choices of commands,
dashboards and evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class HeadKind(StrEnum):
    """How the classes of a head belong together."""

    EXCLUSIVE = "exclusive"
    """One of them is true, so their probabilities sum to one."""
    SEVERAL = "several"
    """Each by itself is true or not."""
    ORDERED = "ordered"
    """Exclusive levels, each above the one before it."""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One head.

    Attributes:
        name: The name of the model's output, of the scores of a post and of counters.
        labels: The classes, in the order of every array.
        kind: How the classes belong together.
        since: The place of its counters among the groups that panes have come to count
            (`stream.windows.layout`), one more than the last there is; 0 if panes do not count it.
            It never changes, for stored panes are read by it.
        least_posts: So many posts that the head scored a window must have before people are shown
            the head: what is a matter of groups is not told of fewer, to nobody.
    """

    name: str
    labels: tuple[str, ...]
    kind: HeadKind = HeadKind.EXCLUSIVE
    since: int = 0
    least_posts: int = 0


SENTIMENT: Final = ("negative", "neutral", "positive")
EMOTION: Final = ("anger", "joy", "optimism", "sadness")
TOPICS: Final = (
    "arts_&_culture",
    "business_&_entrepreneurs",
    "celebrity_&_pop_culture",
    "diaries_&_daily_life",
    "family",
    "fashion_&_style",
    "film_tv_&_video",
    "fitness_&_health",
    "food_&_dining",
    "gaming",
    "learning_&_educational",
    "music",
    "news_&_social_concern",
    "other_hobbies",
    "relationships",
    "science_&_technology",
    "sports",
    "travel_&_adventure",
    "youth_&_student_life",
)
PARTICIPATION: Final = ("none", "problem_solution", "call_to_action", "intention", "execution")
PROBLEM: Final = ("collective_problem",)

TABLE: Final = (
    HeadSpec("sentiment", SENTIMENT, since=1),
    HeadSpec("emotion", EMOTION, since=2),
    HeadSpec("topics", TOPICS, HeadKind.SEVERAL),
    HeadSpec("participation", PARTICIPATION, HeadKind.ORDERED, since=3, least_posts=20),
    HeadSpec("problem", PROBLEM, HeadKind.SEVERAL, since=5, least_posts=20),
)

SPECS: Final[dict[str, HeadSpec]] = {spec.name: spec for spec in TABLE}
HEADS: Final[dict[str, tuple[str, ...]]] = {spec.name: spec.labels for spec in TABLE}
"""Head -> its classes in order."""
INDEPENDENT: Final = frozenset(spec.name for spec in TABLE if spec.kind is HeadKind.SEVERAL)
"""Heads whose probabilities need not sum to one."""
COUNTED: Final = tuple(spec for spec in TABLE if spec.since)
"""Heads whose classes panes count."""
COUNTED_HEADS: Final = tuple(spec.name for spec in COUNTED)
"""Their names."""
