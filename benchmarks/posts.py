"""The posts that the benchmarks are made of: generated English, no two alike.

The synthetic source writes about 29.5 tokens a post (MiniLM's tokenizer). Some texts here are two
of its utterances in a row; with the watched words of `benchmarks.catalogs` that makes 37.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from core.codec import encode
from core.schemas import Post
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.conversation import Conversation

TEXTS_MADE: Final = 20_000
"""Longer runs use these again with a number of their own, so no two posts have the same text."""
JOINED_SHARE: Final = 0.18
AUTHORS: Final = 5_000
_PLAIN: Final = (
    "repost_share", "near_duplicate_share", "late_share", "duplicate_share", "odd_share",
    "malformed_share", "edit_share", "delete_share", "like_share", "daily_cycle",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record of `posts`: its author as the key, and the encoded post."""

    key: bytes
    value: bytes


def texts(number: int, seed: int) -> Iterator[str]:
    """Yield `number` English texts of about 35 tokens on average, no two alike."""
    made = list(_joined(min(number, TEXTS_MADE), seed))
    yield from made
    for place in range(len(made), number):
        yield f"{made[place % len(made)]} {place}"


def _joined(number: int, seed: int) -> Iterator[str]:
    """Yield texts of one utterance or two in a row, each once."""
    said, rng = _utterances(seed), random.Random(seed)
    seen: set[str] = set()
    while len(seen) < number:
        text = next(said)
        if rng.random() < JOINED_SHARE:
            text = f"{text} {next(said)}"
        if text not in seen:
            seen.add(text)
            yield text


def _utterances(seed: int) -> Iterator[str]:
    plain: dict[str, Any] = dict.fromkeys(_PLAIN, 0.0)
    options = SyntheticOptions(
        seed=seed, posts_per_s=400.0, speed=0.0, languages={"en": 1.0}, authors=AUTHORS, **plain
    )
    for _, arrived in Conversation(options, datetime(2026, 3, 1, tzinfo=UTC)).ticks():
        for said in arrived:
            if isinstance(said.record, Post):
                yield said.record.text


def author_of(place: int) -> str:
    """Return the author of the post in this place: all in turn, neighbours far apart."""
    return f"author{place * 7919 % AUTHORS}"  # 7919 is prime to the number of authors


def posts(said: Iterable[str], start: datetime, spacing_s: float, prefix: str) -> Iterator[Keyed]:
    """Yield a post for each text, `spacing_s` of event time apart, by many authors.

    `prefix` begins the ids: runs with different ones never meet a copy.
    """
    for place, text in zip(count(), said):
        at = start + timedelta(seconds=place * spacing_s)
        author = author_of(place)
        post = Post(
            id=f"{prefix}-{place}",
            source="synthetic",
            author=author,
            claimed_at=at,
            ingested_at=at,
            text=text,
            lang="en",
        )
        yield Keyed(author.encode(), encode(post))
