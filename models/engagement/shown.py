"""What is shown of a post: its forecast as a record, its place at the top, a look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.forecast_schemas import NO_EXPECTATION, Expected, Forecast
from models.engagement.layout import KNOWN, TARGETS
from models.engagement.names import NamedPost
from models.engagement.noted import Noted, What
from models.engagement.served import Served, as_expected
from models.engagement.sources import SourceState
from models.engagement.together import OrdinaryPosts
from models.engagement.top import TopPost

Logs = Sequence[Sequence[float]]
"""(3, 5) log1p of counts: a row for each target, a column for each quantile."""


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
        queries: The queries of the post, without `all`.
    """

    note: Noted
    source: SourceState
    served: Served
    greyed: bool
    forecast_of: Sequence[bool]
    inner: Logs = ()
    version: str = ""
    queries: Sequence[str] = ()

    @property
    def is_counted(self) -> bool:
        """Whether a count of the post is known."""
        return any(count is not None for count in self.note.seen)

    @property
    def is_known(self) -> bool:
        """Whether an outcome of its author was known when the post came."""
        return self.note.post.has(KNOWN)

    @property
    def ordinary(self) -> OrdinaryPosts:
        """How far ordinary posts go of which as much was known."""
        return self.source.ordinary[self.is_known]

    def prior(self) -> list[list[float]]:
        """Return (3, 5) what counts of the post are read against, as logs."""
        return self.served.shrunk(self.source.shrunk[self.is_known])

    @property
    def is_judged(self) -> bool:
        """Whether enough was known of such forecasts when the post came, to be surprised by it."""
        return self.note.post.at >= self.source.judged_since_s[self.is_known]

    def expected(self, logs: Logs) -> list[Expected]:
        """Return the expected counts of each target, none of one that the source never has."""
        has = self.forecast_of if any(self.forecast_of) else (True,) * len(TARGETS)
        return [
            as_expected(of_target) if is_there else NO_EXPECTATION
            for of_target, is_there in zip(logs, has, strict=True)
        ]


def reach_of(expected: Sequence[Expected]) -> float:
    """Return the likes, replies and reposts that are expected in all: the sum of the medians."""
    return round(sum(counts[2] for counts in expected if counts), 2)


def record_of(
    what: Shown,
    named: NamedPost,
    expected: Sequence[Expected],
    surprise: float | None,
    horizon_s: int,
) -> Forecast:
    """Return the record of a forecast; see `core.forecast_schemas.Forecast`."""
    note, post = what.note, what.note.post
    likes, replies, reposts = expected
    seen_likes, seen_replies, seen_reposts = _three(note.seen)
    if note.what is What.POSTED:
        seen_likes = seen_replies = seen_reposts = None
    return Forecast(
        id=named.post_id,
        source=what.source.name,
        author=named.author,
        posted_at=datetime.fromtimestamp(post.at, UTC),
        made_at=datetime.fromtimestamp(note.now_s, UTC),
        horizon_s=horizon_s,
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
        queries=tuple(what.queries),
    )


def top_post_of(
    what: Shown,
    named: NamedPost,
    expected: Sequence[Expected],
    surprise: float | None,
) -> TopPost:
    """Return a post as it stands among the top posts."""
    note, (likes, replies, reposts) = what.note, expected
    return TopPost(
        key=note.key,
        post_id=named.post_id,
        source=what.source.name,
        author=named.author,
        posted_at_s=note.post.at,
        reach=reach_of(expected),
        likes=likes,
        replies=replies,
        reposts=reposts,
        normal=what.served.normal(note.post),
        seen=_three(note.seen),
        surprise=None if surprise is None else float(f"{surprise:.3g}"),
    )


def _three(seen: Sequence[int | None]) -> tuple[int | None, int | None, int | None]:
    return seen[0], seen[1], seen[2]
