"""Heads of the post encoder and the order of their classes, in training, panes and docs alike."""

from __future__ import annotations

from typing import Final

SENTIMENT: Final = ("negative", "neutral", "positive")
EMOTION: Final = ("anger", "joy", "optimism", "sadness")
PARTICIPATION: Final = (
    "none",
    "problem_solution",
    "call_to_action",
    "intention",
    "execution",
)
PROBLEM: Final = ("collective_problem",)
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

HEADS: Final[dict[str, tuple[str, ...]]] = {
    "sentiment": SENTIMENT,
    "emotion": EMOTION,
    "topics": TOPICS,
    "participation": PARTICIPATION,
    "problem": PROBLEM,
}

INDEPENDENT: Final = frozenset({"topics", "problem"})
"""Heads whose classes do not exclude one another: their probabilities need not sum to one."""
ORDERED: Final = frozenset({"participation"})
"""Heads whose classes are levels, each above the one before it."""
