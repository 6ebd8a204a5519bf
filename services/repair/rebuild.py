"""From what is set aside and what the topics hold to the batch that adds just what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.clock import epoch_ms
from core.schemas import ScoredPost
from services.repair.history import History, contributions, start_s
from stream.store.ids import decimal, kept_shard, lookup
from stream.store.increments import DELETED, ApplyBatch, CountedPost
from stream.store.quarantine import EVERY, SetAside
from stream.topics import POSTS
from stream.windows.records import QueryIncrement
from stream.worker.steps.decode_posts import event_time, seen_hours


class NotRecoverable(Exception):
    """The topics do not hold what it takes; the message says what is missing."""


def wanted_by(entries: Iterable[SetAside]) -> Callable[[ScoredPost], bool]:
    """Return whether a post matters to any of the entries."""
    starts = {one.start_s for one in entries if one.start_s is not None}
    others = any(one.kind in ("kept", "seen") for one in entries)
    return lambda post: others or start_s(post) in starts


def batch_for(entry: SetAside, history: History, present: set[bytes]) -> ApplyBatch:
    """Return the batch that repairs an entry.

    Args:
        entry: What is set aside.
        history: What the topics hold.
        present: Ids whose contribution the store has, in any hour; needed for a shard of them.

    Raises:
        NotRecoverable: Nothing can be said of it for certain.
    """
    batch = ApplyBatch(POSTS, -1, -1, released=[(entry.field, entry.value)])
    if history.unreadable:
        raise NotRecoverable(f"{history.unreadable} records of scored-posts cannot be read")
    at_s = entry.start_s
    if at_s is not None and not history.reaches_back_to(at_s):
        raise NotRecoverable("scored-posts does not reach back to the pane any more")
    if at_s is not None:
        batch.panes = {at_s: _pane(entry, at_s, history)}
    elif entry.kind == "kept":
        _keep(entry, history, present, batch)
    elif entry.kind == "ahead":
        _say_again(entry, history, batch)
    elif entry.kind == "seen":
        _remember(entry, history, batch)
    else:
        raise NotRecoverable("it takes a rebuild of the whole partition")
    return batch


def _pane(entry: SetAside, at_s: int, history: History) -> list[QueryIncrement]:
    """Return the increments of what a pane held at the cursors of the entry."""
    posts = [(h, post) for h, post in history.counted(entry.posts) if start_s(post) == at_s]
    authors: dict[str, dict[str, None]] = {}
    for _, post in posts:
        for query in post.queries:
            authors.setdefault(query, {})[f"{post.source}:{post.author}"] = None
    sums: dict[str, tuple[list[int], dict[str, list[int]]]] = {}
    if entry.kind == "pane":
        standing = [(post, history.standing(h, post, entry.events)) for h, post in posts]
        for one in contributions([(post, said) for post, said in standing if said is not None]):
            for query in one.queries:
                counters, strata = sums.setdefault(query, ([0] * len(one.counters), {}))
                _add(counters, one.counters)
                _add(strata.setdefault(one.stratum, [0] * 4), one.counters[:4])
    queries = sums.keys() | authors.keys() if entry.query == EVERY else {entry.query}
    return [
        (query, *sums.get(query, ([0], {})), list(authors.get(query, ())))
        for query in sorted(queries)
    ]


def _add(into: list[int], values: list[int]) -> None:
    for place, value in enumerate(values):
        into[place] += value


def _keep(entry: SetAside, history: History, present: set[bytes], batch: ApplyBatch) -> None:
    """Put contributions back: of one post, or of a shard of an hour."""
    found: list[tuple[bytes, CountedPost]] = []
    for hashed, post in history.counted(entry.posts):
        if hashed in present or not _is_of(entry, hashed):
            continue
        said = history.standing(hashed, post, entry.events)
        if said is not None:
            found.append((hashed, contributions([(post, said)])[0]))
    for hashed, one in found:
        batch.kept.setdefault(kept_shard(hashed), []).extend((hashed, one.packed()))


def _is_of(entry: SetAside, hashed: bytes) -> bool:
    if len(entry.place) == 1:
        return entry.place[0] in (hashed.hex(), EVERY)
    return kept_shard(hashed) == int(entry.place[1])


def _say_again(entry: SetAside, history: History, batch: ApplyBatch) -> None:
    """Repeat what happened to posts, in order: whatever was done already changes nothing."""
    for hashed, events in history.events.items():
        if not _is_of(entry, hashed):
            continue
        for offset, event in events:
            if event.kind == "delete":
                batch.operations.append((hashed, DELETED))
            elif offset in history.edits:
                said = history.edits[offset]
                blob = contributions([(said, said)])[0]
                new = CountedPost(0, blob.stratum, blob.counters, blob.queries)
                batch.operations.append((hashed, new.packed()))


def _remember(entry: SetAside, history: History, batch: ApplyBatch) -> None:
    hour, shard = (int(part) for part in entry.place)
    for hashed, post in history.counted(entry.posts):
        ingested_ms = epoch_ms(post.ingested_at)
        claimed_ms = None if post.claimed_at is None else epoch_ms(post.claimed_at)
        event_ms, repair = event_time(claimed_ms, ingested_ms)
        hours = seen_hours(event_ms, ingested_ms, repair)
        if hours[-1] == hour and lookup(hashed, hours)[1] == shard:
            batch.seen.setdefault((hour, shard), []).append(decimal(hashed))
