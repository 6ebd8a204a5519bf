"""What is told of forecasts: records, the top posts of queries, and what takes off.

The text of a post (id and author) is not kept for all that are pending: a record has 64 bytes, an
id alone often as many. It is kept of posts that a query watches, of those among the top posts and
of those that take off, about 110 bytes each. Of the others the first forecast is published, and
what came of them is in the quality of their source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.forecast_schemas import Expected, Forecast
from core.forecast_settings import ForecastSettings
from models.engagement.items import CountsSeen, PostSeen, Told
from models.engagement.layout import SURPRISING, TARGETS
from models.engagement.looks import CountsLook, looks_at, watched_of
from models.engagement.names import NamedPost, NamedPosts
from models.engagement.noted import Noted, What
from models.engagement.rarity import SAID
from models.engagement.shown import Shown, reach_of, record_of, top_post_of
from models.engagement.taking_off import Ended, TakingOff
from models.engagement.top import TopPost, TopPosts

ALL = "all"
"""The query that every post matches."""
_LATEST = 0.95
"""Nothing begins to take off later in its horizon."""
_NAMELESS = NamedPost("", "", "", is_watched=False)
"""Stands for a post whose text was kept and could not be read."""
_NOT_KNOWN = (float("nan"),) * len(TARGETS)


class Teller:
    """Tells of forecasts, in the order in which things happened.

    Args:
        settings: The settings of the forecaster.

    Attributes:
        names: The texts of the posts that are named.
        tops: Query -> its top posts.
        taking_off: Query -> what takes off.
        watching: The queries whose `taking_off` has changed.
        marked: The keys of pending posts of which a flag has changed.
    """

    def __init__(self, settings: ForecastSettings) -> None:
        self.names = NamedPosts()
        self.tops: dict[str, TopPosts] = {}
        self.taking_off: dict[str, TakingOff] = {}
        self.watching: set[str] = set()
        self.marked: set[bytes] = set()
        self._settings = settings

    def tell(self, shown: Sequence[Shown], told: Told) -> None:
        """Tell of all that was done in an epoch, or in a part of one."""
        new = {what.note.key for what in shown if what.note.what is What.POSTED}
        places = [place for place, what in enumerate(shown) if self._is_look(what, new)]
        looks = looks_at(shown, places)
        for place, what in enumerate(shown):
            match what.note.what:
                case What.POSTED:
                    self._posted(what, told)
                case What.COUNTED | What.AGED:
                    if place in looks:
                        self._looked(what, looks[place], told)
                case What.SETTLED:
                    self._ended(what, "settled", told)
                case What.GONE:
                    self._ended(what, "deleted", told)

    def _is_look(self, what: Shown, new: set[bytes]) -> bool:
        """Tell whether a post may be looked at: if it is named by then, or has many counts."""
        note = what.note
        if note.what is What.COUNTED:
            return True
        if note.what is not What.AGED or not what.is_counted:
            return False
        return note.key in self.names or note.key in new or self._is_enough(note)

    def _is_enough(self, note: Noted) -> bool:
        """Tell whether a post has enough engagements of one kind to take off."""
        least = self._settings.least_engagements
        return any(count is not None and count >= least for count in note.seen)

    def _posted(self, what: Shown, told: Told) -> None:
        note, item = what.note, what.note.item
        assert isinstance(item, PostSeen)  # noqa: S101 it is what was posted
        expected = what.expected(what.served.with_inner(what.inner))
        named = NamedPost(item.post_id, item.author, what.version, bool(note.post.queries))
        queries = _queries(what)
        for query in queries:
            self._watched(query).track(note.now_s)
        if len(queries) > 1:
            self.names.add(note.key, named)
        self._rank(what, named, expected, None)
        told.forecasts.append(self._record(what, named, expected))

    def _looked(self, what: Shown, look: CountsLook, told: Told) -> None:
        note, post = what.note, what.note.post
        is_open = what.is_judged and self._may_take_off(note)
        if is_open:
            self._keep_rarest(note, look)
        named = self.names.find(note.key)
        item = note.item
        if named is None and isinstance(item, CountsSeen):
            named = NamedPost(item.post_id, item.author, "", is_watched=False)
        if named is None:
            return
        if is_open or post.has(SURPRISING):
            watched = watched_of(what, named, look)
            events = [self._watched(query).look(watched, note.now_s) for query in _queries(what)]
            told.events.extend(event for event in events if event is not None)
            self._mark_firing(what, named)
        expected = what.expected(look.logs)
        self._rank(what, named, expected, look.least)
        if note.what is What.AGED and note.key in self.names:
            told.forecasts.append(self._record(what, named, expected, look.least))

    def _keep_rarest(self, note: Noted, look: CountsLook) -> None:
        """Keep on a post how rare it was at its rarest look: of a target, and of all together."""
        post = note.post
        reach = look.reach if self._is_enough(note) else 0
        if look.rarity > post.rarity or reach > post.reach:
            post.rarity = max(post.rarity, look.rarity)
            post.reach = max(post.reach, reach)
            self.marked.add(note.key)

    def _ended(self, what: Shown, ended_as: Ended, told: Told) -> None:
        note, post = what.note, what.note.post
        is_ordinary = what.is_counted and what.is_judged and post.rarity != SAID
        if ended_as == "settled" and is_ordinary:
            what.source.to_learn[post.rarity] += 1
            what.ordinary.learn(post.reach)
            what.source.is_changed = True
        named = self.names.find(note.key)
        logs = what.served.five()
        look = CountsLook(logs, _NOT_KNOWN, _NOT_KNOWN, math.nan, math.nan, 0.0)
        for query in _queries(what):
            self._top(query).remove(note.key)
            if not post.has(SURPRISING):
                continue
            watched = watched_of(what, named or _NAMELESS, look)
            event = self._watched(query).end(watched, note.now_s, ended_as)
            if event is not None and named is not None:
                told.events.append(event)
        if named is not None and ended_as == "settled":
            told.forecasts.append(self._record(what, named, what.expected(logs)))
        self.names.remove(note.key)

    def _may_take_off(self, note: Noted) -> bool:
        """Tell whether there is something left to take off to: its last counts are its outcome."""
        return note.age_s <= self._settings.horizon_s * _LATEST

    def _mark_firing(self, what: Shown, named: NamedPost) -> None:
        """Remember on a post whether it is taking off, and its name as long as it is."""
        key, post = what.note.key, what.note.post
        fires = any(self.taking_off[query].is_firing(key) for query in _queries(what))
        if fires != post.has(SURPRISING):
            post.mark(SURPRISING, fires)
            post.rarity = SAID
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

    def _rank(
        self, what: Shown, named: NamedPost, expected: Sequence[Expected], surprise: float | None
    ) -> None:
        """Give a post its place among the top posts of its queries."""
        note = what.note
        reach = reach_of(expected)
        post: TopPost | None = None
        for query in _queries(what):
            top = self._top(query)
            if not top.takes(note.key, reach):
                continue
            post = post or top_post_of(what, named, expected, surprise)
            last = top.offer(post)
            if query == ALL:
                if note.key in top:
                    self.names.add(note.key, named)
                if last is not None and last != note.key:
                    self._drop_name(last)

    def _record(
        self,
        what: Shown,
        named: NamedPost,
        expected: Sequence[Expected],
        surprise: float | None = None,
    ) -> Forecast:
        return record_of(what, named, expected, surprise, self._settings.horizon_s)

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


def _queries(what: Shown) -> list[str]:
    """Return the queries of a post, `all` first."""
    return [ALL, *what.queries]
