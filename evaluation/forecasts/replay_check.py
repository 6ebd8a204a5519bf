"""What a live run exported of its forecasts, against the offline evaluation of the same posts.

    python -m evaluation.forecasts.replay_check --data ../shared/data --set musk \
        --metrics FILE

Each partition keeps books of its own, so the posts are spread as Kafka spreads them and the books
added up, as Prometheus adds them. Exit status 1 if a figure differs.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from core.config import load
from core.forecast_settings import ForecastSettings
from evaluation.encoder.__main__ import refusing
from evaluation.forecasts.opening import open_way
from evaluation.forecasts.run import Plan, read_scored
from evaluation.forecasts.serving import Ask, Say, Scored, serve
from evaluation.options import DataFolder
from models.engagement.items import SourceQuality, Sums
from services.local.scrape import parse_pages

TOLERANCE: Final = 1e-9
_MICRO: Final = 1e6
_FOR_EVER: Final = 2**31
_COUNTERS: Final = {
    "outcomes": "groundswell_forecast_outcomes_total",
    "covered": "groundswell_forecast_covered_total",
    "judged": "groundswell_forecast_compared_total",
    "error": "groundswell_forecast_error_micros_total",
    "floor_error": "groundswell_forecast_floor_error_micros_total",
}
"""What is exported of the sums of a source; errors in millionths."""
_GAUGES: Final = tuple(
    f"groundswell_forecast_{x}" for x in ("quality_outcomes", "skill", "coverage")
)
"""What each partition shows of its last outcomes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What a live run said of a source, by the names of `figures_of_source`."""

    source: str
    figures: Mapping[str, float | None]


def as_live(forecasts: ForecastSettings) -> ForecastSettings:
    """Return the settings of a live run without what takes time and bears on no first forecast."""
    return msgspec.structs.replace(
        forecasts, ages_s=(), events_per_hour=0, least_engagements=_FOR_EVER
    )


def offline_books(
    scored: Scored,
    ask: Ask,
    settings: ForecastSettings,
    partitions: int,
    partition_of: Callable[[bytes, int], int],
    say: Say = lambda _: None,
) -> list[SourceQuality]:
    """Return the books of all partitions over the posts of a set, after the last count.

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
            served = serve(scored, ask, settings, rows=chosen, settle_rest=False, say=say)
            found += served.quality
    return found


def figures_of_source(books: Sequence[SourceQuality], source: str) -> dict[str, float | None]:
    """Return what is exported of a source: outcomes, skill and coverage, recent and in total."""
    own = [one for one in books if (one.kind, one.name) == ("source", source)]
    found: dict[str, float | None] = {}
    for span in ("recent", "total"):
        found |= _figures(span, sum((getattr(one, span) for one in own), Sums()))
    return found


def figures_of_metrics(text: str, source: str) -> dict[str, float | None]:
    """Return the total figures of a source from what a forecaster's `/metrics` answered.

    Over all samples of a counter: of partitions, targets and, joined, of several forecasters.
    """
    page = parse_pages([text])
    sums = {name: page.total(counter, source=source) for name, counter in _COUNTERS.items()}
    whole = Sums(
        int(sums["outcomes"]), sums["covered"], int(sums["judged"]),
        sums["error"] / _MICRO, sums["floor_error"] / _MICRO,
    )  # fmt: skip
    return _figures("total", whole)


def recent_disagreements(
    text: str, books: Sequence[SourceQuality], source: str, tolerance: float = TOLERANCE
) -> list[str]:
    """Return a sentence if partitions show other last outcomes, skill or coverage than offline."""
    by_partition: dict[str, list[float]] = {}
    page = parse_pages([text]).samples
    for place, gauge in enumerate(_GAUGES):
        for labels, value in page.get(gauge, {}).items():
            of = dict(labels)
            if of["source"] == source:
                by_partition.setdefault(of["partition"], [math.nan] * len(_GAUGES))[place] = value
    own = [one.recent for one in books if (one.kind, one.name) == ("source", source)]
    live = sorted(by_partition.values())
    offline = sorted([one.outcomes, _or_nan(one.skill), _or_nan(one.coverage)] for one in own)
    same = len(live) == len(offline) and np.allclose(live, offline, 0, tolerance, equal_nan=True)
    return [] if same else [f"{source}: partitions show {live} live and {offline} offline"]


def _or_nan(figure: float | None) -> float:
    return math.nan if figure is None else figure


def _figures(span: str, sums: Sums) -> dict[str, float | None]:
    return {
        f"{span}_outcomes": sums.outcomes,
        f"{span}_skill": sums.skill,
        f"{span}_coverage": sums.coverage,
    }


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


def main(
    data: DataFolder,
    name: Annotated[str, typer.Option("--set", help="The set that was replayed.")],
    metrics: Annotated[Path, typer.Option(help="What /metrics of the forecasters answered.")],
    source: Annotated[str, typer.Option(help="The source of the replayed posts.")] = "replay",
    partitions: Annotated[int, typer.Option(min=1, help="Of the topics.")] = 4,
    model: Annotated[str, typer.Option(help="The model that answered.")] = "engagement",
    tolerance: Annotated[float, typer.Option(help="Counters are in millionths.")] = 1e-6,
) -> None:
    """Compare a live run's exported totals with its posts offline."""
    from services.kafka_client import partition_of

    with refusing():
        plan = Plan(data, "all")
        way = open_way(plan, model, fit=False, left_out=(), say=sys.stderr.write)
        scored = dataclasses.replace(read_scored(data, name), source=source)
        ask, settings = way.answering(scored).ask, as_live(load().forecasts)
        books = offline_books(scored, ask, settings, partitions, partition_of, sys.stderr.write)
    live = Exported(source, figures_of_metrics(metrics.read_text("utf-8"), source))
    for figure, value in figures_of_source(books, source).items():
        sys.stdout.write(f"{figure}: {live.figures.get(figure, '-')} live, {value} offline\n")
    found = disagreements([live], books, tolerance)
    sys.stdout.writelines(f"{sentence}\n" for sentence in found)
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
