"""What shows that a reward is being hacked: recorded at every step, drawn in the model card.

A reward that rises while the held-out one does not, replies that grow alike, longer, or copy the
post: each is a sign that the reward is wrong and not that the replies are better.
"""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.encoders import TextVectors
from models.popalm.reward import Reward
from models.popalm.training.curriculum import words_of

Score = Callable[[Sequence[str], Sequence[str]], NDArray[np.floating[Any]]]
"""Posts and a reply to each to (N,) rewards, higher is better."""
MONITORS: Final = ("reward", "held_out", "kl", "words", "distinct", "copied")
_RUN: Final = 4


def score_of(reward: Reward, vectors_of: TextVectors) -> Score:
    """Return a reward as a function of posts and a reply to each.

    A post that the reward has learnt from is judged by the weights that did not see it.
    """

    def score(posts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        distinct = list(dict.fromkeys([*posts, *texts]))
        vectors = dict(zip(distinct, vectors_of(distinct), strict=True))
        found = [
            reward.total(
                vectors[post], [text], vectors[text][None], None, reward.fold_for(post)
            )[0]
            for post, text in zip(posts, texts, strict=True)
        ]  # fmt: skip
        return np.asarray(found, np.float32)

    return score


def is_copied(reply: str, post: str) -> bool:
    """Tell whether a run of the post's words, four at least, makes half of a reply."""
    words, whole = words_of(reply), words_of(post)
    run = SequenceMatcher(None, words, whole, autojunk=False).find_longest_match().size
    return run >= _RUN and 2 * run >= len(words)


def monitored(
    posts: Sequence[str], texts: Sequence[str], rewards: NDArray[Any], held_out: NDArray[Any]
) -> dict[str, float]:
    """Return `MONITORS` of a batch of replies, but for the divergence.

    Args:
        posts: N posts.
        texts: A reply to each.
        rewards: (N,) of the reward that is learnt from, not enhanced.
        held_out: (N,) of a reward that is never learnt from.
    """
    copied = [is_copied(text, post) for text, post in zip(texts, posts, strict=True)]
    return {
        "reward": float(np.mean(rewards)),
        "held_out": float(np.mean(held_out)),
        "words": float(np.mean([len(words_of(text)) for text in texts])),
        "distinct": len({words_of(text) for text in texts}) / len(texts),
        "copied": float(np.mean(copied)),
    }
