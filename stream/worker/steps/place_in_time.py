"""The step `PlaceInTime`: posts move the watermark of their partition, and get a pane.

Heartbeats say nothing about event time. They fall into the pane where the stream is: which that is
depends on the records before them only, so a replay of the partition finds the same one, whatever
the batches.
"""

from __future__ import annotations

from typing import Final

from stream import heartbeat
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, EVENT_MS, INGESTED_MS

PANE_STARTS: Final = Column[list[int]]("pane_starts")
"""The start of the pane `[start, start + pane_s)` of the event time, s since 1970."""
HEARTBEATS: Final = Column[list[bool | None]]("heartbeats")
"""None for a post; for a heartbeat whether it has a pane: before the first post there is none."""


class PlaceInTime(Step):
    """Moves the watermark and gives every post its pane."""

    needs = (DECODED, EVENT_MS, INGESTED_MS)
    adds = (PANE_STARTS, HEARTBEATS)

    def __init__(self, pane_s: int) -> None:
        self._pane_ms = pane_s * 1000

    def run(self, batch: PostBatch) -> None:
        """Add the panes; the event time of a heartbeat becomes that of the stream."""
        watermark, event_times = batch.position.watermark, batch[EVENT_MS]
        ingested = batch[INGESTED_MS]
        beats: list[bool | None] = [None] * batch.size
        for row, post in enumerate(batch[DECODED]):
            if post.source != heartbeat.SOURCE:
                # A claim of the future (clamped to a minute ahead) is no sign that the present is
                # over.
                watermark.advance(min(event_times[row], ingested[row]))
                continue
            beats[row] = watermark.newest_ms >= 0
            if beats[row]:
                event_times[row] = watermark.newest_ms
        batch[HEARTBEATS] = beats
        pane_ms = self._pane_ms
        batch[PANE_STARTS] = [ms // pane_ms * pane_ms // 1000 for ms in event_times]
        batch.apply.watermark_ms = watermark.value_ms
