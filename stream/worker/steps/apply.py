"""The step `Apply`: everything that a batch changes in the store, at once or not at all."""

from __future__ import annotations

from typing import Final

from stream.store.increments import Applied
from stream.worker.batch import Column, PostBatch
from stream.worker.ports import Store
from stream.worker.step import Step

APPLIED: Final = Column[Applied]("applied", per_row=False)
"""What the apply changed beyond adding."""


class Apply(Step):
    """Applies a batch behind the one before it, and moves the cursor of its partition."""

    adds = (APPLIED,)

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, batch: PostBatch) -> None:
        """Apply.

        Raises:
            CursorConflict: The stored cursor is another than the one that we know.
            IncrementRefused: The batch holds what is no integer; nothing was applied.
        """
        position, apply = batch.position, batch.apply
        apply.expected = position.cursor
        batch[APPLIED] = await self._store.apply(position.partition, apply)
        position.cursor = apply.new
