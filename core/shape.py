"""What a text looks like, as eight small integers: one code for training and for the stream."""

from __future__ import annotations

import re
from typing import Final

from core.post_schemas import Attached

SHAPE: Final = (
    "length", "links", "mentions", "hashtags", "media", "questions", "exclamations", "reply",
)  # fmt: skip
"""The names of the integers, in their order; `length` is in characters, `reply` is 0 or 1."""

MAX_COUNT: Final = 65_535
_LINK: Final = re.compile(r"https?://\S+")
_TWITTER_MEDIA: Final = re.compile(r"\bpic\.twitter\.com/\w+", re.ASCII)
_MENTION: Final = re.compile(r"(?<![\w/])@\w")
_HASHTAG: Final = re.compile(r"(?<![\w/&])[#＃]\w")


def shape_of(
    text: str, *, reply_to: str | None = None, attached: Attached | None = None
) -> tuple[int, ...]:
    """Return the shape of a post, each number at most `MAX_COUNT`.

    A reply is what names the post that it answers, and where the platform keeps no such name, as
    Twitter's archives do, what begins with the name of somebody.

    Example:
        >>> shape_of("@ann look: https://x.example/1 #news!")
        (37, 1, 1, 1, 0, 0, 1, 1)
    """
    more = attached or _NOTHING
    media = len(_TWITTER_MEDIA.findall(text)) + len(more.alts)
    is_reply = reply_to is not None or text.lstrip().startswith("@")
    counts = (
        len(text),
        len(_LINK.findall(text)) + len(more.links),
        len(_MENTION.findall(text)),
        len(_HASHTAG.findall(text)) + len(more.tags),
        media,
        text.count("?"),
        text.count("!"),
        int(is_reply),
    )
    return tuple(min(count, MAX_COUNT) for count in counts)


_NOTHING: Final = Attached()
