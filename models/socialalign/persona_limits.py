"""How much of authors is remembered, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class PersonaLimits:
    """How much is kept, and for how long.

    Attributes:
        most_authors: Authors that are remembered at most.
        most_posts: Posts of an author that are remembered at most.
        used_posts: The last posts before an event that make a persona.
        most_letters: Of a text, so much is kept.
        text_s: The age in seconds at which a post's text leaves.
        lifetime_s: The age in seconds at which a post leaves.
        half_life_s: The age in seconds at which a post counts half.
    """

    most_authors: int = 100_000
    most_posts: int = 64
    used_posts: int = 32
    most_letters: int = 500
    text_s: float = 7 * _DAY_S
    lifetime_s: float = 90 * _DAY_S
    half_life_s: float = 30 * _DAY_S

    def __post_init__(self) -> None:
        if not 1 <= self.used_posts <= self.most_posts or self.most_authors < 1:
            raise ValueError("expected 1 <= used_posts <= most_posts, and one author or more")
        if not 0 < self.text_s <= self.lifetime_s or self.half_life_s <= 0:
            raise ValueError("expected 0 < text_s <= lifetime_s, and half_life_s above 0")
