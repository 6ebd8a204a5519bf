"""The step `Amend`: deletions and scored edits become operations of the store, in their order.

An edit is scored like a post and replaces what its post added. Other kinds of events are counted
and move the cursor.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from core.clock import epoch_ms
from stream.store.ids import id_hash
from stream.store.increments import DELETED, CountedPost
from stream.topics import POST_EVENTS
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_events import EVENT_NUMBERS, EVENTS
from stream.worker.steps.match import QUERIES
from stream.worker.steps.measure import COUNTERS, STRATA
from stream.worker.steps.score import SCORED

KINDS: Final = Column[Counter[str]]("kinds", per_row=False)
"""Kind of event -> how many."""
DELETED_MS: Final = Column[list[int]]("deleted_ms", per_row=False)
"""The ingest times of deletions, ms since 1970."""


class Amend(Step):
    """Fills the apply of a batch of post events."""

    needs = (EVENTS, EVENT_NUMBERS, SCORED, QUERIES, STRATA, COUNTERS)
    adds = (KINDS, DELETED_MS)

    def run(self, batch: PostBatch) -> None:
        """Add operations and totals to the apply."""
        apply, events = batch.apply, batch[EVENTS]
        # The store puts in the pane of the post itself: an edit does not move it.
        edits = {
            number: CountedPost(0, where, counters, queries).packed()
            for number, where, counters, queries in zip(
                batch[EVENT_NUMBERS], batch[STRATA], batch[COUNTERS].tolist(), batch[QUERIES],
                strict=True,
            )
        }  # fmt: skip
        deleted_ms: list[int] = []
        for number, event in enumerate(events):
            blob = edits.get(number)
            if event.kind == "delete":
                blob = DELETED
                deleted_ms.append(epoch_ms(event.ingested_at))
            if blob is not None:
                apply.operations.append((id_hash(event.source, event.post_id), blob))
        apply.told_ms = max((epoch_ms(event.ingested_at) for event in events), default=-1)
        apply.totals["events"] = len(events) - len(batch[SCORED].unscored)
        apply.totals[f"dead:{POST_EVENTS}"] = len(batch.dead)
        batch[KINDS] = Counter(event.kind for event in events)
        batch[DELETED_MS] = deleted_ms
