"""Which terms came and went: log-odds with an informative Dirichlet prior.

Monroe, Colaresi & Quinn, "Fightin' Words" (2008): the log-odds of a term after and before, each
smoothed by its frequency in everything, over the standard error of their difference. Unlike a ratio
of frequencies it is not won by a term that was seen once, unlike a difference not by "the".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log, sqrt
from typing import Final

from core.schemas import Term

MIN_POSTS: Final = 3
"""A term that fewer posts have is nobody's business in an alert."""
_PRIOR: Final = 500.0


def term_counts(texts: Iterable[Iterable[str]]) -> Counter[str]:
    """Return in how many texts each term occurs; one text counts a term once.

    Example:
        >>> term_counts([["late", "late", "train"], ["train"]]) == {"train": 2, "late": 1}
        True
    """
    counts: Counter[str] = Counter()
    for terms in texts:
        counts.update(set(terms))
    return counts


def telling_terms(
    before: Mapping[str, int], after: Mapping[str, int], most: int = 10,
    background: Mapping[str, int] | None = None,
) -> list[Term]:  # fmt: skip
    """Return the terms that came (weight > 0) and went (< 0), by weight, largest first.

    Args:
        before: term -> posts with it before the change.
        after: the same since the change.
        most: so many terms at most.
        background: what the prior is made of; None means both sides together.

    Returns:
        Terms with a weight beyond 1.96 standard errors and at least `MIN_POSTS` posts.

    Example:
        >>> before = {"train": 100, "fine": 60, "late": 4}
        >>> after = {"train": 100, "fine": 20, "late": 50}
        >>> [term.term for term in telling_terms(before, after)]
        ['late', 'fine']
    """
    prior = Counter(before) + Counter(after) if background is None else Counter(background)
    total = sum(prior.values())
    n_before, n_after = sum(before.values()), sum(after.values())
    if not total or not n_before or not n_after:
        return []
    scored: list[Term] = []
    for term in sorted(before.keys() | after.keys()):
        ours, theirs = after.get(term, 0), before.get(term, 0)
        if max(ours, theirs) < MIN_POSTS:
            continue
        weight = max(prior.get(term, 0), 1) / total * _PRIOR
        rise = _log_odds(ours + weight, n_after + _PRIOR)
        rise -= _log_odds(theirs + weight, n_before + _PRIOR)
        error = sqrt(1 / (ours + weight) + 1 / (theirs + weight))
        if abs(rise / error) >= 1.96:
            scored.append(Term(term, round(rise / error, 2), theirs, ours))
    return sorted(scored, key=lambda one: (-abs(one.weight), one.term))[:most]


def _log_odds(count: float, total: float) -> float:
    return log(count) - log(max(total - count, 1e-9))
