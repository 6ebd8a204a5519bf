"""What is remembered of one author, and which of it is about an event (BM25 and heads).

Source: Robertson and Zaragoza 2009, with the parameters of seed-systems, 4.2; the collection is
the author's own history. A post that says the event's words and one that is on its topics with
other words are both about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log, sqrt
from typing import Final

from msgspec import Struct

from core.heads import SPECS
from models.popalm.folding import words_of

PERSONAL_HEADS: Final = tuple(name for name, spec in SPECS.items() if not spec.least_posts)
"""Heads that may be known of one person: what is a matter of groups is not among them."""
Heads = Mapping[str, tuple[float, ...]]
"""Head to the probabilities of its classes, in the order of `core.heads`."""
_K1: Final = 1.5
_B: Final = 0.75
_SAME_TOPIC: Final = 1.0
"""What a post on exactly the event's topics is worth, beside the best match of words, 1."""


class RememberedPost(Struct, frozen=True, array_like=True):
    """A post of an author.

    Attributes:
        posted_at: When it was published, in seconds since 1970.
        post_id: Its id.
        thread: The id of the post that its thread begins with.
        text: Its text; empty where it was not kept for so long.
        heads: What the post encoder says of it, `PERSONAL_HEADS` alone.
    """

    posted_at: float
    post_id: str
    thread: str
    text: str
    heads: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Occasion:
    """What somebody may react to.

    Attributes:
        at: The time, in seconds since 1970, before which everything is read.
        thread: The id of the post that its thread begins with; posts in it are not history.
        text: Its text.
        heads: What the post encoder says of it.
    """

    at: float
    thread: str
    text: str
    heads: Heads


def check_post(post: RememberedPost) -> None:
    """Refuse a post that cannot be of a persona.

    Raises:
        ValueError: A time, text or probability is none, or a head is a matter of groups or not
            known.
    """
    if not isfinite(post.posted_at):
        raise ValueError(f"posted_at {post.posted_at}: expected seconds since 1970")
    if not post.post_id:
        raise ValueError("post_id is empty")
    try:
        f"{post.post_id}{post.thread}{post.text}".encode()
    except UnicodeEncodeError:
        raise ValueError("half a character in a text: nothing could be kept with it") from None
    for name, shares in post.heads.items():
        if name not in PERSONAL_HEADS:
            raise ValueError(f"head {name}: a persona has {', '.join(PERSONAL_HEADS)} alone")
        if len(shares) != len(SPECS[name].labels):
            raise ValueError(f"head {name}: {len(shares)} classes, not {len(SPECS[name].labels)}")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"head {name}: {shares} are no probabilities")


def relevant(
    posts: Sequence[RememberedPost], occasion: Occasion, most: int
) -> list[RememberedPost]:
    """Return the posts that have to do with an occasion, the closest first.

    Args:
        posts: The history, without the occasion's own thread; those without text are left out.
        occasion: What they may have to do with.
        most: The number of posts at most.
    """
    told = [post for post in posts if post.text]
    matches = _bm25([words_of(post.text) for post in told], words_of(occasion.text))
    best = max(matches, default=0.0) or 1.0
    scores = [
        match / best + _SAME_TOPIC * _likeness(post.heads, occasion.heads)
        for match, post in zip(matches, told, strict=True)
    ]
    ranked = sorted(
        (row for row, score in enumerate(scores) if score > 0),
        key=lambda row: (-scores[row], -told[row].posted_at, told[row].post_id),
    )
    return [told[row] for row in ranked[:most]]


def _bm25(documents: Sequence[Sequence[str]], query: Sequence[str]) -> list[float]:
    usual = sum(map(len, documents)) / len(documents) if documents else 0.0
    counted = [Counter(words) for words in documents]
    # In order, so that sums are the same in every process.
    wanted = list(dict.fromkeys(query))
    spread = {word: sum(word in counts for counts in counted) for word in wanted}
    found: list[float] = []
    for words, counts in zip(documents, counted, strict=True):
        length = _K1 * (1 - _B + _B * len(words) / usual) if usual else _K1
        found.append(
            sum(
                log((len(documents) - spread[word] + 0.5) / (spread[word] + 0.5) + 1)
                * counts[word] * (_K1 + 1) / (counts[word] + length)
                for word in wanted
            )
        )  # fmt: skip
    return found


def _likeness(one: Heads, other: Heads) -> float:
    """Return the cosine of two posts' topics; 0 where those of one are not known."""
    p, q = one.get("topics", ()), other.get("topics", ())
    length = sqrt(sum(a * a for a in p) * sum(b * b for b in q))
    return sum(a * b for a, b in zip(p, q, strict=False)) / length if length else 0.0


def head_means(posts: Sequence[RememberedPost], half_life_s: float) -> dict[str, tuple[float, ...]]:
    """Return decayed means of the classes by head.

    Args:
        posts: The posts, in an order that is theirs, so that sums are the same however they came.
        half_life_s: The age in seconds at which a post counts half.
    """
    latest: dict[str, float] = {}
    for post in posts:
        for name in post.heads:
            latest[name] = max(latest.get(name, post.posted_at), post.posted_at)
    sums: dict[str, list[float]] = {}
    weights: dict[str, float] = {}
    for post in posts:
        for name, shares in sorted(post.heads.items()):
            # Beside the head's latest post, so that not all weigh nothing when all are old.
            weight = 0.5 ** ((latest[name] - post.posted_at) / half_life_s)
            weights[name] = weights.get(name, 0.0) + weight
            before = sums.setdefault(name, [0.0] * len(shares))
            sums[name] = [old + weight * share for old, share in zip(before, shares, strict=True)]
    return {name: tuple(value / weights[name] for value in sums[name]) for name in sorted(sums)}
