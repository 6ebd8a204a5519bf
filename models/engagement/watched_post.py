"""A post that is looked at, and what is said of it to people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from core.forecast_schemas import Expected
from models.engagement.layout import TARGETS
from models.engagement.together import combined

_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class WatchedPost:
    """A post at a look.

    Attributes:
        key: The twelve bytes of the post.
        post_id, source, author: Of the post.
        posted_at_s: Its time, in seconds since 1970.
        seen: (3,) counts so far; None is unknown.
        surprise: (3,) see `Sharpened`; NaN is unknown.
        forecast: (3, 5) log1p of the final counts as they were forecast when it was posted.
        expected: (3, 5) the same with what was seen taken in.
        normal: The median of the author's last posts, in likes; None where unknown.
        approximate: Whether its counts were added up from single events.
        together: The surprise of all counts together, see `models.engagement.together`; NaN is
            unknown.
        trust: The weight of it against the rarest target, below 1.
    """

    key: bytes
    post_id: str
    source: str
    author: str
    posted_at_s: float
    seen: Sequence[int | None]
    surprise: Sequence[float]
    forecast: Sequence[Sequence[float]]
    expected: Sequence[Sequence[float]]
    normal: float | None = None
    approximate: bool = False
    together: float = math.nan
    trust: float = 0.0

    def least(self, targets: Iterable[int] = range(len(TARGETS))) -> float:
        """Return how surprising it is by all together and by some targets; NaN if not known."""
        return combined([self.surprise[target] for target in targets], self.together, self.trust)


def as_counts(logs: Sequence[float]) -> Expected:
    """Return expected counts of their logs; none where one is unknown."""
    return tuple(math.expm1(log) for log in logs) if all(map(math.isfinite, logs)) else ()


def sentence(
    post: WatchedPost, target: int, at_s: float, horizon_s: float, ended_as: str = ""
) -> str:
    """Return what happens to a post, for people.

    Example:
        >>> logs = [[math.log1p(n) for n in (2, 6, 11, 25, 60)]] * 3
        >>> post = WatchedPost(b"", "1", "demo", "ann", 0.0, (412, 1, 0), (1e-6, 1, 1), logs, logs,
        ...                    normal=9)
        >>> sentence(post, 0, 420.0, 86_400)
        '412 likes after 7 minutes; as forecast 11 (2 to 60) in a day; normal for the author 9'
    """
    name = TARGETS[target]
    parts = [f"{post.seen[target] or 0:,} {name} after {_duration(at_s - post.posted_at_s)}"]
    counts = as_counts(post.forecast[target])
    if counts:
        low, middle, high = (f"{counts[place]:,.0f}" for place in (0, 2, 4))
        horizon = "a day" if horizon_s == _DAY_S else _duration(horizon_s)
        parts.append(f"as forecast {middle} ({low} to {high}) in {horizon}")
    if post.normal is not None and name == "likes":
        parts.append(f"normal for the author {post.normal:,.0f}")
    why = {"over": "no longer ahead of its forecast", "deleted": "deleted", "settled": "final"}
    return "; ".join([*parts, why[ended_as]] if ended_as else parts)


def _duration(seconds: float) -> str:
    """Return a length of time in its largest unit of which there is one."""
    units = (("day", _DAY_S), ("hour", _HOUR_S), ("minute", 60), ("second", 1))
    unit, length = next((unit for unit in units if seconds >= unit[1]), units[-1])
    number = max(0, int(seconds // length))
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
