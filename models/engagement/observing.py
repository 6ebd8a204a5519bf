"""What is seen of posts and authors, in order of time, before any model is asked.

Features of a post need the outcomes that were known when it came, and these need counts alone, no
forecast. So items are taken in two passes: this one keeps counts and histories and notes what is
to be done with forecasts, as `Noted`; `models.engagement.forecasting` does it once the model has
answered. However long a batch is, no post waits for the answer for another one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.forecast_settings import ForecastSettings
from models.engagement.authors import AuthorHistories
from models.engagement.features import AsOf, PostColumns, columns, features_of
from models.engagement.history import add_outcome, add_post
from models.engagement.items import CountsSeen, Item, PostGone, PostSeen
from models.engagement.layout import (
    APPROXIMATE,
    HISTORY,
    NOT_SEEN,
    TARGETS,
    TOTALS,
    UNKNOWN,
    from_log16,
    log16,
)
from models.engagement.noted import Noted, What
from models.engagement.pending import PendingPost, PendingPosts
from models.engagement.sources import Numbers

MICRO: Final = 1e6
_MOST_TIME: Final = 2**32 - 1
_LOOK_STEP: Final = math.log(1.1)
"""A post is looked at again when a count has grown by a tenth."""


@dataclass(slots=True)
class _Asked:
    """The posts of a batch about which a model is asked, row by row."""

    posts: list[int]
    histories: list[bytes]
    levels: list[list[int]]


class Observer:
    """Histories, pending posts, and what is usual in each source.

    Args:
        settings: The settings of the forecaster.
        numbers: The numbers of sources and queries.
        counts: Takes what is dropped, by name.
        most_due: How many pending posts that are due are taken in at once; what is later waits
            for the next call. None for all.

    Attributes:
        clock_s: The latest time seen.
        divisor: One author in so many times `track_one_in` is tracked.
    """

    def __init__(
        self,
        settings: ForecastSettings,
        numbers: Numbers,
        counts: Counter[str],
        most_due: int | None = None,
    ) -> None:
        self.clock_s = 0.0
        self.divisor = 1
        self.ages_s = [age for age in sorted(set(settings.ages_s)) if age < settings.horizon_s]
        self.ages_s.append(settings.horizon_s)
        self.authors = AuthorHistories(settings.max_authors)
        self.pending = PendingPosts(self.ages_s)
        self._settings = settings
        self._numbers = numbers
        self._counts = counts
        self._most_due = most_due
        self._due = 0
        self._noted: list[Noted] = []
        self._asked = _Asked([], [], [])

    def take(self, items: Sequence[Item]) -> tuple[int, list[Noted], AsOf]:
        """Take items in their order, the first at least in part.

        Returns:
            How many were taken, what is to be done, and what a model is asked.
        """
        posts = [item for item in items if isinstance(item, PostSeen)]
        table = _table(posts)
        kinds = table.kinds().tolist()
        self._noted, self._asked, self._due = [], _Asked([], [], []), 0
        place = taken = 0
        for item in items:
            is_post = isinstance(item, PostSeen)
            if not 0 <= item.at_s <= _MOST_TIME:  # nor NaN
                self._counts["impossible_time"] += 1
            elif not self.advance(max(self.clock_s, item.at_s), with_now=is_post):
                break
            elif isinstance(item, PostSeen):
                self._see(item, place, kinds[place])
            else:
                self._see_event(item)
            place += is_post
            taken += 1
        return taken, self._noted, self._as_of(table)

    def tick(self, now_s: float) -> list[Noted]:
        """Let time pass, until now if not too much is due; return what is to be done."""
        self._noted, self._asked, self._due = [], _Asked([], [], []), 0
        self.advance(max(self.clock_s, now_s), with_now=True)
        return self._noted

    def advance(self, now_s: float, *, with_now: bool) -> bool:
        """Move the clock; take in what is due before, or until then.

        Returns:
            Whether the clock is there; it is not where too much was due for one time.
        """
        while (found := self.pending.pop_due(now_s, with_now=with_now)) is not None:
            due, key, post = found
            self.clock_s = max(self.clock_s, float(due))
            if post.stage == len(self.ages_s) - 1:
                self._settle(key, post)
            else:
                post.stage += 1
                self.pending.add(key, post)
                self._note(What.AGED, key, post)
            self._due += 1
            if self._due == self._most_due:
                return False
        self.clock_s = now_s
        before_s = now_s - self._settings.author_ttl_s
        self._counts["expired"] += self.authors.expire(before_s)
        return True

    def _see(self, item: PostSeen, place: int, kind: int) -> None:
        """Take in a post, if it is to be tracked."""
        author = item.key[:8]
        why = self._untracked(item, author)
        source = None if why else self._numbers.source(item.source)
        if source is None:
            self._counts[why or "unnumbered_source"] += 1
            return
        found = [self._numbers.query(name) for name in item.queries]
        queries = [query.number for query in found if query is not None]
        self._counts["unnumbered_query"] += len(found) - len(queries)
        post = PendingPost.new(item.at_s, kind, source.number, queries)
        if author not in self.authors:
            self._counts["forgotten"] += self.authors.add(author, item.at_s)
        history = self.authors.find(author)
        assert history is not None  # noqa: S101 it was added above
        self._asked.posts.append(place)
        self._asked.histories.append(history.tobytes())
        self._asked.levels.append(source.usual.medians())
        self._note(What.POSTED, item.key, post, item, row=len(self._asked.posts) - 1)
        add_post(history, item.at_s)
        self.pending.add(item.key, post)
        self._counts["tracked"] += 1

    def _untracked(self, item: PostSeen, author: bytes) -> str:
        """Return why a post is not tracked, "" if it is."""
        if self.pending.find(item.key) is not None:
            return "repeated"
        if item.at_s + self._settings.horizon_s <= self.clock_s:
            return "too_late"
        one_in = self._settings.track_one_in * self.divisor
        is_chosen = int.from_bytes(author, "little") % one_in == 0
        if not is_chosen and not item.queries and (self.divisor > 1 or author not in self.authors):
            return "not_sampled"
        return "untracked" if len(self.pending) >= self._settings.max_pending else ""

    def _see_event(self, item: CountsSeen | PostGone) -> None:
        """Take in what happened to a post."""
        if isinstance(item, CountsSeen) and item.single >= 0:
            source = self._numbers.sources.get(item.source)
            if source is not None:
                source.show_single(item.single, self.clock_s)
        post = self.pending.find(item.key)
        if post is None:
            self._counts["unknown_post"] += 1
        elif isinstance(item, PostGone):
            self.pending.remove(item.key)
            self._note(What.GONE, item.key, post)
            self._counts["gone"] += 1
        else:
            self._count(item, post)

    def _count(self, item: CountsSeen, post: PendingPost) -> None:
        """Take in counts of a pending post; have it looked at when they say something new."""
        before = post.seen
        if item.totals is not None:
            after = tuple(
                old if count is None else min(max(count, 0), NOT_SEEN - 1)
                for old, count in zip(before, item.totals, strict=True)
            )
            post.mark(TOTALS)
        elif post.has(TOTALS):
            self._counts["single_after_totals"] += 1
            return
        else:
            one_more = list(before)
            old = before[item.single]
            one_more[item.single] = 1 if old == NOT_SEEN else min(old + 1, NOT_SEEN - 1)
            after = tuple(one_more)
            post.mark(APPROXIMATE)
        if after == before:
            return
        post.seen = (after[0], after[1], after[2])
        self.pending.changed.add(item.key)
        least = self._settings.least_engagements
        if any(
            _look(new, least) != _look(old, least) for new, old in zip(after, before, strict=True)
        ):
            self._note(What.COUNTED, item.key, post, item)

    def _settle(self, key: bytes, post: PendingPost) -> None:
        """The horizon of a post is over: what is known of it now is its outcome."""
        self._note(What.SETTLED, key, post)
        self.pending.remove(key)
        self._counts["settled"] += 1
        self._counts["approximate"] += post.has(APPROXIMATE) and not post.has(TOTALS)
        seen = self._noted[-1].seen
        kept = [UNKNOWN if n is None else log16(math.log1p(n)) for n in seen]
        if all(count == UNKNOWN for count in kept):
            self._counts["no_outcome"] += 1
            return
        source = self._numbers.sources_by_number[post.source]
        source.usual.add(kept)
        source.is_changed = True
        history = self.authors.find(key[:8])
        if history is None:
            self._counts["outcome_without_author"] += 1
            return
        add_outcome(history, post.at, post.kind, np.array(kept, np.uint16))

    def _note(
        self, what: What, key: bytes, post: PendingPost, item: PostSeen | CountsSeen | None = None,
        row: int = -1,
    ) -> None:  # fmt: skip
        """Note what happened, with what is known of the post by now.

        A target of which nothing was seen has no count yet if its source shows single likes (or
        replies, or reposts) and no totals are known; otherwise nobody knows.
        """
        seen: tuple[int | None, ...] = post.seen
        if NOT_SEEN in seen:
            shown = self._numbers.sources_by_number[post.source].shows(
                self.clock_s - self._settings.horizon_s
            )
            is_counted = not post.has(TOTALS)
            seen = tuple(
                (0 if is_counted and shows else None) if count == NOT_SEEN else count
                for count, shows in zip(seen, shown, strict=True)
            )
        known = self.authors.known(key[:8])
        approximate = post.has(APPROXIMATE)
        self._noted.append(
            Noted(what, self.clock_s, key, post, item, row, seen, known, approximate)
        )

    def _as_of(self, table: PostColumns) -> AsOf:
        asked = self._asked
        rows = np.array(asked.posts, np.intp)
        histories = np.frombuffer(b"".join(asked.histories), HISTORY)
        levels = from_log16(np.array(asked.levels, np.uint16).reshape(-1, len(TARGETS)))
        return features_of(histories, table.select(rows), levels)


def _table(posts: Sequence[PostSeen]) -> PostColumns:
    return columns(
        [post.at_s for post in posts],
        [post.shape for post in posts],
        [post.heads for post in posts],
        [post.rated for post in posts],
        MICRO,
    )


def _look(count: int, least: int) -> int:
    """Return a number that changes when a count is worth another look."""
    if count == NOT_SEEN or count < least:
        return 0
    return 1 + int(math.log(count) / _LOOK_STEP)
