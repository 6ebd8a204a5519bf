"""Which posts are said to be taking off: rare enough under their forecast, and few enough.

A post is looked at each time its counts change. It takes off when its surprise, by one count or by
all together, is below the level of the settings and below what false-discovery control leaves, when
it has enough engagements, and when the hour's budget of its query is not spent. It ends when its
surprise was above ten times the level at two looks in a row, when its horizon is over, or when it
is deleted.

The control is LOND (Javanmard and Montanari 2015): a hypothesis is tested at q γ (D + 1), where D
counts discoveries and the γ sum to one over the hypotheses. Over an endless stream that leaves
nothing in the end, so both are of the last hour, as in FDR with a memory that decays (Ramdas and
others 2017): every tracked post is a hypothesis, tested by the least surprise of its life, which
`Exposure.learn_least` and `OrdinaryPosts` keep honest over repeated looks; γ is one over the posts
of an hour: of this one or the last, or of a busier one before, as its posts are still looked at. So
at most q (`forecasts.false_share`) of the events of an hour are false, and with none true one hour
in 1/q has a false one, however many posts are tracked.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np

from core.forecast_schemas import ForecastEvent
from core.forecast_settings import ForecastSettings
from models.engagement.layout import TARGETS, from_log16, to_log16
from models.engagement.watched_post import WatchedPost, as_counts, sentence

LAYOUT: Final = 1
HOUR_S: Final = 3_600
_FADING: Final = 0.8
_MAX_HOURS: Final = 100
_LEAST_KNOWN_S: Final = 60
_OVER_AFTER: Final = 2
_OVER_TIMES: Final = 10.0

_HEAD: Final = np.dtype(
    [
        ("layout", "u1"),
        ("hour", "<u4"),  # hours since 1970 of `posts`
        ("posts", "<u4"),
        ("usual", "<u4"),  # posts of the hour before, or of a busier one, a fifth less an hour
        ("since", "<u4"),  # s since 1970 from when on posts are counted; 0 is not yet
        ("fired", "<u2"),
        ("firing", "<u2"),
    ]
)
_FIRING: Final = np.dtype(
    [
        ("key", "u1", (12,)),
        ("target", "u1"),
        ("above", "u1"),  # looks in a row above the level that ends it
        ("began", "<u4"),  # s since 1970
        ("expected", "<u2", (5,)),  # logs, when it began
    ]
)
Ended = Literal["over", "settled", "deleted"]


class TakingOff:
    """The posts of one query that are taking off, and its budget; bounded, deterministic.

    Args:
        query: The query, or `all`.
        settings: Level, share of false events, least engagements, budget and horizon.

    Attributes:
        held_back: Looks at which a post was rare enough and the budget of the hour was spent.
    """

    def __init__(self, query: str, settings: ForecastSettings) -> None:
        self.held_back = 0
        self._query, self._settings = query, settings
        self._hour = self._posts = self._usual = self._since = 0
        self._fired: list[int] = []
        self._firing: dict[bytes, Any] = {}

    @classmethod
    def from_blob(cls, blob: bytes, query: str, settings: ForecastSettings) -> TakingOff:
        """Return what was kept.

        Raises:
            ValueError: It is of another layout, or of another size than it says.
        """
        if len(blob) < _HEAD.itemsize or blob[0] != LAYOUT:
            raise ValueError("a record of what is taking off has another layout")
        head = np.frombuffer(blob[: _HEAD.itemsize], _HEAD)[0]
        fired, firing = int(head["fired"]), int(head["firing"])
        size = _HEAD.itemsize + 4 * fired + _FIRING.itemsize * firing
        if len(blob) != size:
            raise ValueError(f"a record of what is taking off has {len(blob)} bytes, not {size}")
        found = cls(query, settings)
        found._hour, found._posts = int(head["hour"]), int(head["posts"])
        found._usual, found._since = int(head["usual"]), int(head["since"])
        found._fired = np.frombuffer(blob, "<u4", fired, _HEAD.itemsize).tolist()
        rows = np.frombuffer(bytearray(blob[_HEAD.itemsize + 4 * fired :]), _FIRING)
        if (rows["target"] >= len(TARGETS)).any():
            raise ValueError("a record of what is taking off names a target that there is not")
        found._firing = {row["key"].tobytes(): row for row in rows}
        return found

    def to_blob(self) -> bytes:
        """Return it as bytes: 21, 4 for each event of the hour and 28 for each that is firing."""
        head = np.zeros(1, _HEAD)
        head[0] = (
            LAYOUT, self._hour, self._posts, self._usual, self._since,
            len(self._fired), len(self._firing),
        )  # fmt: skip
        fired = np.array(self._fired, "<u4").tobytes()
        return head.tobytes() + fired + b"".join(row.tobytes() for row in self._firing.values())

    def is_firing(self, key: bytes) -> bool:
        """Tell whether a post is said to be taking off."""
        return key in self._firing

    @property
    def firing(self) -> int:
        """How many posts are said to be taking off now."""
        return len(self._firing)

    def said(self, now_s: float) -> int:
        """Return how many posts were said to be taking off in the hour before now."""
        return sum(at_s > now_s - HOUR_S for at_s in self._fired)

    def track(self, at_s: float, posts: int = 1) -> None:
        """Count posts of the query that are tracked from now on.

        Args:
            at_s: The event time, in seconds since 1970.
            posts: How many.
        """
        self._move(at_s)
        self._since = self._since or max(1, int(at_s))
        self._posts = min(self._posts + posts, 2**32 - 1)

    def level(self, at_s: float) -> float:
        """Return the surprise below which a post takes off now."""
        self._move(at_s)
        posts = float(self._posts)
        if not self._usual:  # the first hour: as many as there would be at the rate so far
            posts *= HOUR_S / min(HOUR_S, max(_LEAST_KNOWN_S, at_s - self._since))
        share = self._settings.false_share
        allowed = share * (len(self._fired) + 1) / max(1, posts, self._usual)
        return min(self._settings.surprise, allowed)

    def look(self, post: WatchedPost, at_s: float) -> ForecastEvent | None:
        """Look at a post; return the event that begins or ends by it.

        Args:
            post: The post as it is now.
            at_s: The event time, in seconds since 1970.
        """
        row = self._firing.get(post.key)
        if row is not None:
            return self._look_again(row, post, at_s)
        enough = self._enough(post)
        if not enough or not post.least(enough) < self.level(at_s):
            return None
        if len(self._fired) >= self._settings.events_per_hour:
            self.held_back += 1
            return None
        target = min(enough, key=lambda target: post.surprise[target])
        row = np.zeros(1, _FIRING)[0]
        row["key"] = np.frombuffer(post.key, np.uint8)
        row["target"], row["began"] = target, max(0, int(at_s))
        row["expected"] = to_log16(post.expected[target])
        self._firing[post.key] = row
        self._fired.append(max(0, int(at_s)))
        return self._event(row, post, at_s, "")

    def end(self, post: WatchedPost, at_s: float, ended_as: Ended) -> ForecastEvent | None:
        """Return the end of a post's event, None if it has none; to be called when it is settled.

        Args:
            post: The post as it is now.
            at_s: The event time, in seconds since 1970.
            ended_as: Why.
        """
        row = self._firing.pop(post.key, None)
        return None if row is None else self._event(row, post, at_s, ended_as)

    def _look_again(self, row: Any, post: WatchedPost, at_s: float) -> ForecastEvent | None:
        if not post.least() > min(1.0, _OVER_TIMES * self._settings.surprise):
            row["above"] = 0
            return None
        row["above"] += 1
        return self.end(post, at_s, "over") if row["above"] >= _OVER_AFTER else None

    def _enough(self, post: WatchedPost) -> list[int]:
        """Return the targets with enough engagements to take off by."""
        return [
            target
            for target, seen in enumerate(post.seen)
            if seen is not None
            and seen >= self._settings.least_engagements
            and not math.isnan(post.surprise[target])
        ]

    def _move(self, at_s: float) -> None:
        """Forget what is over an hour old; time that goes back moves nothing."""
        hour = max(0, int(at_s // HOUR_S))
        if hour > self._hour:
            hours = min(hour - self._hour, _MAX_HOURS)
            before = max(self._posts, self._usual * _FADING) * _FADING ** (hours - 1)
            self._usual, self._hour, self._posts = int(before), hour, 0
            self._since = self._since if self._usual else 0
        self._fired = [fired for fired in self._fired if fired > at_s - HOUR_S]

    def _event(
        self, row: Any, post: WatchedPost, at_s: float, ended_as: Ended | Literal[""]
    ) -> ForecastEvent:
        target = int(row["target"])
        name = TARGETS[target]
        began = int(row["began"]).to_bytes(4, "little")
        identity = b"\0".join((b"taking_off", self._query.encode(), post.key + began))
        surprise = post.least()
        return ForecastEvent(
            event_id=hashlib.blake2b(identity, digest_size=12).hexdigest(),
            kind="taking_off",
            state="resolved" if ended_as else "firing",
            query=self._query,
            post_id=post.post_id,
            source=post.source,
            author=post.author,
            posted_at=datetime.fromtimestamp(post.posted_at_s, UTC),
            decided_at=datetime.fromtimestamp(at_s, UTC),
            target=name,
            seen=post.seen[target] or 0,
            surprise=1.0 if math.isnan(surprise) else min(max(surprise, 0.0), 1.0),
            expected=as_counts(from_log16(row["expected"]).tolist()),
            normal=post.normal if name == "likes" else None,
            ended_as=ended_as,
            approximate=post.approximate,
            sentence=sentence(post, target, at_s, self._settings.horizon_s, ended_as),
        )
