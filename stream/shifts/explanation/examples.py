"""Which posts to show for a shift: the most typical, the most seen, and one against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.schemas import ExamplePost


@dataclass(frozen=True, slots=True)
class ExampleCandidate:
    """A post since the change that could be shown.

    Attributes:
        post_id, source, author: whose post it is.
        terms: its terms, as `telling_terms` counts them.
        sentiment: in [-1, 1].
        reach: how many people are thought to see it.
        copies: how many posts say the same.
    """

    post_id: str
    source: str
    author: str
    terms: Sequence[str]
    sentiment: float
    reach: float = 0.0
    copies: int = 1


def choose_examples(
    posts: Iterable[ExampleCandidate], weights: Mapping[str, float], change: float, most: int = 5
) -> list[ExamplePost]:
    """Return posts to show, each author once, ordered by why they are shown.

    Args:
        posts: The candidates since the change, in any order.
        weights: term -> weight, of the terms that came and went.
        change: The change of the mean; its sign says which side is "against".
        most: So many posts at most, the most seen and the one against included.

    Returns:
        Most typical first: those with most of the telling terms that lean the way of the change;
        then the most seen, then the one that says the opposite most plainly.
    """
    ranked = sorted(posts, key=lambda post: (-_typical(post, weights, change), post.post_id))
    if not ranked or most <= 0:
        return []
    against = min(ranked, key=lambda post: (_lean(post, change), post.post_id))
    seen = max(ranked, key=lambda post: (post.reach, post.post_id))
    chosen: list[ExamplePost] = []
    authors: set[str] = set()

    def take(post: ExampleCandidate, why: str) -> None:
        if post.author not in authors and len(chosen) < most:
            authors.add(post.author)
            chosen.append(ExamplePost(post_id=post.post_id, source=post.source, why=why))  # pyright: ignore[reportArgumentType]

    shows_against = most > 1 and _lean(against, change) < 0
    last = {seen.post_id, against.post_id} if shows_against else {seen.post_id}
    room = max(1, most - len(last))
    for post in ranked:
        if len(chosen) < room and (post.post_id not in last or len(ranked) == 1):
            take(post, "typical")
    if seen.reach > 0:
        take(seen, "most-seen")
    if shows_against:
        take(against, "against")
    return chosen


def _lean(post: ExampleCandidate, change: float) -> float:
    return post.sentiment if change >= 0 else -post.sentiment


def _typical(post: ExampleCandidate, weights: Mapping[str, float], change: float) -> float:
    told = sum(max(0.0, weights.get(term, 0.0)) for term in set(post.terms))
    return told / (3 + len(set(post.terms))) + _lean(post, change)
