"""Train the heads of relevance and likeness, and what is usual at each length of a reply.

Likeness learns from pairs of one post: a person's reply before what a decoder drew to it, before
what was said to another post, and before what could be said to any. Both of a pair are about as
long, so that length teaches nothing. Relevance learns own replies before those of another post.

Shapes: `N` pairs, `B` texts, `D` embedding width, `W` sets of weights: from all posts, and without
each fold of them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.encoders import TextVectors
from models.popalm.reward import FOLDS, closeness, fold_of, lengths_of, nearness
from models.popalm.text_shape import shapes_of
from models.popalm.training.reward import fit
from models.popalm.training.reward_data import SEED, Thread

Floats = NDArray[np.float64]
Likely = tuple[str, str, str]
"""A post, a person's reply to it, and a text that is none."""
_REPLIES: Final = 10
"""Replies of a post that relevance learns from, at most; the others of one are the rest."""
LEADING: Final = 3
"""Of so many first replies of a post likeness learns."""
_LONGER: Final = 1.6
"""A reply that is so many times longer than another one is not compared with it."""
_CONSTANTS: Final = 50
_STRENGTH: Final = 1e-3
_LEAST_SCALE: Final = 1e-3


def _as_long(text: str, others: Sequence[str]) -> str | None:
    """Return the text that is about as long as another one; None where there is none."""
    apart = {other: abs(log(len(other) / len(text))) for other in others if other.strip()}
    found = min(apart, key=apart.__getitem__, default=None)
    return found if found is not None and apart[found] <= log(_LONGER) else None


def likely_pairs(
    threads: Sequence[Thread], drawn: Mapping[str, Sequence[str]], constants: Sequence[str]
) -> dict[str, list[Likely]]:
    """Return pairs of texts of one length, by what the second one is.

    Args:
        threads: Posts with their replies.
        drawn: What decoders drew to some of the posts.
        constants: Texts that could be said to any post.
    """
    rng = random.Random(SEED)
    foreign = [(post, text) for post, replies in threads for text in replies[:LEADING]]
    found: dict[str, list[Likely]] = {"drawn": [], "foreign": [], "constant": []}
    for post, replies in threads:
        few = rng.sample(foreign, min(_CONSTANTS, len(foreign)))
        others = [text for other, text in few if other != post and text not in replies]
        for text in replies[:LEADING]:
            if (other := _as_long(text, others)) is not None:
                found["foreign"].append((post, text, other))
            if (other := _as_long(text, constants)) is not None and other not in replies:
                found["constant"].append((post, text, other))
        for text in filter(str.strip, drawn.get(post, ())):
            if (own := _as_long(text, replies)) is not None and own != text:
                found["drawn"].append((post, own, text))
    return found


def sayable(texts: Sequence[str], vectors: NDArray[np.float32]) -> list[str]:
    """Return the texts that are nearest to all: what could be said to any post."""
    order = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
    return [texts[row] for row in map(int, order[:_CONSTANTS])]


def rarity(vectors: NDArray[np.float32]) -> Floats:
    """Return (D,) how rare it is that a number of (B, D) vectors is not zero, as a logarithm."""
    return np.log((len(vectors) + 1) / ((vectors != 0).sum(axis=0) + 1.0))


def train_likeness(
    pairs: Mapping[str, Sequence[Likely]], encode: TextVectors, terms: Floats
) -> dict[str, NDArray[Any]]:
    """Return the tensors of likeness but for its lengths; each kind of pairs counts alike.

    Args:
        pairs: Pairs by kind.
        encode: What makes vectors.
        terms: The (D,) weights of their numbers.
    """
    whole = [pair for kind in pairs.values() for pair in kind]
    margins = np.array([1 / len(kind) for kind in pairs.values() for _ in kind])
    folds = np.array([fold_of(post) for post, _one, _other in whole])
    columns = list(zip(*whole, strict=True))
    posts, one, other = (encode(texts) for texts in columns)
    differences = np.hstack(
        [
            (shapes_of(columns[1]) - shapes_of(columns[2])).astype(np.float64),
            closeness(posts, one, terms) - closeness(posts, other, terms),
        ]
    )
    scale = np.maximum(differences.std(axis=0), _LEAST_SCALE)
    rows = [
        fit(differences[folds != out] / scale, margins[folds != out], _STRENGTH) / scale
        for out in range(-1, FOLDS)
    ]
    return {"likeness": np.array(rows, np.float32), "terms": terms.astype(np.float32)}


def by_length(scores: Floats, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (4,) what scores are usual at a length (`reward.lengths_of`), and their deviation."""
    usual = np.linalg.lstsq(lengths_of(texts), scores, rcond=None)[0]
    return np.array([*usual, (scores - lengths_of(texts) @ usual).std()], np.float32)


def train_relevance(threads: Sequence[Thread], encode: TextVectors) -> dict[str, NDArray[Any]]:
    """Return the tensors of the head of relevance: own replies against those of another post."""
    rng = random.Random(SEED)
    few = [(post, rng.sample(list(own), min(_REPLIES, len(own)))) for post, own in threads]
    few = [(post, own) for post, own in few if len(own) > 1]
    texts = list(dict.fromkeys(text for post, own in few for text in (post, *own)))
    vectors = dict(zip(texts, encode(texts), strict=True))
    near: list[NDArray[np.float32]] = []
    far: list[NDArray[np.float32]] = []
    for row, (post, own) in enumerate(few):
        foreign = rng.choice(few[(row + rng.randrange(1, len(few))) % len(few)][1])
        others = np.stack([vectors[text] for text in own[1:]])
        both = nearness(vectors[post], np.stack([vectors[own[0]], vectors[foreign]]), others)
        near.append(both[0])
        far.append(both[1])
    folds = np.array([fold_of(post) for post, _own in few])
    both_near = np.array(near, np.float64), np.array(far, np.float64)
    sets = [_relevance_set(*(one[folds != out] for one in both_near)) for out in range(-1, FOLDS)]
    return {name: np.stack([one[name] for one in sets]) for name in sets[0]}


def _relevance_set(near: Floats, far: Floats) -> dict[str, NDArray[np.float32]]:
    weights = fit(near - far, np.ones(len(near)), _STRENGTH)
    usual = near[:, 1:].mean(axis=0)
    among, alone = (near - np.array([0, *usual])) @ weights, near[:, 0]
    return {
        "relevance": weights.astype(np.float32),
        "relevance_usual": usual.astype(np.float32),
        "relevance_alone": np.array([alone.mean(), alone.std()], np.float32),
        "relevance_among": np.array([among.mean(), among.std()], np.float32),
    }
