"""How much closer an answer is to its own post's replies than to another post's.

What is said to every post is as close to any post's replies, and has no lift. The held-out reply
is nobody's reference, and of two posts as many replies are compared: the best of more is higher.

Shapes: `N` judged posts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.responses.floors import HELD_OUT, SEEDS, Answers
from evaluation.responses.published import overlap_f, rouge1
from evaluation.responses.threads import Thread, normalised
from evaluation.responses.words import Vocabulary, words_of

Floats = NDArray[np.float64]
Similarity = Callable[[str, str], float]
LIFTS: Final = ("lift", "content_lift", "embedding_lift")
_LINK: Final = re.compile(r"https?://\S+")
_RUN: Final = 4
_COPIED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Similarities:
    """How close two texts are, in three ways.

    Attributes:
        vocabulary: Tells which words have content.
        vectors: The vector of every text that is compared; None where no encoder reads them.
    """

    vocabulary: Vocabulary
    vectors: Mapping[str, NDArray[np.float32]] | None

    def by_name(self) -> Mapping[str, Similarity]:
        """Return what `LIFTS` compare by; an embedding only where there are vectors."""
        found: dict[str, Similarity] = {"lift": rouge1, "content_lift": self._content}
        return found | ({} if self.vectors is None else {"embedding_lift": self._cosine})

    def _content(self, answer: str, reply: str) -> float:
        return overlap_f(self.vocabulary.content(answer), self.vocabulary.content(reply))

    def _cosine(self, answer: str, reply: str) -> float:
        if self.vectors is None:
            return np.nan
        return float(self.vectors[answer] @ self.vectors[reply])


def others(posts: int, seed: int) -> list[int]:
    """Return another post for each post, every post once.

    Raises:
        ValueError: There are fewer than two posts.
    """
    if posts < 2:
        raise ValueError(f"{posts} posts: lift compares with another post")
    order = list(range(posts))
    random.Random(seed).shuffle(order)
    found = [0] * posts
    for place, post in enumerate(order):
        found[post] = order[place - 1]
    return found


def references(thread: Thread, used: int | None) -> list[str]:
    """Return the replies that judge an answer: not the held-out one, not the one that it is."""
    left_out = {HELD_OUT, HELD_OUT if used is None else used}
    own = {normalised(thread.replies[row]) for row in left_out}
    found = [reply for row, reply in enumerate(thread.replies) if row not in left_out]
    # What says the same as the reply that the answer is would judge it by itself.
    return found if used is None else [one for one in found if normalised(one) not in own]


def lifts(
    threads: Sequence[Thread], answers: Answers, similarities: Similarities
) -> Mapping[str, Floats]:
    """Return (N,) lifts of answers by name, the mean over the other posts that `SEEDS` draw.

    NaN where no reply is left to judge an answer by.
    """
    judges = [
        references(thread, answer.used) for thread, answer in zip(threads, answers, strict=True)
    ]
    pairings = [others(len(threads), seed) for seed in SEEDS]
    return {
        name: np.mean([_lift(answers, judges, pairing, similarity) for pairing in pairings], axis=0)
        for name, similarity in similarities.by_name().items()
    }


def _lift(
    answers: Answers, judges: Sequence[Sequence[str]], pairing: Sequence[int], alike: Similarity
) -> Floats:
    found = np.full(len(answers), np.nan)
    for post, (answer, other) in enumerate(zip(answers, pairing, strict=True)):
        number = min(len(judges[post]), len(judges[other]))
        if number:
            own = max(alike(answer.text, reply) for reply in judges[post][:number])
            found[post] = own - max(alike(answer.text, reply) for reply in judges[other][:number])
    return found


def is_copied(answer: str, post: str) -> bool:
    """Tell whether a run of the post's words, four at least, makes half of an answer.

    >>> is_copied("so the bridge is closed again", "Sad news: the bridge is closed")
    True
    """
    words, whole = _said(answer), _said(post)
    run = SequenceMatcher(None, words, whole, autojunk=False).find_longest_match().size
    return run >= _RUN and run >= _COPIED_SHARE * len(words)


def _said(text: str) -> Sequence[str]:
    """Return the words of a text; neither punctuation nor links, whose parts are all alike."""
    return [word for word in words_of(_LINK.sub(" ", text)) if any(map(str.isalnum, word))]


def distinct(answers: Answers) -> Mapping[str, float]:
    """Return the shares of distinct answers, words and pairs of words among all of them.

    The last two are distinct-1 and distinct-2 of Li et al., A Diversity-Promoting Objective
    Function for Neural Conversation Models, NAACL 2016, over all answers together.
    """
    cut = [words_of(answer.text) for answer in answers]
    pairs = [pair for words in cut for pair in pairwise(words)]
    singles = [word for words in cut for word in words]
    return {
        "distinct": _share([normalised(answer.text) for answer in answers]),
        "distinct1": _share(singles),
        "distinct2": _share(pairs),
    }


def _share(values: Sequence[object]) -> float:
    return len(set(values)) / len(values) if values else np.nan
