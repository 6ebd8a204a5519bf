"""What Redis says of itself, and what the state below `{p}:` is made of; for the exporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HORIZONS: Final[dict[str, tuple[str, str]]] = {
    "panes": ("zset", "starts"),
    "unpublished_panes": ("hash", "dirty"),
    "seen_hours": ("zset", "seen-hours"),
    "kept_hours": ("zset", "kept-hours"),
    "ahead": ("hash", "ahead"),
}
"""Horizon -> type and name of the key below a partition's prefix that has an entry for each."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Redis at one moment.

    Attributes:
        memory_bytes: The memory that it uses for data and overhead.
        memory_limit_bytes: The setting `maxmemory`, 0 if there is none.
        commands: The commands that were carried out since it was started.
        clients: The open connections.
        keys: The keys in database 0.
        evicted_keys: The keys thrown away for want of memory since it was started; with the policy
            that we ask for (noeviction) never any.
        log_ok: Whether it has an append-only file and its last write to it succeeded.
    """

    memory_bytes: int
    memory_limit_bytes: int
    commands: int
    clients: int
    keys: int
    evicted_keys: int
    log_ok: bool


def read_health(info: Mapping[str, Any]) -> StoreHealth:
    """Return what matters of Redis's `INFO`; fields that a server leaves out are zero."""
    database: Mapping[str, Any] = info.get("db0", {})
    return StoreHealth(
        memory_bytes=int(info.get("used_memory", 0)),
        memory_limit_bytes=int(info.get("maxmemory", 0)),
        commands=int(info.get("total_commands_processed", 0)),
        clients=int(info.get("connected_clients", 0)),
        keys=int(database.get("keys", 0)),
        evicted_keys=int(info.get("evicted_keys", 0)),
        log_ok=bool(info.get("aof_enabled")) and info.get("aof_last_write_status") == "ok",
    )
