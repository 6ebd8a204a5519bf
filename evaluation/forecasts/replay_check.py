"""What a live run exported of its forecasts, against the offline evaluation of the same posts.

Each partition keeps books of its own, so the posts are spread as Kafka spreads them and the books
added up, as the exporter adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.forecast_settings import ForecastSettings
from evaluation.forecasts.serving import Ask, Say, Scored, serve
from models.engagement.items import SourceQuality, Sums

Figures = dict[str, float]
TOLERANCE: Final = 1e-9
_SUMS: Final = ("outcomes", "covered", "judged", "error", "floor_error")


@dataclass(frozen=True, slots=True)
class Exported:
    """What a live run said of a source, by the names of `figures_of_source`."""

    source: str
    figures: Mapping[str, float | None]


def offline_books(
    scored: Scored,
    ask: Ask,
    settings: ForecastSettings,
    partitions: int,
    partition_of: Callable[[bytes, int], int],
    say: Say = lambda _: None,
) -> list[SourceQuality]:
    """Return the books of all partitions over the posts of a set.

    Args:
        scored: The posts of the set; `source` is the one that the live run gave them.
        ask: The model of the live run.
        settings: The forecaster's settings of the live run.
        partitions: How many partitions its topics had.
        partition_of: `services.kafka_client.partition_of`: key and partitions -> partition.
        say: Told how far it is.
    """
    names = scored.posts.authors
    of_author = np.array([partition_of(name.encode(), partitions) for name in names])
    rows = scored.in_time()
    found: list[SourceQuality] = []
    for number in range(partitions):
        chosen = rows[of_author[scored.posts.author[rows]] == number]
        if len(chosen):
            found += serve(scored, ask, settings, rows=chosen, say=say).quality
    return found


def added(books: Iterable[Sums]) -> Sums:
    """Return sums over several partitions."""
    whole = dict.fromkeys(_SUMS, 0.0)
    for one in books:
        for name in _SUMS:
            whole[name] += getattr(one, name)
    outcomes, judged = int(whole.pop("outcomes")), int(whole.pop("judged"))
    return Sums(outcomes=outcomes, judged=judged, **whole)


def figures_of_source(books: Sequence[SourceQuality], source: str) -> dict[str, float | None]:
    """Return what is exported of a source: outcomes, skill and coverage, recent and in total."""
    own = [one for one in books if (one.kind, one.name) == ("source", source)]
    found: dict[str, float | None] = {}
    for span in ("recent", "total"):
        sums = added(getattr(one, span) for one in own)
        found |= {
            f"{span}_outcomes": sums.outcomes,
            f"{span}_skill": sums.skill,
            f"{span}_coverage": sums.coverage,
        }
    return found


def disagreements(
    exported: Sequence[Exported], books: Sequence[SourceQuality], tolerance: float = TOLERANCE
) -> list[str]:
    """Return a sentence for each figure in which a live run and its posts offline differ.

    A figure that was not exported is one, and so is a run that exported nothing.
    """
    found = [] if exported else ["the live run exported nothing"]
    for one in exported:
        expected = figures_of_source(books, one.source)
        if not one.figures or not expected["total_outcomes"]:
            found.append(f"{one.source}: nothing to compare, no outcome was known")
        for name, figure in one.figures.items():
            other = expected[name]
            if other is None and figure is None:
                continue
            if other is None or figure is None or not abs(figure - other) <= tolerance:
                found.append(f"{one.source}: {name} is {figure} live and {other} offline")
    return found
