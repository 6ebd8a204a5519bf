"""What posts of the past say of one query: matched by text, counted by scores they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.authors import author_hasher
from core.schemas import Post, PostEvent, ScoredPost
from core.settings import Secret
from core.text import clean_text
from services.backfill.topics import Scoring
from services.repair.history import History, contributions, start_s
from stream.queries import Query
from stream.queries.matcher import ALL, Matcher
from stream.store.backfill import PastPost
from stream.store.ids import id_hash


class PastMatcher:
    """Matches posts and edits as the worker does.

    Args:
        query: The query.
        author_key: `ingest.author_key`.
    """

    def __init__(self, query: Query, author_key: Secret) -> None:
        hasher = author_hasher(author_key) if author_key else None
        self._matcher = Matcher([query], hasher, plain_authors=True)
        self.name = query.name

    def matches(self, said: Sequence[Post | PostEvent]) -> list[bool]:
        """Return whether each matches."""
        found = self._matcher.match_batch(
            [clean_text(one.text or "")[0] for one in said],
            [one.author for one in said],
            [one.lang for one in said],
            [one.source for one in said],
            [one.attached for one in said],
        )
        return [len(one) > 1 for one in found]

    def of_another_meaning(
        self, scorings: Sequence[Scoring], posts: Mapping[int, Post], history: History
    ) -> int:
        """Return how many posts and edits were counted under the name and do not match.

        The expression was another one when they were counted. One that only left out what matches
        now is no harm: what it left out is the past that is to be added.

        Args:
            scorings: The scorings.
            posts: Offset in `posts` -> the post; one that is not there says nothing.
            history: What happened to the posts.
        """
        texts: list[Post | PostEvent] = []
        for one in scorings:
            if self.name in one.post.queries and one.source in posts:
                texts.append(posts[one.source])
            for offset, event in history.events.get(id_hash(one.post.source, one.post.id), ()):
                scored = history.edits.get(offset)
                if scored is not None and self.name in scored.queries:
                    texts.append(event)
        return self.matches(texts).count(False)

    def past_posts(
        self,
        scorings: Sequence[Scoring],
        posts: Mapping[int, Post],
        history: History,
        events_upto: int,
        begin_s: int,
    ) -> list[tuple[bytes, PastPost]]:
        """Return (id hash, what is to be added) of the posts that say something of the query.

        Args:
            scorings: The scorings.
            posts: Offset in `posts` -> the post; one that is not there says nothing.
            history: What happened to the posts.
            events_upto: Offset in `post-events` up to which it counts.
            begin_s: Panes that start before this are left out.
        """
        rows = self._rows(scorings, posts, history, begin_s)
        first = self.matches([post for _, post in rows])
        hashes = [id_hash(scored.source, scored.id) for scored, _ in rows]
        pairs = zip(hashes, rows, strict=True)
        last = [history.last_said(hashed, row[0], events_upto) for hashed, row in pairs]
        counts = self._counts(first, last)
        is_new = [self.name not in scored.queries for scored, _ in rows]
        wanted = [row for row, new in enumerate(is_new) if counts[row] or (first[row] and new)]
        standing = [(rows[row][0], found[0] if (found := last[row]) else rows[row][0])
                    for row in wanted]  # fmt: skip
        return [
            (
                hashes[row],
                PastPost(
                    one.start_s,
                    f"{rows[row][0].source}:{rows[row][0].author}" if first[row] else "",
                    counts[row],
                    one.stratum,
                    one.counters,
                ),
            )
            for row, one in zip(wanted, contributions(standing), strict=True)
        ]

    def _rows(
        self, scorings: Sequence[Scoring], posts: Mapping[int, Post], history: History, begin_s: int
    ) -> list[tuple[ScoredPost, Post]]:
        """Return the posts that were counted, and not under the name or not as they are now.

        An edit may overtake its post, and the query come up between them: then the post was scored
        with the query, and counted as the edit says, which was scored without it.
        """
        return [
            (one.post, posts[one.source])
            for one in scorings
            if one.source in posts
            and ALL in one.post.queries  # a heartbeat is in a query of its own
            and start_s(one.post) >= begin_s
            and (
                self.name not in one.post.queries
                or id_hash(one.post.source, one.post.id) in history.events
            )
        ]

    def _counts(
        self, first: Sequence[bool], last: Sequence[tuple[ScoredPost, PostEvent | None] | None]
    ) -> list[bool]:
        """Return whether each post is to be counted as it stands now.

        Args:
            first: Whether its first text matches.
            last: The scoring that stands and the edit that it is of; None for what was deleted.
        """
        edited = {row: edit for row, found in enumerate(last) if found and (edit := found[1])}
        of_edits = dict(zip(edited, self.matches(list(edited.values())), strict=True))
        # Of an edit that was counted under the name the worker knew the query.
        return [
            found is not None
            and self.name not in found[0].queries
            and of_edits.get(row, first[row])
            for row, found in enumerate(last)
        ]
