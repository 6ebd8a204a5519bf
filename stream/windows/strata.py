"""The stratum of a post: source, language and topic, each from a bounded set.

What a mix/opinion split needs: who speaks, apart from what they say. The set is bounded by rule,
not by who comes first, so that a replay in another order gives the same strata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

UNKNOWN: Final = "und"
OTHER: Final = "other"
NO_TOPIC: Final = "none"
MIN_TOPIC_MICRO: Final = 500_000
"""A post has a topic when the model gives its likeliest one at least one half."""


class LanguageFold:
    """Folds BCP-47 tags to the languages that have strata of their own.

    Example:
        >>> fold = LanguageFold(["en", "es"])
        >>> fold("en-GB"), fold("eu"), fold("")
        ('en', 'other', 'und')
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self._own = frozenset(languages)
        self._known: dict[str, str] = {}

    def __call__(self, tag: str) -> str:
        """Return the primary subtag if it has strata of its own, `other`, or `und` for ""."""
        folded = self._known.get(tag)
        if folded is None:
            primary = tag.replace("_", "-").split("-", 1)[0].lower()
            folded = UNKNOWN if not primary else primary if primary in self._own else OTHER
            if len(self._known) < 1000:  # tags come from outside: bound what they can make us hold
                self._known[tag] = folded
        return folded


def stratum(source: str, language: str, topic: str) -> str:
    """Return the name of a stratum.

    Example:
        >>> stratum("bluesky", "en", "sports")
        'bluesky|en|sports'
    """
    return f"{source}|{language}|{topic}"
