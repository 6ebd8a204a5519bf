"""What a head learns from labelled posts."""

from dataclasses import dataclass

Target = int | tuple[float, ...]
"""A class, or an answer for each of several questions."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one head learns from a task's posts: a target and a weight per post."""

    head: str
    targets: tuple[Target, ...]
    weights: tuple[float, ...]
