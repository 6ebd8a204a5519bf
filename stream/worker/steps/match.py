"""The step `Match`: which queries each text matches, by the query file as it is now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from core.schemas import Attached
from stream import heartbeat
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, TEXTS
from stream.worker.steps.place_in_time import HEARTBEATS

QUERY_NAMES: Final = Column[tuple[str, ...]]("query_names", per_row=False)
"""The names of all queries, by index."""
QUERIES_DIGEST: Final = Column[str]("queries_digest", per_row=False)
"""Stands for the names of the queries and what they look for."""
MATCHES: Final = Column[list[tuple[int, ...]]]("matches")
"""The indices into `QUERY_NAMES` of the queries that a row matches, ascending."""
QUERIES: Final = Column[list[list[str]]]("queries")
"""The names of the queries that a row matches; equal lists are shared, not copied."""


class FindsQueries(Protocol):
    """Finds the queries that each post matches; `stream.queries.matcher` has the real one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the queries, `all` first."""
        ...

    @property
    def digest(self) -> str:
        """Stands for the names of the queries and what they look for."""
        ...

    def match_batch(
        self,
        texts: Sequence[str],
        authors: Sequence[str],
        langs: Sequence[str],
        sources: Sequence[str],
        attached: Sequence[Attached | None] | None = None,
    ) -> list[tuple[int, ...]]:
        """Return for each post the sorted indices of the queries it matches."""
        ...


class Match(Step):
    """Matches texts against the queries; heartbeats match a query of their own and no other."""

    needs = (DECODED, TEXTS)
    wants = (HEARTBEATS,)
    adds = (QUERY_NAMES, QUERIES_DIGEST, MATCHES, QUERIES)

    def __init__(self, matcher: Callable[[], FindsQueries]) -> None:
        """Remember where to ask.

        Args:
            matcher: Returns the matcher in use now; queries may be reloaded between batches.
        """
        self._matcher = matcher

    def run(self, batch: PostBatch) -> None:
        """Add what each row matches."""
        matcher, found = self._matcher(), batch[DECODED]
        names = matcher.names
        matches: list[tuple[int, ...]] = []
        if batch.size:
            matches = matcher.match_batch(
                batch[TEXTS],
                [one.author for one in found],
                [one.lang for one in found],
                [one.source for one in found],
                [one.attached for one in found],
            )
        beats = batch.get(HEARTBEATS)
        if beats is not None and any(has_pane is not None for has_pane in beats):
            matches, names = set_apart(matches, names, beats)
        batch[QUERY_NAMES], batch[MATCHES] = names, matches
        batch[QUERIES_DIGEST] = matcher.digest
        named: dict[tuple[int, ...], list[str]] = {}
        for match in matches:
            if match not in named:
                named[match] = [names[index] for index in match]
        batch[QUERIES] = [named[match] for match in matches]


def set_apart(
    matches: Sequence[tuple[int, ...]], names: Sequence[str], beats: Sequence[bool | None]
) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """Return matches and names in which heartbeats match their query alone, or without a pane none.

    Args:
        matches: (B,) indices into `names` for each post.
        names: The names of the queries that people watch.
        beats: (B,) as `PlaceInTime` adds them.

    Example:
        >>> set_apart([(0, 1), (0,)], ("all", "trains"), [None, True])
        ([(0, 1), (2,)], ('all', 'trains', 'heartbeat'))
    """
    apart: dict[bool, tuple[int, ...]] = {True: (len(names),), False: ()}
    kept = [
        match if has_pane is None else apart[has_pane]
        for match, has_pane in zip(matches, beats, strict=True)
    ]
    return kept, (*names, heartbeat.QUERY)
