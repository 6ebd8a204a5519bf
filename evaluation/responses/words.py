"""Words of a text, as the published evaluation cuts them, and which of them have content.

Source: jieba 0.42.1 in its default mode, which the evaluation of PopALM calls. It cuts Chinese by
dictionary and everything else at spaces and punctuation, so that one way of cutting serves all.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

FREQUENT: Final = 150
"""So many of the most frequent tokens of the training replies have no content."""


@cache
def _cutter() -> Any:
    with warnings.catch_warnings():
        # Old regular expressions, and a look for a package that is not needed.
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.WARNING)
    return jieba


@cache
def words_of(text: str) -> tuple[str, ...]:
    """Return the tokens of a text in order, punctuation and particles with them, space without.

    >>> words_of("Two words.")
    ('Two', 'words', '.')
    """
    return tuple(" ".join(_cutter().cut(text)).split())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What is frequent in a set's training replies.

    Attributes:
        counts: How often each token stands there.
        frequent: The `FREQUENT` most frequent tokens, case folded.
    """

    counts: Counter[str]
    frequent: frozenset[str] = field(default=frozenset())

    def content(self, text: str) -> frozenset[str]:
        """Return the words of a text, case folded, that are neither frequent nor punctuation."""
        folded = (word.casefold() for word in words_of(text))
        return frozenset(
            word
            for word in folded
            if word not in self.frequent and any(letter.isalnum() for letter in word)
        )


def vocabulary_of(texts: Iterable[str], frequent: int = FREQUENT) -> Vocabulary:
    """Count the tokens of texts; of two as frequent the one that sorts first is the first."""
    counts: Counter[str] = Counter()
    folded: Counter[str] = Counter()
    for text in texts:
        counts.update(words_of(text))
        folded.update(word.casefold() for word in words_of(text))
    return Vocabulary(counts, frozenset(most_frequent(folded, frequent)))


def most_frequent(counts: Counter[str], number: int) -> Sequence[str]:
    """Return the most frequent tokens, the same on every run."""
    return sorted(counts, key=lambda word: (-counts[word], word))[:number]
