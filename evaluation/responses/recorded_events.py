"""Events whose replies have times and final likes, and likes that arrive as the clock goes on.

No recorded set has the likes of a reply at more than one age. So every like gets a delay after its
reply from a log-normal curve, the same for all replies: what is measured is how well a ranking
takes the clock out, not whether likes truly arrive so. The curves are not those that the ranking
starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from evaluation.responses.threads import FOLDER, rows_of

LEAST_REPLIES: Final = 6
"""One more than are shown."""
CURVES: Final[Mapping[str, float]] = {"fast": 1_200.0, "slow": 14_400.0}
"""Median delays of likes after their reply, in seconds."""
_SPREAD: Final = 1.3


@dataclass(frozen=True, slots=True)
class EventReply:
    """A recorded reply.

    Attributes:
        text: Its text.
        at_s: Its time, in seconds since 1970.
        likes: Its likes or score in the end.
    """

    text: str
    at_s: float
    likes: int


Event = Sequence[EventReply]
"""The replies of an event in the order of their times."""


def _reddit_scores(folder: Path) -> Mapping[str, list[EventReply]]:
    events: dict[str, list[EventReply]] = {}
    for row in rows_of(folder / "comments.csv.gz"):
        reply = EventReply(row["text"], _seconds(row["created_at"]), int(row["score"]))
        events.setdefault(f"{row['source']} {row['post']}", []).append(reply)
    return events


def _rumoureval(folder: Path) -> Mapping[str, list[EventReply]]:
    events: dict[str, list[EventReply]] = {}
    for row in rows_of(folder / "posts.csv.gz"):
        if row["is_source"] != "1" and row["likes"]:
            reply = EventReply(row["text"], _seconds(row["created_at"]), int(row["likes"]))
            events.setdefault(row["thread"], []).append(reply)
    return events


RANKED: Final[Mapping[str, Callable[[Path], Mapping[str, list[EventReply]]]]] = {
    "reddit_scores": _reddit_scores,
    "rumoureval": _rumoureval,
}
"""Sets of events by name."""


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def load_events(data: Path, name: str) -> list[Event]:
    """Return the events of a set that have replies enough, in the order of the file.

    Raises:
        ConfigError: The set is not there, is not what it should be, or has fewer than two events.
    """
    folder = data / f"{FOLDER}{name}"
    try:
        found = RANKED[name](folder).values()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}: {type(error).__name__}: {error}") from error
    events = [sorted(event, key=lambda one: one.at_s) for event in found]
    kept: list[Event] = [event for event in events if len(event) >= LEAST_REPLIES]
    if len(kept) < 2:
        raise ConfigError(f"{folder}: {len(kept)} events of {LEAST_REPLIES} replies; expected two")
    return kept


def delays(event: Event, curve: str, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Draw the seconds after its reply of every like, in order; none of a score below zero."""
    mean = np.log(CURVES[curve])
    return [np.sort(rng.lognormal(mean, _SPREAD, max(reply.likes, 0))) for reply in event]


def liked_by(delay: NDArray[np.float64], age_s: float) -> int:
    """Return how many likes a reply has by an age."""
    return int(np.searchsorted(delay, age_s, side="right"))
