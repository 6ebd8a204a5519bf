"""The part of a message that a classifier is shown, and what to do without a dictionary.

The papers' *action-focused excerpt* keeps the sentence with the largest share of dictionary terms,
and its neighbours. Their dictionary of 47 terms is not public, so none ships: `load_dictionary`
reads a file of one term a line. Without one, `pooled` scores every sentence by itself and takes the
most participating one, which needs no list of words and no language of its own.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

LEAST_MATCHES: Final = 2
"""A message with fewer dictionary matches has no excerpt."""
MOST_SENTENCES: Final = 40
"""Scored of one message when pooling; longer ones are cut."""
LEAST_LETTERS: Final = 8
"""Shorter sentences ("Yes.", "LOL!") join the one before when pooling."""
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9@#])|\n+")
_WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in order; white space around them is dropped.

    >>> sentences("Stop it. We will march!  Who comes?")
    ['Stop it.', 'We will march!', 'Who comes?']
    """
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def words(sentence: str) -> list[str]:
    """Return the words and punctuation marks, each a token.

    >>> words("Don't stop, march!")
    ["Don't", 'stop', ',', 'march', '!']
    """
    return _WORD.findall(sentence)


class Dictionary:
    """Terms to look for, case as written; a `*` at the end makes a prefix."""

    def __init__(self, terms: Sequence[str]) -> None:
        self._whole = frozenset(term for term in terms if term and not term.endswith("*"))
        self._prefixes = tuple(term[:-1] for term in terms if term.endswith("*") and len(term) > 1)

    def matches(self, tokens: Sequence[str]) -> int:
        """Return how many of the tokens are terms."""
        return sum(
            token in self._whole or (bool(self._prefixes) and token.startswith(self._prefixes))
            for token in tokens
        )


def load_dictionary(file: Path) -> Dictionary:
    """One term a line; empty lines and those that begin with `#` are passed over.

    Raises:
        ConfigError: It cannot be read, or holds no term.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"dictionary {file} cannot be read: {error.strerror}") from error
    terms = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not terms:
        raise ConfigError(f"dictionary {file} holds no term: one a line, * at the end for a prefix")
    return Dictionary(terms)


def excerpt(text: str, dictionary: Dictionary) -> str | None:
    """Return the sentence with the largest share of matches, between its neighbours.

    The first such sentence where several are equal; fewer neighbours at the ends of the text.

    Returns:
        None when the whole text has fewer than `LEAST_MATCHES` matches.
    """
    parts = sentences(text)
    tokens = [words(part) for part in parts]
    matches = [dictionary.matches(found) for found in tokens]
    if sum(matches) < LEAST_MATCHES:
        return None
    density = [hits / max(1, len(found)) for hits, found in zip(matches, tokens, strict=True)]
    best = density.index(max(density))
    return " ".join(parts[max(0, best - 1) : best + 2])


def passages(text: str) -> list[str]:
    """Return what pooling scores: at least one sentence, very short ones joined to others."""
    found: list[str] = []
    for part in sentences(text)[:MOST_SENTENCES]:
        if found and sum(letter.isalpha() for letter in part) < LEAST_LETTERS:
            found[-1] = f"{found[-1]} {part}"
        else:
            found.append(part)
    return found or [text]


def pooled(
    texts: Sequence[str], classify: Callable[[Sequence[str]], NDArray[np.floating[Any]]]
) -> NDArray[np.float64]:
    """Return the probabilities (N, C) of the passage of each text that is least of the first class.

    All passages of all texts go to `classify` at once.
    """
    parts = [passages(text) for text in texts]
    flat = [part for found in parts for part in found]
    scored = np.asarray(classify(flat), np.float64)
    ends = np.cumsum([len(found) for found in parts])
    rows = [
        start + int(scored[start:end, 0].argmin())
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
    ]
    return scored[rows]
