"""Builders of valid records: a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.schemas import Post, PostEvent

NOON: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""The time around which built records happen."""


def make_post(number: int = 0, **changes: Any) -> Post:
    """Return a valid post published `number` seconds after `NOON`.

    Example:
        >>> make_post(3).id
        'p3'
    """
    at = changes.get("claimed_at") or NOON + timedelta(seconds=number)
    fields: dict[str, Any] = {
        "id": f"p{number}",
        "source": "synthetic",
        "author": f"a{number % 7}",
        "ingested_at": at + timedelta(seconds=1),
        "claimed_at": at,
        "text": f"the trains are late again, post {number}",
        "lang": "en",
    }
    return Post(**(fields | changes))


def make_event(kind: Any, number: int = 0, **changes: Any) -> PostEvent:
    """Return a valid event about the post that `make_post(number)` builds."""
    post = make_post(number)
    fields: dict[str, Any] = {
        "kind": kind,
        "post_id": post.id,
        "source": post.source,
        "author": post.author,
        "ingested_at": post.ingested_at + timedelta(seconds=5),
        "claimed_at": post.ingested_at + timedelta(seconds=4),
    }
    return PostEvent(**(fields | changes))
