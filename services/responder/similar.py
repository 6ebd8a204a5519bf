"""Which past event is about the same: the cosine of words, weighted by how rare they are (TF-IDF).

How rare a word is, a sample of all posts says, so that common words mean nothing also while few
events are known.
"""

from __future__ import annotations

from collections import Counter
from math import log, sqrt
from typing import Final
from zlib import crc32

from models.popalm.ranking import words_of

_BUCKETS: Final = 1 << 16
_SAMPLE: Final = 8
"""One post in so many says how rare words are."""
_LEAST_SHARED: Final = 2
"""With one word in common, two posts are not alike."""


class PastEvents:
    """The texts of events, by which similar ones are found. Not thread-safe."""

    def __init__(self) -> None:
        self._posts = 0
        self._with: Counter[int] = Counter()
        self._events: dict[str, dict[int, float]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def read(self, name: str, text: str) -> None:
        """Learn how rare words are; most posts are passed over."""
        if crc32(name.encode()) % _SAMPLE == 0:
            self._posts += 1
            self._with.update(set(_counts(text)))

    def add(self, event: str, text: str) -> None:
        """Know an event."""
        self._events[event] = {word: 1 + log(times) for word, times in _counts(text).items()}

    def remove(self, event: str) -> None:
        """Know it no more."""
        self._events.pop(event, None)

    def similar(self, text: str, least: float, but: str = "") -> list[tuple[float, str]]:
        """Return similarity and event, the most similar first.

        Args:
            text: What they are compared with.
            least: The least similarity, in [0, 1].
            but: An event that is left out.
        """
        asked = {word: 1 + log(times) for word, times in _counts(text).items()}
        length = self._length(asked)
        found: list[tuple[float, str]] = []
        for event, words in self._events.items():
            shared = [word for word in asked if word in words]
            if event == but or len(shared) < _LEAST_SHARED:
                continue
            dot = sum(asked[word] * words[word] * self._rarity(word) ** 2 for word in shared)
            both = length * self._length(words)
            if both and dot / both >= least:
                found.append((min(dot / both, 1.0), event))
        return sorted(found, key=lambda one: (-one[0], one[1]))

    def _length(self, words: dict[int, float]) -> float:
        return sqrt(sum((weight * self._rarity(word)) ** 2 for word, weight in words.items()))

    def _rarity(self, word: int) -> float:
        return log((self._posts + 1) / (self._with[word] + 0.5)) if self._posts else 0.0


def _counts(text: str) -> Counter[int]:
    """Return how often each word is said, by the word's hash."""
    return Counter(crc32(word.encode()) % _BUCKETS for word in words_of(text))
