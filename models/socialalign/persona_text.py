"""A persona in a few words, for a generator; it quotes nobody and names no belief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from core.heads import HEADS
from models.popalm.folding import words_of
from models.socialalign.persona_history import RememberedPost

_MOSTLY: Final = 0.5
_TOPIC: Final = 0.2
_MOST_TOPICS: Final = 3
_SHORT_WORDS: Final = 12
_LONG_WORDS: Final = 40


def describe(means: Mapping[str, tuple[float, ...]], posts: Sequence[RememberedPost]) -> str:
    """Return topics, tone, feeling and length of posts in whole sentences; empty for none of them.

    Args:
        means: Head to the means of its classes.
        posts: The posts; the length is of those that still have a text.
    """
    said: list[str] = []
    shares = sorted(zip(means.get("topics", ()), HEADS["topics"], strict=False), reverse=True)
    if named := [_readable(label) for share, label in shares[:_MOST_TOPICS] if share >= _TOPIC]:
        said.append(f"Often writes about {', '.join(named)}.")
    if (tone := _mostly(means, "sentiment")) is not None:
        said.append(f"The tone is mostly {tone}.")
    if (feeling := _mostly(means, "emotion")) is not None:
        said.append(f"The feeling is mostly {feeling}.")
    if lengths := [len(words_of(post.text)) for post in posts if post.text]:
        usual = median(lengths)
        size = "short" if usual <= _SHORT_WORDS else "long" if usual >= _LONG_WORDS else "medium"
        said.append(f"Posts are {size}.")
    return " ".join(said)


def _mostly(means: Mapping[str, tuple[float, ...]], head: str) -> str | None:
    found = means.get(head, ())
    share, label = max(zip(found, HEADS[head], strict=False), default=(0.0, ""))
    return _readable(label) if share >= _MOSTLY else None


def _readable(label: str) -> str:
    return label.replace("_&_", " and ").replace("_", " ")
