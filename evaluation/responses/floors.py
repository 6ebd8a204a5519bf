"""Answers that know no model: what a system has to beat, and what people wrote.

Shapes: `C` candidate sentences, `R` replies, `V` distinct tokens.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.responses.published import rouge1
from evaluation.responses.threads import Thread, ThreadSet
from evaluation.responses.words import Vocabulary, most_frequent, words_of

SEEDS: Final = (20171, 20172, 20173)
"""What is drawn is drawn three times, and so is whose replies are another post's."""
HELD_OUT: Final = 0
"""The reply that stands for people: the best liked where a set knows."""
FLOORS: Final = {
    "constant": "best constant sentence",
    "frequent": "six frequent tokens",
    "copy": "start of the post",
    "elsewhere": "reply to any other post",
    "retrieval": "BM25: reply to the most similar post",
    "consensus": "the post's own middle reply (oracle)",
    "human": "the held-out real reply",
}
_TOKENS: Final = 6
_CANDIDATES: Final = 4_000
_POSTS: Final = 500
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a post.

    Attributes:
        text: The answer.
        used: The number of the post's own reply that it is, which then judges it no more; None
            where it was made without reading them.
    """

    text: str
    used: int | None = None


Answers = Sequence[Answer]


def floor_answers(threads: ThreadSet, vocabulary: Vocabulary) -> Mapping[str, Sequence[Answers]]:
    """Return the answers of every floor to the judged posts: once, or once for each of `SEEDS`."""
    joint = "" if threads.language == "zh" else " "
    tokens = joint.join(most_frequent(vocabulary.counts, _TOKENS))
    constant = best_constant(threads.train)
    replies = [reply for thread in threads.train for reply in thread.replies]
    length = round(median(len(reply) for reply in replies))
    test = threads.test
    draws = [random.Random(seed).choices(replies, k=len(test)) for seed in SEEDS]
    return {
        "constant": [[Answer(constant)] * len(test)],
        "frequent": [[Answer(tokens)] * len(test)],
        "copy": [[Answer(thread.post[:length]) for thread in test]],
        "elsewhere": [[Answer(text) for text in drawn] for drawn in draws],
        "retrieval": [[Answer(text) for text in retrieved(threads.train, test)]],
        "consensus": [[middle(thread) for thread in test]],
        "human": [[Answer(thread.replies[HELD_OUT], HELD_OUT) for thread in test]],
    }


def middle(thread: Thread) -> Answer:
    """Return the reply that the others, without the held-out one, are most like by ROUGE-1."""
    rows = [row for row in range(len(thread.replies)) if row != HELD_OUT]

    def likeness(row: int) -> float:
        reply = thread.replies[row]
        return sum(rouge1(reply, thread.replies[other]) for other in rows if other != row)

    chosen = max(rows, key=likeness)
    return Answer(thread.replies[chosen], chosen)


def retrieved(train: Sequence[Thread], posts: Sequence[Thread]) -> list[str]:
    """Return the first reply to the training post that BM25 finds most similar to each post."""
    import bm25s

    known = [_folded(thread.post) for thread in train]
    index = bm25s.BM25()
    index.index(known, show_progress=False)
    vocabulary = {word for words in known for word in words}
    asked = [[word for word in _folded(post.post) if word in vocabulary] for post in posts]
    chosen = np.zeros(len(posts), np.int64)  # without a known word the first is as good as any
    if rows := [row for row, words in enumerate(asked) if words]:
        found, _scores = index.retrieve([asked[row] for row in rows], k=1, show_progress=False)
        chosen[rows] = np.asarray(found)[:, 0]
    return [train[row].replies[0] for row in chosen.tolist()]


def _folded(text: str) -> list[str]:
    return [word.casefold() for word in words_of(text)]


def best_constant(train: Sequence[Thread]) -> str:
    """Return the training reply that is closest, by ROUGE-1 of the closest reply, to all posts.

    Of a large set evenly spaced candidates and posts stand for all.
    """
    posts = _spaced([thread.replies for thread in train], _POSTS)
    candidates = _spaced(sorted({reply for one in train for reply in one.replies}), _CANDIDATES)
    replies = [reply for own in posts for reply in own]
    starts = np.cumsum([0, *(len(own) for own in posts[:-1])])
    known: dict[str, int] = {}
    real = _presence(replies, known)
    asked = _presence(candidates, known)
    width = len(known)
    real.resize((len(replies), width))
    asked.resize((len(candidates), width))
    means: list[NDArray[np.float64]] = []
    for start in range(0, len(candidates), _CHUNK):
        some = asked[start : start + _CHUNK]
        shared = (some @ real.T).toarray()
        sizes = some.sum(axis=1) + real.sum(axis=1).T
        overlap = np.asarray(2 * shared / np.maximum(sizes, 1))
        means.append(np.maximum.reduceat(overlap, starts, axis=1).mean(axis=1))
    return candidates[int(np.argmax(np.concatenate(means)))]


def _spaced(values: Sequence[Any], number: int) -> Sequence[Any]:
    step = max(1, -(-len(values) // number))
    return values[::step]


def _presence(texts: Sequence[str], known: dict[str, int]) -> Any:
    """Return (len(texts), V) which tokens each text has, as a sparse matrix; new tokens join."""
    from scipy.sparse import csr_matrix

    rows = [sorted({known.setdefault(word, len(known)) for word in words_of(t)}) for t in texts]
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.fromiter((column for row in rows for column in row), np.int64, int(ends[-1]))
    return csr_matrix(
        (np.ones(len(columns), np.float32), columns, ends), shape=(len(texts), len(known))
    )
