"""The step `Deduplicate`: posts that were counted before, or come after their time, are dead.

Both are judged in one pass, post by post: whether a copy of a post that was too late is a copy or
too late as well must not depend on where batches are cut.
"""

from __future__ import annotations

from core import reasons
from core.clock import from_epoch_ms
from core.codec import encode
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.ids import lookup
from stream.worker.batch import Column, DeadRecord, PostBatch
from stream.worker.ports import Store
from stream.worker.step import Step
from stream.worker.steps.decode_posts import (
    DECODED,
    EVENT_MS,
    ID_HASHES,
    INGESTED_MS,
    OFFSETS,
    SEEN_HOURS,
)

ACCEPTED_IDS = Column[list[bytes]]("accepted_ids", per_row=False)
"""The id hashes that are in flight because of the batch."""


class Deduplicate(Step):
    """Drops copies, by what the store has counted and what is in flight, and what is too late."""

    needs = (DECODED, OFFSETS, ID_HASHES, EVENT_MS, INGESTED_MS, SEEN_HOURS)
    adds = (ACCEPTED_IDS,)
    drops = True

    def __init__(self, store: Store, windows: WindowSettings) -> None:
        self._store = store
        self._pane_ms = windows.pane_s * 1000
        self._retention_ms = windows.retention_s * 1000
        self._lateness_ms = windows.allowed_lateness_s * 1000

    async def run(self, batch: PostBatch) -> None:
        """Ask the store, then drop; changes nothing before the store has answered.

        Raises:
            CursorConflict: The batch was applied by another, or the store went back in time.
        """
        position, hashes = batch.position, batch[ID_HASHES]
        lookups = [
            lookup(hashed, hours) for hashed, hours in zip(hashes, batch[SEEN_HOURS], strict=True)
        ]
        # Before the store is asked: a batch in flight may be applied after the store has answered
        # and be gone from those in flight before the answer is read.
        in_flight = [hashed in position.ids_in_flight for hashed in hashes]
        # A worker that lost the partition without knowing may hold records that its successor has
        # counted, and a store that went back in time does not know what was. It is refused here:
        # its apply would be too, but only after posts had been called copies in dead records, or
        # copies scored as posts.
        counted = await self._store.seen(
            position.partition, lookups, batch.records[0].offset, position.cursor
        )
        batch.keep(self._wanted(batch, [a or b for a, b in zip(counted, in_flight, strict=True)]))
        batch[ACCEPTED_IDS] = list(batch[ID_HASHES])

    def release(self, batch: PostBatch) -> None:
        """Take the ids of a batch out of those in flight."""
        batch.position.ids_in_flight.difference_update(batch.get(ACCEPTED_IDS) or ())

    def _wanted(self, batch: PostBatch, seen: list[bool]) -> list[int]:
        """Return the rows that stay; their ids are in flight from now on."""
        kept: list[int] = []
        in_flight = batch.position.ids_in_flight
        # Judged by the posts before it, not by where its batch began: a replay in other batches
        # must drop the same posts.
        newest_ms = batch.position.watermark.value_ms
        posts, event_times, ingested = batch[DECODED], batch[EVENT_MS], batch[INGESTED_MS]
        for row, hashed in enumerate(batch[ID_HASHES]):
            if seen[row] or hashed in in_flight:
                dead = (reasons.DUPLICATE, "counted before", b"")
            elif self._is_too_late(event_times[row], newest_ms):
                detail = (
                    f"event time {from_epoch_ms(event_times[row]).isoformat()} is beyond "
                    f"retention of watermark {from_epoch_ms(newest_ms).isoformat()}"
                )
                dead = (reasons.DROPPED_LATE, detail, encode(posts[row]))
            else:
                in_flight.add(hashed)
                kept.append(row)
                if posts[row].source != heartbeat.SOURCE:
                    reached_ms = min(event_times[row], ingested[row])
                    newest_ms = max(newest_ms, reached_ms - self._lateness_ms)
                continue
            batch.dead.append(DeadRecord(batch[OFFSETS][row], *dead))
        return kept

    def _is_too_late(self, event_ms: int, watermark_ms: int) -> bool:
        if watermark_ms < 0:
            return False
        end_ms = (event_ms // self._pane_ms + 1) * self._pane_ms
        return end_ms + self._retention_ms <= watermark_ms
