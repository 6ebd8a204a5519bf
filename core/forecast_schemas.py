"""The records of forecasts: what a post may come to, and what takes off; see `core.schemas`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from core.crowd_schemas import CrowdTurned
from core.post_schemas import Count, PostId, SourceName, Time

Expected = Annotated[tuple[Annotated[float, Meta(ge=0)], ...], Meta(max_length=5)]
"""Counts that 10, 25, 50, 75 and 90 in a hundred such posts stay below; empty where unknown."""

NO_EXPECTATION: Final[Expected] = ()


class Forecast(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """How far a post is expected to go; topic `forecasts`, key `author`.

    One goes out when the post is seen, one at each further age of `forecasts.ages_s` with the
    counts seen by then taken in, and a last one, settled, with what happened.

    Attributes:
        id, source, author: of the post.
        posted_at: when the post was published (its event time).
        made_at: the event time at which the forecast was made.
        horizon_s: the age of the post, in seconds, that the expected counts are of.
        model_version: the model whose answer went into it.
        likes, replies, reposts: the expected counts at the horizon.
        normal: likes that are normal for the author: the median of the last 32 posts whose counts
            are known; None where none is.
        known: how many posts of the author had known counts.
        seen_likes, seen_replies, seen_reposts: counts seen by `made_at`; None where none was.
        surprise: how likely it is that a post as expected gets so many by its age, or more, of one
            kind or of all together, in [0, 1]; None where no count was seen.
        approximate: some counts were added up from single events, of which a restart may bring
            some twice.
        greyed: forecasts of this source are not better than the author's median at present.
        settled: the horizon is over, and the seen counts are the outcome.
        queries: the queries that the post matches, without `all`.
    """

    id: PostId
    source: SourceName
    author: str
    posted_at: Time
    made_at: Time
    horizon_s: int
    model_version: str
    likes: Expected = NO_EXPECTATION
    replies: Expected = NO_EXPECTATION
    reposts: Expected = NO_EXPECTATION
    normal: float | None = None
    known: int = 0
    seen_likes: Count | None = None
    seen_replies: Count | None = None
    seen_reposts: Count | None = None
    surprise: Annotated[float, Meta(ge=0, le=1)] | None = None
    approximate: bool = False
    greyed: bool = False
    settled: bool = False
    queries: tuple[str, ...] = ()


class ForecastEvent(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """Something that goes beyond its forecast; topic `events`, key `query` (or `all`).

    The same `event_id` goes out when it begins and once when it is over. Whoever was killed at the
    wrong moment says a record again: one of the same `event_id` and `state` is to be dropped.

    Attributes:
        event_id: stable from the beginning to the end.
        kind: `taking_off` (by the forecaster) or `crowd_turned` (by the responder: the answers to
            the post are not those that were expected); a later version may have further ones.
        state: `firing`, then `resolved`.
        query: the query whose budget it is of.
        post_id, source, author: of the post; no author where a crowd has turned.
        posted_at: when the post was published.
        decided_at: the event time of the decision.
        target: what goes furthest beyond: `likes`, `replies` or `reposts`; of a crowd `replies`.
        seen: how many there are of it by now; of a crowd the answers that are counted.
        expected: the counts expected at the horizon when it began, with what was seen taken in.
        normal: the median of the author's last posts; None where unknown.
        surprise: how likely it is that a post as it was forecast gets so many by this age, of the
            target or of all counts together; of a crowd at most how likely so much evidence is by
            so many answers if it has not turned.
        ended_as: why it is resolved: `over` (no longer ahead of its forecast; a crowd: as expected
            again), `settled` (its horizon is over; a crowd: followed no more) or `deleted`.
        approximate: the count was added up from single events.
        crowd: of a crowd that has turned, unless its post is deleted; None of other kinds.
        sentence: all of it, for people.
    """

    event_id: str
    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    state: Literal["firing", "resolved"]
    query: str
    post_id: PostId
    source: SourceName
    author: str
    posted_at: Time
    decided_at: Time
    target: Literal["likes", "replies", "reposts"]
    seen: Count
    surprise: Annotated[float, Meta(ge=0, le=1)]
    expected: Expected = NO_EXPECTATION
    normal: float | None = None
    ended_as: Literal["", "over", "settled", "deleted"] = ""
    approximate: bool = False
    crowd: CrowdTurned | None = None
    sentence: str = ""
