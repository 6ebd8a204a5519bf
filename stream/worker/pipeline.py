"""The steps between a run of records and one apply, as functions over whole batches.

Accept → drop copies and the too-late → match queries → score → count → `Outcome`. What the steps
need of the world (scores, ids seen) is passed in; what they want of it (produce, apply) is what
they return. The steps of `post-events` are in `stream.worker.event_steps`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core import reasons
from core.clock import from_epoch_ms
from core.codec import encode
from core.schemas import Attached, ScoredPost
from core.settings import WindowSettings
from stream import heartbeat
from stream.store.ids import decimal, kept_shard, lookup, seen_shard
from stream.store.increments import ApplyBatch, CountedPost
from stream.topics import POSTS
from stream.windows.increments import MicroScores, counter_matrix, group_increments, to_micro
from stream.windows.strata import LanguageFold, stratum
from stream.worker.intake import AcceptedPosts, DeadLetter
from stream.worker.scoring import Scored, Unscored


class Matcher(Protocol):
    """Finds the queries that each post matches; `stream.queries.matcher` is the real one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the queries, `all` first."""
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


@dataclass(slots=True)
class Outcome:
    """What a batch does to the world, in the order it is to be done: letters, scored posts, apply.

    Attributes:
        apply: the change of the partition's state.
        scored: (author key, encoded `ScoredPost`, offset) of each post.
        dead: what could not be used.
        repairs: repair code -> how often.
        counted: posts added to panes.
        heartbeats: heartbeats applied; they are not among the counted.
        unrated: posts on which the model abstained.
        model_version: what scored them; "" if nothing was scored.
        ingested_ms: ingest times of the posts added, for the latency until they are counted.
        deleted_ms: ingest times of deletions.
        kinds: kind of event -> how many.
    """

    apply: ApplyBatch
    scored: list[tuple[bytes, bytes, int]] = field(default_factory=list[tuple[bytes, bytes, int]])
    dead: list[DeadLetter] = field(default_factory=list[DeadLetter])
    repairs: Counter[str] = field(default_factory=Counter[str])
    counted: int = 0
    heartbeats: int = 0
    unrated: int = 0
    model_version: str = ""
    ingested_ms: list[int] = field(default_factory=list[int])
    deleted_ms: list[int] = field(default_factory=list[int])
    kinds: Counter[str] = field(default_factory=Counter[str])

    @property
    def is_only_heartbeats(self) -> bool:
        """Tell whether the batch says nothing about the partition's posts."""
        return self.heartbeats > 0 and not (self.counted or self.dead)


class Pipeline:
    """The steps, with the settings and the queries they need; no state between batches."""

    def __init__(self, windows: WindowSettings) -> None:
        self._pane_ms = windows.pane_s * 1000
        self._retention_ms = windows.retention_s * 1000
        self._lateness_ms = windows.allowed_lateness_s * 1000
        self.fold = LanguageFold(windows.strata_languages)

    def pane_start_s(self, event_ms: int) -> int:
        """Return the start (s) of the pane `[start, start + pane_s)` that holds `event_ms`."""
        return event_ms // self._pane_ms * self._pane_ms // 1000

    def lookups(self, run: AcceptedPosts) -> list[tuple[str, int, tuple[int, ...]]]:
        """Return what to ask the store about ids already counted."""
        return [
            lookup(hashed, hours)
            for hashed, hours in zip(run.id_hashes, run.seen_hours, strict=True)
        ]

    def drop_unwanted(
        self,
        run: AcceptedPosts,
        seen: Sequence[bool],
        pending: set[bytes],
        watermark_ms: int,
    ) -> None:
        """Move copies and posts beyond retention from the accepted to the dead, in place.

        Args:
            run: the accepted posts.
            seen: whether the store has counted each.
            pending: id hashes of posts in flight; those that stay are added to it.
            watermark_ms: watermark of the partition before this run, -1 if it has none.
        """
        kept: list[int] = []
        # Judged by the posts before it, not by where its batch began: a replay in other batches
        # must drop the same posts.
        newest_ms = watermark_ms
        for row, hashed in enumerate(run.id_hashes):
            if seen[row] or hashed in pending:
                run.dead.append(
                    DeadLetter(run.offsets[row], reasons.DUPLICATE, "counted before", b"")
                )
            elif self._is_too_late(run.event_ms[row], newest_ms):
                run.dead.append(
                    DeadLetter(
                        run.offsets[row],
                        reasons.DROPPED_LATE,
                        f"event time {from_epoch_ms(run.event_ms[row]).isoformat()} is beyond "
                        f"retention of watermark {from_epoch_ms(newest_ms).isoformat()}",
                        encode(run.posts[row]),
                    )
                )
            else:
                pending.add(hashed)
                kept.append(row)
                if run.posts[row].source != heartbeat.SOURCE:
                    reached_ms = min(run.event_ms[row], run.ingested_ms[row])
                    newest_ms = max(newest_ms, reached_ms - self._lateness_ms)
        run.keep(kept)

    def _is_too_late(self, event_ms: int, watermark_ms: int) -> bool:
        if watermark_ms < 0:
            return False
        end_ms = (event_ms // self._pane_ms + 1) * self._pane_ms
        return end_ms + self._retention_ms <= watermark_ms

    def posts_outcome(
        self,
        run: AcceptedPosts,
        matches: Sequence[tuple[int, ...]],
        names: Sequence[str],
        scored: Scored,
        apply: ApplyBatch,
    ) -> Outcome:
        """Return what a run of posts does; fills `apply` with panes, ids and contributions."""
        if scored.unscored:
            matches = _without_unscored(run, matches, scored.unscored)
        beats = heartbeat.count(run.posts)
        outcome = Outcome(
            apply,
            dead=run.dead,
            repairs=run.repairs,
            counted=len(run.posts) - beats,
            heartbeats=beats,
        )
        apply.totals["counted"] = outcome.counted
        apply.totals[heartbeat.TOTAL] = beats
        apply.totals[f"dead:{POSTS}"] = len(run.dead)
        if scored.scores is None or not run.posts:
            return outcome
        scores = to_micro(scored.scores)
        starts = [self.pane_start_s(event_ms) for event_ms in run.event_ms]
        strata = [
            stratum(post.source, self.fold(post.lang), topic)
            for post, topic in zip(run.posts, scores.topics, strict=True)
        ]
        matrix = counter_matrix(scores, [post.near_duplicate for post in run.posts])
        authors = [f"{post.source}:{post.author}" for post in run.posts]
        apply.panes = group_increments(matrix, starts, matches, names, strata, authors)
        query_names = _query_names(matches, names)
        self._remember(run, starts, strata, matrix.tolist(), query_names, apply)
        outcome.scored = _scored_posts(run, scores, starts, strata, query_names)
        outcome.unrated = int((~scores.rated).sum())
        outcome.model_version = scores.model_version
        outcome.ingested_ms = run.ingested_ms
        return outcome

    def _remember(
        self,
        run: AcceptedPosts,
        starts: Sequence[int],
        strata: Sequence[str],
        counters: Sequence[list[int]],
        query_names: Sequence[list[str]],
        apply: ApplyBatch,
    ) -> None:
        """Put ids and contributions of the posts into `apply`, grouped by their shards."""
        for row, hashed in enumerate(run.id_hashes):
            hour = run.seen_hours[row][-1]
            apply.seen.setdefault((hour, seen_shard(hashed)), []).append(decimal(hashed))
            kept = CountedPost(starts[row], strata[row], counters[row], query_names[row])
            apply.kept.setdefault(kept_shard(hashed), []).extend((hashed, kept.packed()))


def _without_unscored(
    run: AcceptedPosts, matches: Sequence[tuple[int, ...]], unscored: Mapping[int, Unscored]
) -> list[tuple[int, ...]]:
    """Move posts without scores to the dead; return the matches of those that stay."""
    for row, (reason, detail) in unscored.items():
        run.dead.append(DeadLetter(run.offsets[row], reason, detail, encode(run.posts[row])))
    kept = [row for row in range(len(run.posts)) if row not in unscored]
    run.keep(kept)
    return [matches[row] for row in kept]


def _query_names(matches: Sequence[tuple[int, ...]], names: Sequence[str]) -> list[list[str]]:
    """Return the names of the queries each post matches; equal lists are shared, not copied."""
    known: dict[tuple[int, ...], list[str]] = {}
    for match in matches:
        if match not in known:
            known[match] = [names[index] for index in match]
    return [known[match] for match in matches]


def _scored_posts(
    run: AcceptedPosts,
    scores: MicroScores,
    starts: Sequence[int],
    strata: Sequence[str],
    query_names: Sequence[list[str]],
) -> list[tuple[bytes, bytes, int]]:
    """Return (key, encoded record, source offset) of each scored post."""
    columns = {head: values.tolist() for head, values in scores.heads.items()}
    rated = scores.rated.tolist()
    pane_starts = {start: from_epoch_ms(start * 1000) for start in set(starts)}
    encoded: list[tuple[bytes, bytes, int]] = []
    for row, post in enumerate(run.posts):
        record = ScoredPost(
            id=post.id,
            source=post.source,
            author=post.author,
            event_at=run.event_at(row),
            claimed_at=post.claimed_at,
            ingested_at=post.ingested_at,
            model_version=scores.model_version,
            rated=rated[row],
            scores={head: values[row] for head, values in columns.items()},
            queries=query_names[row],
            pane_start=pane_starts[starts[row]],
            stratum=strata[row],
            lang=post.lang,
            near_duplicate=post.near_duplicate,
        )
        encoded.append((post.author.encode(), encode(record), run.offsets[row]))
    return encoded
