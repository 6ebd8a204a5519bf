"""How the hash of a post's id is written in the store, and in which shard it is."""

from __future__ import annotations

from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS


def decimal(hashed: bytes) -> str:
    """Return an id hash as the signed decimal that a Redis set of integers packs."""
    return str(int.from_bytes(hashed, "big", signed=True))


def lookup(hashed: bytes, hours: tuple[int, ...]) -> tuple[str, int, tuple[int, ...]]:
    """Return what to ask the store about an id that was counted in one of `hours`, if at all."""
    return (decimal(hashed), seen_shard(hashed), hours)


def seen_shard(hashed: bytes) -> int:
    """Return the shard of an id among those of its hour."""
    return (hashed[2] << 8 | hashed[3]) % SEEN_SHARDS


def kept_shard(hashed: bytes) -> int:
    """Return the shard of a contribution; `apply.lua` computes the same to find it again."""
    return (hashed[0] << 8 | hashed[1]) % KEPT_SHARDS
