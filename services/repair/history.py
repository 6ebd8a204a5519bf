"""What the topics hold of one partition: every scoring of its posts, and what happened to them.

`scored-posts` has the integers that were counted; scored again, one might be rounded differently.
It is written before the posts are counted, at least once: of several scorings of an offset the last
one stands. `post-events` has edits and deletions; what an edit says was scored, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from core.clock import epoch_ms
from core.codec import post_event_decoder, scored_post_decoder
from core.errors import DecodeError
from core.heads import HEADS
from core.schemas import PostEvent, ScoredPost
from services.kafka_client.messages import Record
from stream.store.ids import id_hash
from stream.store.increments import CountedPost
from stream.topics import POST_EVENTS, POSTS, SOURCE_TOPIC_HEADER, source_offset
from stream.windows.increments import MicroScores, counter_matrix

_HOUR = timedelta(hours=1)
MARGIN_S = 120
"""A post is written at the earliest so long before its event time ends up in a pane."""


@dataclass(slots=True)
class History:
    """One partition.

    Attributes:
        kept_horizon_s: Edits and deletions reach a post for so long.
        posts: Offset in `posts` -> the scoring that was counted.
        edits: Offset in `post-events` -> the scoring of an edit's text.
        events: Id hash -> (offset, event) of its edits and deletions, in order.
        begins_ms: When the oldest record of `scored-posts` was written, ms since 1970; -1 if the
            topic holds all that was ever written.
        unreadable: Records of `scored-posts` that are ours and cannot be read.
        uncertain: Edits and deletions of which nobody can say whether they still reached their
            post: they came about when it was forgotten.
    """

    kept_horizon_s: int
    posts: dict[int, ScoredPost] = field(default_factory=dict[int, ScoredPost])
    edits: dict[int, ScoredPost] = field(default_factory=dict[int, ScoredPost])
    events: dict[bytes, list[tuple[int, PostEvent]]] = field(
        default_factory=dict[bytes, list[tuple[int, PostEvent]]]
    )
    begins_ms: int = -1
    unreadable: int = 0
    uncertain: int = 0

    def read_scored(self, records: Iterable[Record], wanted: Callable[[ScoredPost], bool]) -> None:
        """Take the records of `scored-posts` in, of posts only those that are wanted."""
        for number, record in enumerate(records):
            if number == 0 and record.offset > 0:
                self.begins_ms = record.timestamp_ms
            headers = dict(record.headers)
            offset = source_offset(record.headers)
            if offset < 0:
                continue  # a stranger's: ours say where they come from
            try:
                post = scored_post_decoder.decode(record.value or b"")
            except DecodeError:
                self.unreadable += 1
                continue
            if headers.get(SOURCE_TOPIC_HEADER) == POST_EVENTS.encode():
                self.edits[offset] = post
            elif headers.get(SOURCE_TOPIC_HEADER) == POSTS.encode() and wanted(post):
                self.posts[offset] = post

    def read_events(self, records: Iterable[Record]) -> None:
        """Take the edits and deletions of `post-events` in."""
        for record in records:
            try:
                event = post_event_decoder.decode(record.value or b"")
            except DecodeError:
                continue  # a dead letter: it did nothing
            if event.kind in ("edit", "delete"):
                listed = self.events.setdefault(id_hash(event.source, event.post_id), [])
                listed.append((record.offset, event))

    def reaches_back_to(self, start_s: int) -> bool:
        """Tell whether every scoring of the pane that starts at `start_s` is still in the topic."""
        return self.begins_ms <= (start_s - MARGIN_S) * 1000

    def counted(self, upto: int) -> Iterator[tuple[bytes, ScoredPost]]:
        """Yield id hash and scoring of each post up to an offset, in order."""
        for offset in sorted(self.posts):
            if offset <= upto:
                post = self.posts[offset]
                yield id_hash(post.source, post.id), post

    def standing(self, hashed: bytes, post: ScoredPost, events_upto: int) -> ScoredPost | None:
        """Return what a post says after its edits up to an offset of `post-events`.

        Returns:
            The scoring that counts, or None if the post was deleted.
        """
        found = self.last_said(hashed, post, events_upto)
        return None if found is None else found[0]

    def last_said(
        self, hashed: bytes, post: ScoredPost, events_upto: int
    ) -> tuple[ScoredPost, PostEvent | None] | None:
        """Return the scoring that counts as `standing` does, and the edit that it is of, if any."""
        stands: tuple[ScoredPost, PostEvent | None] = post, None
        for offset, event in self.events.get(hashed, ()):
            if offset > events_upto or not self._reaches(event, post):
                continue
            if event.kind == "delete":
                return None
            if (edit := self.edits.get(offset)) is not None:
                stands = edit, event
        return stands

    def _reaches(self, event: PostEvent, post: ScoredPost) -> bool:
        late = event.ingested_at - post.event_at - timedelta(seconds=self.kept_horizon_s)
        if _HOUR < late <= 3 * _HOUR:
            self.uncertain += 1
        return late <= _HOUR


def start_s(post: ScoredPost) -> int:
    """Return the start of the pane of a scored post, seconds since 1970; -1 for an edit."""
    return -1 if post.pane_start is None else epoch_ms(post.pane_start) // 1000


def contributions(posts: Sequence[tuple[ScoredPost, ScoredPost]]) -> list[CountedPost]:
    """Return what posts add to their panes, computed as the worker computes it.

    Args:
        posts: (the post, what stands of it): an edit stays in the pane of its post.
    """
    found: list[CountedPost | None] = [None] * len(posts)
    rows_by_heads: dict[tuple[str, ...], list[int]] = {}
    for row, (_, stands) in enumerate(posts):
        heads = tuple(head for head in HEADS if head in stands.scores)
        rows_by_heads.setdefault(heads, []).append(row)
    for heads, rows in rows_by_heads.items():
        said = [posts[row][1] for row in rows]
        scores = MicroScores(
            "",
            np.array([one.rated for one in said], dtype=np.bool_),
            {head: np.array([one.scores[head] for one in said], dtype=np.int64) for head in heads},
            [],
        )
        matrix = counter_matrix(scores, [one.near_duplicate for one in said]).tolist()
        for row, one, counters in zip(rows, said, matrix, strict=True):
            found[row] = CountedPost(start_s(posts[row][0]), one.stratum, counters, one.queries)
    return [one for one in found if one is not None]
