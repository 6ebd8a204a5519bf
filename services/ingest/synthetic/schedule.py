"""What is intended at any moment: how much, about what, in which language, with which opinion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.ingest.sources.synthetic.options import Shift, SyntheticOptions
from services.ingest.synthetic.lexicons import TOPICS

USUAL_SENTIMENT: Final[dict[str, tuple[float, float, float]]] = {
    "transit_strike": (0.45, 0.35, 0.20),
    "flood_relief": (0.35, 0.30, 0.35),
    "airline_delays": (0.50, 0.25, 0.25),
    "phone_launch": (0.20, 0.35, 0.45),
    "football_derby": (0.30, 0.25, 0.45),
    "housing_rents": (0.50, 0.35, 0.15),
    "election_debate": (0.40, 0.40, 0.20),
    "climate_march": (0.30, 0.35, 0.35),
}
"""Shares of negative, neutral and positive posts while nothing special happens."""

_PEAK_HOUR: Final = 19.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What is intended at one moment.

    Attributes:
        posts_per_s: The posts expected in a second of event time.
        cells: The table (topic, language) -> share of the posts; adds up to 1.
        sentiment: The table topic -> shares of negative, neutral, positive.
    """

    posts_per_s: float
    cells: dict[tuple[str, str], float]
    sentiment: dict[str, tuple[float, float, float]]


class Schedule:
    """The plan of a run.

    Args:
        options: The volume, weights and shifts.
        start: The beginning of event time, aware.
    """

    def __init__(self, options: SyntheticOptions, start: datetime) -> None:
        self._options = options
        self.start = start
        languages = {name: weight for name, weight in options.languages.items() if weight > 0}
        total = sum(languages.values())
        self._languages = {name: weight / total for name, weight in languages.items()}
        topics = {name: options.topics.get(name, 1.0) for name in TOPICS}
        total = sum(topics.values()) or 1.0
        self._topics = {name: weight / total for name, weight in topics.items()}

    def at(self, elapsed_s: float) -> Moment:
        """Return what is intended `elapsed_s` of event time after the start."""
        cells = {
            (topic, language): topic_share * language_share
            for topic, topic_share in self._topics.items()
            for language, language_share in self._languages.items()
        }
        sentiment = dict(USUAL_SENTIMENT)
        for shift in self._options.shifts:
            strength = shift_strength(shift, elapsed_s)
            if strength == 0.0:
                continue
            if shift.kind == "opinion":
                _move_opinion(sentiment, shift, strength)
            else:
                cells = _multiplied(cells, shift, strength)
        volume = sum(cells.values())
        return Moment(
            posts_per_s=self._options.posts_per_s * self._daily(elapsed_s) * volume,
            cells={cell: share / volume for cell, share in cells.items()} if volume else cells,
            sentiment=sentiment,
        )

    def _daily(self, elapsed_s: float) -> float:
        at = self.start + timedelta(seconds=elapsed_s)
        hour = at.hour + at.minute / 60 + at.second / 3600
        swing = math.cos((hour - _PEAK_HOUR) / 24 * 2 * math.pi)
        return 1 + self._options.daily_cycle * swing

    def minutes(self, duration_s: float) -> Iterator[dict[str, object]]:
        """Yield what is intended in each minute: posts and opinion per topic, for the truth file.

        Values are those of the middle of the minute.
        """
        for minute in range(math.ceil(duration_s / 60)):
            moment = self.at(minute * 60 + 30)
            topics: dict[str, object] = {}
            for topic in TOPICS:
                share = sum(s for (name, _), s in moment.cells.items() if name == topic)
                topics[topic] = {
                    "posts": round(moment.posts_per_s * 60 * share, 3),
                    "sentiment": [round(s, 6) for s in moment.sentiment[topic]],
                }
            start = self.start + timedelta(minutes=minute)
            yield {"start": start.isoformat(), "topics": topics}


def shift_strength(shift: Shift, elapsed_s: float) -> float:
    """Return how much of a shift is in force: 0 before and after, 1 in full, between on ramps.

    Example:
        >>> shift = Shift(kind="volume", at_s=60, lasts_s=60, ramp_s=10, factor=2)
        >>> [shift_strength(shift, at_s) for at_s in (59, 65, 100, 115, 120)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    since_s = elapsed_s - shift.at_s
    if since_s < 0:
        return 0.0
    if shift.every_s:
        since_s %= shift.every_s
    lasts_s = shift.lasts_s or math.inf
    if since_s >= lasts_s:
        return 0.0
    if not shift.ramp_s:
        return 1.0
    return max(0.0, min(1.0, since_s / shift.ramp_s, (lasts_s - since_s) / shift.ramp_s))


def _multiplied(
    cells: dict[tuple[str, str], float], shift: Shift, strength: float
) -> dict[tuple[str, str], float]:
    """Return the cells with a volume or mix shift applied."""
    factor = 1 + (shift.factor - 1) * strength
    changed = {
        (topic, language): share * factor
        if shift.topic in ("", topic) and shift.language in ("", language)
        else share
        for (topic, language), share in cells.items()
    }
    if shift.kind == "mix":  # who speaks changes, how much is said does not
        keep = sum(cells.values()) / (sum(changed.values()) or 1.0)
        changed = {cell: share * keep for cell, share in changed.items()}
    return changed


def _move_opinion(
    sentiment: dict[str, tuple[float, float, float]], shift: Shift, strength: float
) -> None:
    for topic in [shift.topic] if shift.topic else list(sentiment):
        before: Sequence[float] = sentiment[topic]
        moved = [
            old + (new - old) * strength for old, new in zip(before, shift.sentiment, strict=True)
        ]
        sentiment[topic] = (moved[0], moved[1], moved[2])
