"""How old the last counted heartbeat is, as the exporter says and the closer asks.

An id is remembered by the same step that adds its post to a pane, so the store is asked for the ids
that heartbeats have. Apart from the process that sends them, which needs all of ingest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.clock import Clock, epoch_ms
from core.errors import StateUnreadable
from core.metrics import Metrics
from stream import heartbeat
from stream.store.ids import lookup
from stream.store.redis_store import RedisStore

LOOK_BACK: Final = 720
"""Heartbeats asked for at most; at the default pace, those of an hour."""


class HeartbeatWatch:
    """Finds the last heartbeat counted in each partition; its age is right at every scrape.

    Args:
        metrics: The metrics of this process.
        clock: The present time.
        every_s: How often a heartbeat is sent, as the process that sends them has it.
    """

    def __init__(self, metrics: Metrics, clock: Clock, every_s: int) -> None:
        self._gauge = metrics.heartbeat_age_seconds
        self._clock = clock
        self._every_s = every_s
        self._last_s: dict[int, int] = {}

    async def look(self, store: RedisStore, partitions: Sequence[int]) -> None:
        """Ask the store; a partition in which none was ever found has no age.

        Raises:
            StoreUnavailable: Redis does not answer; the ages grow on.
        """
        newest_s = int(self._now_s()) // self._every_s * self._every_s
        for partition in partitions:
            known_s = self._last_s.get(partition, 0)
            oldest_s = max(known_s, newest_s - LOOK_BACK * self._every_s) + self._every_s
            asked = range(oldest_s, newest_s + 1, self._every_s)
            hashes = [heartbeat.hashed(heartbeat.post_id(partition, at_s)) for at_s in asked]
            try:
                counted = await store.seen(
                    partition,
                    [lookup(h, (at_s // 3600,)) for h, at_s in zip(hashes, asked, strict=True)],
                )
            except StateUnreadable:
                continue  # it waits for a repair: its age grows on
            seen = [at_s for at_s, flag in zip(asked, counted, strict=True) if flag]
            if seen:
                self._found(partition, seen[-1])

    def ages_s(self) -> dict[int, float]:
        """Return partition -> age of its last heartbeat; those that never had one are absent."""
        now_s = self._now_s()
        return {partition: max(0.0, now_s - at_s) for partition, at_s in self._last_s.items()}

    def _found(self, partition: int, at_s: int) -> None:
        is_new = partition not in self._last_s
        self._last_s[partition] = at_s
        if is_new:
            gauge = self._gauge.labels(partition=str(partition))
            gauge.set_function(lambda: max(0.0, self._now_s() - self._last_s[partition]))

    def _now_s(self) -> float:
        return epoch_ms(self._clock.now()) / 1000
