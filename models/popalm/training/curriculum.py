"""What PPO learns from, easy replies first: PopALM's curriculum, with its slips mended.

*Enhancement* adds to the learnt reward how much a reply overlaps the real ones: words of any
script, where the published library drops all but Latin letters. *Ranking* keeps the best part of a
batch. *Self-paced acceptance* keeps a reply when its reward above the baseline, times its
likelihood a token, is among the best of what was seen lately: a small share at the beginning, all
at the end. The published product of probabilities falls with length, its absolute value takes in
the worst, and its limit is gone after a third of the first pass.

Shapes: `N` replies of a batch.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
_WORD: Final = re.compile(
    # Scripts that write no space between words: each sign is a word.
    r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"
)
_REMEMBERED: Final = 512


@cache
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text, case folded, without punctuation.

    >>> words_of("Nice, 好的!")
    ('nice', '好', '的')
    """
    return tuple(_WORD.findall(text.casefold()))


def rouge_l(reply: str, reference: str) -> float:
    """Return F of ROUGE-L in 0..1: the longest common subsequence of words (Lin, 2004)."""
    words, others = words_of(reply), words_of(reference)
    if not words or not others:
        return 0.0
    lengths = [0] * (len(others) + 1)
    for word in words:
        before = 0
        for place, other in enumerate(others, 1):
            above = lengths[place]
            lengths[place] = before + 1 if word == other else max(above, lengths[place - 1])
            before = above
    return 2 * lengths[-1] / (len(words) + len(others))


def enhanced(rewards: Floats, texts: Sequence[str], real: Sequence[Sequence[str]]) -> Floats:
    """Return (N,) rewards with the overlap of each reply and the closest real one added."""
    pairs = zip(texts, real, strict=True)
    overlaps = [max(rouge_l(text, one) for one in replies) for text, replies in pairs]
    return rewards + np.asarray(overlaps)


def ranked(rewards: Floats, one_in: int) -> NDArray[np.intp]:
    """Return the rows of the best `N // one_in` rewards of a batch in their order; one at least."""
    kept = max(1, len(rewards) // one_in)
    return np.sort(np.argsort(-rewards, kind="stable")[:kept])


def pace_scores(rewards: Floats, baseline: float, log_probabilities: Floats) -> Floats:
    """Return (N,) how easy replies are: good, and likely.

    Args:
        rewards: (N,) rewards.
        baseline: What is neither good nor bad; a worse reply has a score below zero.
        log_probabilities: (N,) means over the tokens of each reply, whatever its length.
    """
    return (rewards - baseline) * np.exp(log_probabilities)


def accepted_share(progress: float, first: float) -> float:
    """Return the share that is accepted: from `first` at the beginning, linearly, to 1.

    Raises:
        ValueError: The progress is not in 0..1.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress {progress}: expected 0..1")
    return first + (1 - first) * progress


@dataclass(slots=True)
class SelfPacing:
    """Accepts replies by the quantile of their scores among those seen lately.

    Attributes:
        first: The share that is accepted at the beginning.
        seen: The latest scores.
    """

    first: float = 0.3
    seen: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def accept(self, scores: Floats, progress: float) -> NDArray[np.bool_]:
        """Tell (N,) which replies are learnt from now, and remember their scores."""
        self.seen.extend(scores.tolist())
        share = accepted_share(progress, self.first)
        return scores >= np.quantile(np.asarray(self.seen), 1 - share)


def choose(
    rewards: Floats, log_probabilities: Floats, pacing: SelfPacing, progress: float, one_in: int
) -> NDArray[np.intp]:
    """Return the rows of a batch that are learnt from: ranked, then accepted.

    Args:
        rewards: (N,) enhanced rewards.
        log_probabilities: (N,) means over the tokens of each reply.
        pacing: What was seen before.
        progress: The share of the training that is done.
        one_in: Ranking keeps one reply in so many.
    """
    scores = pace_scores(rewards, float(np.mean(rewards)), log_probabilities)
    rows = ranked(rewards, one_in)
    return rows[pacing.accept(scores[rows], progress)]
