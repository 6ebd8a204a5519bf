"""What Redis says of itself, and what the state below `{p}:` is made of; for the exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Redis at one moment; a cluster is the sum of its masters.

    Attributes:
        memory_bytes: The memory that it uses for data and overhead.
        memory_limit_bytes: The setting `maxmemory`, 0 if there is none.
        commands: The commands that were carried out since it was started.
        clients: The open connections.
        keys: The keys in database 0.
        evicted_keys: The keys thrown away for want of memory since it was started; with the policy
            that we ask for (noeviction) never any.
        log_ok: Whether it has an append-only file and its last write to it succeeded; all of them.
    """

    memory_bytes: int
    memory_limit_bytes: int
    commands: int
    clients: int
    keys: int
    evicted_keys: int
    log_ok: bool


def read_health(infos: Sequence[Mapping[str, Any]]) -> StoreHealth:
    """Return what matters of each master's `INFO`; fields that a server leaves out are zero."""

    def total(name: str) -> int:
        return sum(int(info.get(name, 0)) for info in infos)

    limits = [int(info.get("maxmemory", 0)) for info in infos]
    return StoreHealth(
        memory_bytes=total("used_memory"),
        # Without a limit of one of them there is none of all.
        memory_limit_bytes=sum(limits) if all(limits) else 0,
        commands=total("total_commands_processed"),
        clients=total("connected_clients"),
        keys=sum(int(info.get("db0", {}).get("keys", 0)) for info in infos),
        evicted_keys=total("evicted_keys"),
        log_ok=bool(infos) and all(map(_is_log_ok, infos)),
    )


def _is_log_ok(info: Mapping[str, Any]) -> bool:
    return bool(info.get("aof_enabled")) and info.get("aof_last_write_status") == "ok"
