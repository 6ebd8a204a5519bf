"""The step `Render`: what goes to `scored-posts`, encoded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from core.clock import from_epoch_ms
from core.codec import encode
from core.schemas import Post, PostEvent, ScoredPost
from core.shape import shape_of
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, EVENT_MS, OFFSETS, SEEN_HOURS
from stream.worker.steps.drop_unscored import SCORES
from stream.worker.steps.match import QUERIES
from stream.worker.steps.measure import STRATA
from stream.worker.steps.place_in_time import PANE_STARTS

RENDERED: Final = Column[list[tuple[bytes, bytes, int]]]("rendered")
"""The author as a key, the encoded `ScoredPost`, and the offset of what it was made from."""


class Render(Step):
    """Encodes scored posts, and scored edits as such."""

    needs = (DECODED, OFFSETS, SCORES, STRATA, QUERIES)
    wants = (EVENT_MS, SEEN_HOURS, PANE_STARTS)
    adds = (RENDERED,)

    def run(self, batch: PostBatch) -> None:
        """Add the encoded records."""
        scores, strata, queries = batch[SCORES], batch[STRATA], batch[QUERIES]
        heads = {head: values.tolist() for head, values in scores.heads.items()}
        rated: list[bool] = scores.rated.tolist()
        starts = batch.get(PANE_STARTS) or ()
        panes = {start: from_epoch_ms(start * 1000) for start in set(starts)}
        rendered: list[tuple[bytes, bytes, int]] = []
        for row, (one, offset) in enumerate(zip(batch[DECODED], batch[OFFSETS], strict=True)):
            is_post = isinstance(one, Post)
            record = ScoredPost(
                id=one.id if is_post else one.post_id,
                source=one.source,
                author=one.author,
                event_at=_event_at(batch, row, one),
                claimed_at=one.claimed_at,
                ingested_at=one.ingested_at,
                model_version=scores.model_version,
                rated=rated[row],
                scores={head: values[row] for head, values in heads.items()},
                queries=queries[row],
                # An edit is counted where its post was, wherever that is.
                pane_start=panes[starts[row]] if is_post else None,
                stratum=strata[row],
                lang=one.lang,
                near_duplicate=is_post and one.near_duplicate,
                edit=not is_post,
                reply_to=one.reply_to if is_post else None,
                shape=_shape_of(one),
            )
            rendered.append((one.author.encode(), encode(record), offset))
        batch[RENDERED] = rendered


def _shape_of(one: Post | PostEvent) -> tuple[int, ...]:
    reply_to = one.reply_to if isinstance(one, Post) else None
    return shape_of(one.text or "", reply_to=reply_to, attached=one.attached)


def _event_at(batch: PostBatch, row: int, one: Post | PostEvent) -> datetime:
    """Return the event time; of a post the claimed one itself where it was not clamped."""
    claimed_at = one.claimed_at
    if not isinstance(one, Post):
        return claimed_at or one.ingested_at
    if claimed_at is not None and claimed_at.tzinfo is UTC and len(batch[SEEN_HOURS][row]) == 1:
        return claimed_at
    return from_epoch_ms(batch[EVENT_MS][row])
