"""The step `DecodeEvents`: bytes become events of posts; the edits among them are the rows."""

from __future__ import annotations

from typing import Final

from core.clock import Clock, epoch_ms
from core.codec import RecordDecoder
from core.schemas import PostEvent
from core.text import clean_text
from stream.store.ids import id_hash
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, ID_HASHES, OFFSETS, TEXTS, decoded

EVENTS: Final = Column[list[PostEvent]]("events", per_row=False)
"""All events, in the order of their offsets."""
EVENT_NUMBERS: Final = Column[list[int]]("event_numbers")
"""The index of each edit among the events."""


class DecodeEvents(Step):
    """Decodes the records of `post-events`; an event is not a post and moves no watermark."""

    adds = (EVENTS, EVENT_NUMBERS, DECODED, TEXTS, OFFSETS, ID_HASHES)

    def __init__(self, max_message_bytes: int, clock: Clock) -> None:
        self._decoder = RecordDecoder(PostEvent, max_message_bytes)
        self._clock = clock

    def run(self, batch: PostBatch) -> None:
        """Add the events, and the columns of the edits."""
        now_ms = epoch_ms(self._clock.now())
        events: list[PostEvent] = []
        edits: list[PostEvent] = []
        offsets: list[int] = []
        numbers: list[int] = []
        for record in batch.records:
            event = decoded(batch, record, self._decoder, now_ms)
            if event is None:
                continue
            if event.kind == "edit":
                edits.append(event)
                offsets.append(record.offset)
                numbers.append(len(events))
            events.append(event)
        batch[EVENTS], batch[EVENT_NUMBERS] = events, numbers
        batch[DECODED], batch[OFFSETS] = edits, offsets
        batch[TEXTS] = [clean_text(edit.text or "")[0] for edit in edits]
        batch[ID_HASHES] = [id_hash(edit.source, edit.post_id) for edit in edits]
