"""What is told of forecasts: records, the top posts of queries, and what takes off.

The text of a post (id and author) is not kept for all that are pending: a record has 64 bytes, an
id alone often as many. It is kept of posts that a query watches, of those among the top posts and
of those that take off, about 110 bytes each. Of the others the first forecast is published, and
what came of them is in the quality of their source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from core.forecast_schemas import NO_EXPECTATION, Expected, Forecast
from core.forecast_settings import ForecastSettings
from models.engagement.exposure import Exposed
from models.engagement.items import CountsSeen, PostSeen, Told
from models.engagement.layout import RARE, RARER, SURPRISING, TARGETS
from models.engagement.names import NamedPost, NamedPosts
from models.engagement.observing import Noted, What
from models.engagement.served import Served, as_expected
from models.engagement.sharpening import sharpen
from models.engagement.sources import Numbers, SourceState
from models.engagement.taking_off import Ended, TakingOff, WatchedPost
from models.engagement.top import TopPost, TopPosts

ALL = "all"
"""The query that every post matches."""
_RARE, _RARER = 0.01, 0.005
_NOT_KNOWN = (float("nan"),) * len(TARGETS)
_Logs = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that was done, of which something may be told.

    Attributes:
        note: What happened to which post.
        source: Of the post.
        served: What was served of the post.
        greyed: Whether the source was greyed by then.
        forecast_of: (3,) whether outcomes of the target were known in the source by then.
        inner: (3, 2) the inner widths of a new post.
        version: The model that answered for a new post.
    """

    note: Noted
    source: SourceState
    served: Served
    greyed: bool
    forecast_of: Sequence[bool]
    inner: _Logs = ()
    version: str = ""


class Publisher:
    """Tells of forecasts, in the order in which things happened.

    Args:
        settings: The settings of the forecaster.
        numbers: The sources and queries.

    Attributes:
        names: The texts of the posts that are named.
        tops: Query -> its top posts.
        taking_off: Query -> what takes off.
        watching: The queries whose `taking_off` has changed.
        marked: The keys of pending posts of which a flag has changed.
    """

    def __init__(self, settings: ForecastSettings, numbers: Numbers) -> None:
        self.names = NamedPosts()
        self.tops: dict[str, TopPosts] = {}
        self.taking_off: dict[str, TakingOff] = {}
        self.watching: set[str] = set()
        self.marked: set[bytes] = set()
        self._settings = settings
        self._numbers = numbers

    def publish(self, shown: Sequence[Shown], told: Told) -> None:
        """Tell of all that was done in an epoch, or in a part of one."""
        sharpened = self._sharpened(shown)
        for place, what in enumerate(shown):
            match what.note.what:
                case What.POSTED:
                    self._posted(what, told)
                case What.COUNTED | What.AGED:
                    if place in sharpened:
                        self._looked(what, *sharpened[place], told)
                case What.SETTLED:
                    self._ended(what, "settled", told)
                case What.GONE:
                    self._ended(what, "deleted", told)

    def _sharpened(self, shown: Sequence[Shown]) -> dict[int, tuple[_Logs, Sequence[float]]]:
        """Return place -> (3, 5) expected logs and (3,) surprises, where counts are looked at."""
        new = {what.note.key for what in shown if what.note.what is What.POSTED}
        places = [place for place, what in enumerate(shown) if self._is_look(what.note, new)]
        by_source: dict[int, list[int]] = {}
        for place in places:
            by_source.setdefault(shown[place].source.number, []).append(place)
        if not by_source:
            return {}
        ordered = [place for of_source in by_source.values() for place in of_source]
        exposed = [
            shown[of_source[0]].source.exposure.at(
                [_age_s(shown[place].note) for place in of_source]
            )
            for of_source in by_source.values()
        ]
        prior = np.array([shown[place].served.five() for place in ordered])
        seen = np.array([shown[place].note.seen for place in ordered], np.float64)
        found = sharpen(prior, seen, Exposed.joined(exposed))
        rows = zip(found.quantiles.tolist(), found.surprise.tolist(), strict=True)
        return dict(zip(ordered, rows, strict=True))

    def _is_look(self, note: Noted, new: set[bytes]) -> bool:
        """Tell whether a post may be looked at: if it is named by then, or has many counts."""
        if note.what is What.COUNTED:
            return True
        if note.what is not What.AGED or not _is_counted(note):
            return False
        most = max(count for count in note.seen if count is not None)
        named = note.key in self.names or note.key in new
        return named or most >= self._settings.least_engagements

    def _posted(self, what: Shown, told: Told) -> None:
        note, item = what.note, what.note.item
        assert isinstance(item, PostSeen)  # noqa: S101 it is what was posted
        logs = what.served.with_inner(what.inner)
        named = NamedPost(item.post_id, item.author, what.version, bool(note.post.queries))
        queries = self._queries(what)
        for query in queries:
            self._watched(query).track(note.now_s)
        if len(queries) > 1:
            self.names.add(note.key, named)
        self._rank(what, named, logs, None)
        told.forecasts.append(self._record(what, named, logs, None))

    def _looked(self, what: Shown, logs: _Logs, surprise: Sequence[float], told: Told) -> None:
        note, post = what.note, what.note.post
        least = min((value for value in surprise if not math.isnan(value)), default=None)
        for flag, below in ((RARE, _RARE), (RARER, _RARER)):
            if least is not None and least < below and not post.has(flag):
                post.mark(flag)
                self.marked.add(note.key)
        named = self.names.find(note.key)
        item = note.item
        if named is None and isinstance(item, CountsSeen):
            named = NamedPost(item.post_id, item.author, "", is_watched=False)
        if named is None:
            return
        watched = self._watched_post(what, named, logs, surprise)
        events = [self._watched(query).look(watched, note.now_s) for query in self._queries(what)]
        told.events.extend(event for event in events if event is not None)
        self._mark_firing(what, named)
        self._rank(what, named, logs, least)
        if note.what is What.AGED and note.key in self.names:
            told.forecasts.append(self._record(what, named, logs, least))

    def _ended(self, what: Shown, ended_as: Ended, told: Told) -> None:
        note, post = what.note, what.note.post
        if ended_as == "settled" and _is_counted(note):
            rarity = post.has(RARE) + post.has(RARER)
            what.source.to_learn[rarity] += 1
            what.source.is_changed = True
        named = self.names.find(note.key)
        if named is None:
            return
        logs = what.served.five()
        if post.has(SURPRISING):
            watched = self._watched_post(what, named, logs, _NOT_KNOWN)
            for query in self._queries(what):
                event = self._watched(query).end(watched, note.now_s, ended_as)
                if event is not None:
                    told.events.append(event)
        for query in self._queries(what):
            self._top(query).remove(note.key)
        if ended_as == "settled":
            told.forecasts.append(self._record(what, named, logs, None))
        self.names.remove(note.key)

    def _mark_firing(self, what: Shown, named: NamedPost) -> None:
        """Remember on a post whether it is taking off, and its name as long as it is."""
        key, post = what.note.key, what.note.post
        fires = any(self.taking_off[query].is_firing(key) for query in self._queries(what))
        if fires != post.has(SURPRISING):
            post.mark(SURPRISING, fires)
            self.marked.add(key)
        if fires:
            self.names.add(key, named)
        else:
            self._drop_name(key)

    def _drop_name(self, key: bytes) -> None:
        """Forget a name that nobody needs any more."""
        named = self.names.find(key)
        is_watched = named is not None and named.is_watched
        if not is_watched and not self._watched(ALL).is_firing(key) and key not in self._top(ALL):
            self.names.remove(key)

    def _rank(self, what: Shown, named: NamedPost, logs: _Logs, surprise: float | None) -> None:
        """Give a post its place among the top posts of its queries."""
        note = what.note
        expected = self._expected(what, logs)
        reach = round(sum(counts[2] for counts in expected if counts), 2)
        post: TopPost | None = None
        for query in self._queries(what):
            top = self._top(query)
            if not top.takes(note.key, reach):
                continue
            post = post or self._top_post(what, named, expected, reach, surprise)
            last = top.offer(post)
            if query == ALL:
                if note.key in top:
                    self.names.add(note.key, named)
                if last is not None and last != note.key:
                    self._drop_name(last)

    def _top_post(
        self,
        what: Shown,
        named: NamedPost,
        expected: Sequence[Expected],
        reach: float,
        surprise: float | None,
    ) -> TopPost:
        note, (likes, replies, reposts) = what.note, expected
        return TopPost(
            key=note.key,
            post_id=named.post_id,
            source=what.source.name,
            author=named.author,
            posted_at_s=note.post.at,
            reach=reach,
            likes=likes,
            replies=replies,
            reposts=reposts,
            normal=what.served.normal(note.post),
            seen=_three(note.seen),
            surprise=None if surprise is None else float(f"{surprise:.3g}"),
        )

    def _record(
        self, what: Shown, named: NamedPost, logs: _Logs, surprise: float | None
    ) -> Forecast:
        note, post = what.note, what.note.post
        likes, replies, reposts = self._expected(what, logs)
        seen_likes, seen_replies, seen_reposts = _three(note.seen)
        if note.what is What.POSTED:
            seen_likes = seen_replies = seen_reposts = None
        return Forecast(
            id=named.post_id,
            source=what.source.name,
            author=named.author,
            posted_at=datetime.fromtimestamp(post.at, UTC),
            made_at=datetime.fromtimestamp(note.now_s, UTC),
            horizon_s=self._settings.horizon_s,
            model_version=named.model_version,
            likes=likes,
            replies=replies,
            reposts=reposts,
            normal=what.served.normal(post),
            known=note.known,
            seen_likes=seen_likes,
            seen_replies=seen_replies,
            seen_reposts=seen_reposts,
            surprise=surprise,
            approximate=note.approximate,
            greyed=what.greyed,
            settled=note.what is What.SETTLED,
            queries=tuple(self._queries(what)[1:]),
        )

    def _watched_post(
        self, what: Shown, named: NamedPost, logs: _Logs, surprise: Sequence[float]
    ) -> WatchedPost:
        note = what.note
        return WatchedPost(
            key=note.key,
            post_id=named.post_id,
            source=what.source.name,
            author=named.author,
            posted_at_s=float(note.post.at),
            seen=note.seen,
            surprise=surprise,
            forecast=what.served.five(),
            expected=logs,
            normal=what.served.normal(note.post),
            approximate=note.approximate,
        )

    def _expected(self, what: Shown, logs: _Logs) -> list[Expected]:
        """Return the expected counts of each target, none of one that the source never has."""
        has = what.forecast_of if any(what.forecast_of) else (True,) * len(TARGETS)
        return [
            as_expected(of_target) if is_there else NO_EXPECTATION
            for of_target, is_there in zip(logs, has, strict=True)
        ]

    def _queries(self, what: Shown) -> list[str]:
        """Return the queries of a post, `all` first."""
        by_number = self._numbers.queries_by_number
        return [ALL, *(by_number[number].name for number in what.note.post.queries)]

    def _watched(self, query: str) -> TakingOff:
        self.watching.add(query)
        found = self.taking_off.get(query)
        if found is None:
            found = self.taking_off[query] = TakingOff(query, self._settings)
        return found

    def _top(self, query: str) -> TopPosts:
        found = self.tops.get(query)
        if found is None:
            found = self.tops[query] = TopPosts(self._settings.top_posts)
        return found


def _is_counted(note: Noted) -> bool:
    return any(count is not None for count in note.seen)


def _three(seen: Sequence[int | None]) -> tuple[int | None, int | None, int | None]:
    return seen[0], seen[1], seen[2]


def _age_s(note: Noted) -> float:
    return max(0.0, note.now_s - note.post.at)
