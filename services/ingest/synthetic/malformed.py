"""Messages that are no posts, and posts that need a repair: each with what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from core import codec, reasons
from core.clock import EPOCH
from core.schemas import Post
from services.ingest.synthetic.lexicons import Draw

TOO_LARGE_BYTES: Final = 1_200_000
"""Over `kafka.max_message_bytes` (1 MiB): ingest itself must refuse it."""
_TOO_DEEP: Final = 3_000


def _with(post: Post, **changes: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(post) | changes)


def _without(post: Post, field: str) -> bytes:
    tree = msgspec.to_builtins(post)
    del tree[field]
    return msgspec.json.encode(tree)


MALFORMED: Final[dict[str, tuple[str, Callable[[Post], bytes]]]] = {
    "cut_short": (reasons.NOT_JSON, lambda post: codec.encode(post)[:-9]),
    "no_bytes": (reasons.NOT_JSON, lambda post: b""),
    "raw_control_character": (
        reasons.NOT_JSON,
        lambda post: codec.encode(post).replace(b'"text":"', b'"text":"\x07'),
    ),
    "not_utf8": (
        reasons.NOT_UTF8,
        lambda post: codec.encode(post).replace(b'"text":"', b'"text":"\xff\xfe'),
    ),
    "list": (reasons.NOT_OBJECT, lambda post: b"[" + codec.encode(post) + b"]"),
    "null": (reasons.NOT_OBJECT, lambda post: b"null"),
    "number_as_text": (reasons.WRONG_TYPE, lambda post: _with(post, text=42)),
    "list_as_author": (reasons.WRONG_TYPE, lambda post: _with(post, author=[post.author])),
    "unknown_version": (reasons.UNKNOWN_VERSION, lambda post: _with(post, v=99)),
    "missing_author": (reasons.MISSING_FIELD, lambda post: _without(post, "author")),
    "missing_text": (reasons.MISSING_FIELD, lambda post: _without(post, "text")),
    "null_text": (reasons.NULL_FIELD, lambda post: _with(post, text=None)),
    "empty_id": (reasons.OUT_OF_RANGE, lambda post: _with(post, id="")),
    "long_author": (reasons.OUT_OF_RANGE, lambda post: _with(post, author="x" * 300)),
    "time_without_zone": (
        reasons.OUT_OF_RANGE,
        lambda post: _with(post, ingested_at="2026-01-01T00:00:00"),
    ),
    "no_time": (reasons.OUT_OF_RANGE, lambda post: _with(post, claimed_at="yesterday")),
    "deep_nesting": (
        reasons.TOO_DEEP,
        lambda post: codec.encode(post)[:-1]
        + b',"extra":' + b"[" * _TOO_DEEP + b"]" * _TOO_DEEP + b"}",
    ),
    "too_large": (reasons.TOO_LARGE, lambda post: _with(post, text="a" * TOO_LARGE_BYTES)),
}  # fmt: skip
"""Kind -> (the reason with which it must end in `dead-posts`, how it is made of a good post)."""

_KINDS: Final = tuple(kind for kind in MALFORMED if kind != "too_large")
_TOO_LARGE_SHARE: Final = 0.02
"""Of the malformed messages: each costs as much as four thousand posts."""

REPAIRED: Final[dict[str, Callable[[Post], Post]]] = {
    reasons.EMPTY_TEXT: lambda post: msgspec.structs.replace(post, text=""),
    reasons.CONTROL_CHARACTERS: lambda post: msgspec.structs.replace(
        post, text=f"{post.text[:10]}\u0000\u0007\u001b{post.text[10:]}"
    ),
    reasons.CLAMPED_FUTURE: lambda post: msgspec.structs.replace(
        post, claimed_at=post.ingested_at + timedelta(hours=2)
    ),
    reasons.CLAMPED_PAST: lambda post: msgspec.structs.replace(
        post, claimed_at=EPOCH + timedelta(seconds=post.ingested_at.second)
    ),
    reasons.NO_CLAIMED_TIME: lambda post: msgspec.structs.replace(post, claimed_at=None),
}
"""The repair with which a post must be accepted -> how it is made of a good post."""

_REPAIRS: Final = tuple(REPAIRED)


def break_post(post: Post, draw: Draw) -> tuple[str, bytes]:
    """Return the reason with which it must be refused, and a broken message."""
    kind = "too_large" if draw() < _TOO_LARGE_SHARE else _KINDS[int(draw() * len(_KINDS))]
    reason, make = MALFORMED[kind]
    return reason, make(post)


def damage_post(post: Post, draw: Draw) -> tuple[str, Post]:
    """Return the repair with which it must be accepted, and the damaged post."""
    repair = _REPAIRS[int(draw() * len(_REPAIRS))]
    return repair, REPAIRED[repair](post)
