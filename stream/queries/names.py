"""Which queries are in use, as one short text."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from stream.windows.records import HEARTBEAT_QUERY


@lru_cache(maxsize=8)
def digest_of_names(names: tuple[str, ...]) -> str:
    """Return 16 hexadecimal digits that stand for the names of the queries in use.

    Args:
        names: As a matcher has them; the query of heartbeats is no matter.

    Example:
        >>> digest_of_names(("all", "a")) == digest_of_names(("all", "a", "heartbeat"))
        True
    """
    watched = [name for name in names if name != HEARTBEAT_QUERY]
    return hashlib.sha256(msgspec.json.encode(watched)).hexdigest()[:16]
