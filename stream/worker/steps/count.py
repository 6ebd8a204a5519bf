"""The step `Count`: posts become increments of panes, remembered ids and contributions."""

from __future__ import annotations

from typing import Final

from stream import heartbeat
from stream.store.ids import decimal, kept_shard, seen_shard
from stream.store.increments import CountedPost
from stream.topics import POSTS
from stream.windows.increments import group_increments
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, ID_HASHES, INGESTED_MS, SEEN_HOURS
from stream.worker.steps.drop_unscored import SCORES
from stream.worker.steps.match import MATCHES, QUERIES, QUERY_NAMES
from stream.worker.steps.measure import COUNTERS, STRATA
from stream.worker.steps.place_in_time import HEARTBEATS, PANE_STARTS

COUNTED_MS: Final = Column[list[int]]("counted_ms", per_row=False)
"""The ingest times of what is counted, ms since 1970."""
UNRATED: Final = Column[int]("unrated", per_row=False)
"""How many of the posts the model abstained on."""


class Count(Step):
    """Fills the apply of a batch of posts."""

    needs = (
        DECODED, ID_HASHES, SEEN_HOURS, INGESTED_MS, PANE_STARTS, HEARTBEATS, SCORES, STRATA,
        COUNTERS, QUERY_NAMES, MATCHES, QUERIES,
    )  # fmt: skip
    adds = (COUNTED_MS, UNRATED)

    def run(self, batch: PostBatch) -> None:
        """Add panes, ids, contributions and totals to the apply."""
        apply, posts = batch.apply, batch[DECODED]
        beats = sum(has_pane is not None for has_pane in batch[HEARTBEATS])
        apply.totals["counted"] = len(posts) - beats
        apply.totals[heartbeat.TOTAL] = beats
        apply.totals[f"dead:{POSTS}"] = len(batch.dead)
        authors = [f"{post.source}:{post.author}" for post in posts]
        apply.panes = group_increments(
            batch[COUNTERS], batch[PANE_STARTS], batch[MATCHES], batch[QUERY_NAMES],
            batch[STRATA], authors,
        )  # fmt: skip
        self._remember(batch)
        batch[COUNTED_MS] = batch[INGESTED_MS]
        batch[UNRATED] = int((~batch[SCORES].rated).sum())

    def _remember(self, batch: PostBatch) -> None:
        """Put ids and contributions of the posts into the apply, grouped by their shards."""
        apply, hours = batch.apply, batch[SEEN_HOURS]
        starts, strata, queries = batch[PANE_STARTS], batch[STRATA], batch[QUERIES]
        counters: list[list[int]] = batch[COUNTERS].tolist()
        for row, hashed in enumerate(batch[ID_HASHES]):
            apply.seen.setdefault((hours[row][-1], seen_shard(hashed)), []).append(decimal(hashed))
            kept = CountedPost(starts[row], strata[row], counters[row], queries[row])
            apply.kept.setdefault(kept_shard(hashed), []).extend((hashed, kept.packed()))
