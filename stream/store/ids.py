"""How the hash of a post's id is written in the store, and in which shard it is."""

from __future__ import annotations

from hashlib import blake2b

from stream.store.keys import KEPT_SHARDS, SEEN_SHARDS


def id_hash(source: str, post_id: str) -> bytes:
    """Return eight bytes that stand for a post in the store.

    Two of a million posts share them with probability 3e-8 (birthday bound on 64 bits).

    Example:
        >>> len(id_hash("replay", "1"))
        8
    """
    return blake2b(f"{source}\0{post_id}".encode(), digest_size=8).digest()


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
