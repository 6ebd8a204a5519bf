"""One set after the other: read, scored, served, judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from core.forecast_settings import ForecastSettings
from evaluation.encoder.bootstrap import RESAMPLES, Measured
from evaluation.forecasts.assembling import judged_of, of_split, outcomes_of
from evaluation.forecasts.drift import Drifted, drift
from evaluation.forecasts.floors import FLOOR
from evaluation.forecasts.intervals import LEAST_AUTHORS, clusters_of, figures_of, skill_of
from evaluation.forecasts.judging import SERVED, Judged
from evaluation.forecasts.serving import Ask, Floats, Say, Scored, Served, serve
from evaluation.forecasts.tables import Found
from models.engagement.layout import TARGETS
from models.engagement.training.heads import head_scores
from models.engagement.training.sets import EngagementSet, read_set

LEAST_JUDGED: Final = 100
"""Another count than likes is judged if so many posts have it."""
_FOR_EVER: Final = 2**31


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured.

    Attributes:
        data: The folder of the data sets.
        split: One of `evaluation.forecasts.assembling.SPLITS`.
        resamples: Bootstrap resamples.
        triple_from: The share of posts after which all counts triple; None measures no drift.
        cache: The folder of the head scores; None is the usual one.
        variant: Which of `models.engagement.training.variants` is fitted; "" is the shipped one.
        settings: Those of the forecaster.
    """

    data: Path
    split: str
    resamples: int = RESAMPLES
    triple_from: float | None = None
    cache: Path | None = None
    variant: str = ""
    settings: ForecastSettings = ForecastSettings()  # noqa: RUF009 -- frozen

    def served_by(self) -> ForecastSettings:
        """Return the settings with all authors tracked and none forgotten, as the floor has them.

        And without what does not bear on the first forecast of a post: looking again at further
        ages or once it has so many likes, which takes most of the time.
        """
        return msgspec.structs.replace(
            self.settings, track_one_in=1, author_ttl_s=_FOR_EVER, ages_s=(), events_per_hour=0,
            least_engagements=_FOR_EVER,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers for the posts of a set.

    Attributes:
        ask: The model.
        others: Further predictor -> (N,) what it predicted of likes, filled as the model is asked.
        notes: Sentences for people.
    """

    ask: Ask
    others: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """How models are chosen for sets.

    Attributes:
        answering: Set -> what answers for its posts.
        settings: What was asked for, for the report.
        notes: Sentences for people.
    """

    answering: Callable[[Scored], Answering]
    settings: Mapping[str, Any]
    notes: Sequence[str] = ()


def read_scored(data: Path, name: str, cache: Path | None = None) -> Scored:
    """Return the posts of a set with their head scores; its name stands for the source.

    The field `source` of a set says from which archive a post is, not on which platform it was:
    authors go on from one archive to the next.

    Raises:
        ConfigError: The set is not there, or it has no head scores and none can be made here.
    """
    posts = read_set(data, name)
    heads, rated = head_scores(data, posts, cache)
    return Scored(posts, heads, rated, name)


def evaluate_set(
    scored: Scored, answering: Answering, plan: Plan, say: Say = lambda _: None
) -> Found:
    """Return what the forecasts of a set are worth.

    Args:
        scored: The posts of the set.
        answering: The model.
        plan: What is to be measured.
        say: Told how far it is.
    """
    ask = answering.ask
    settings = plan.served_by()
    served = serve(scored, ask, settings, say=say)
    chosen = of_split(scored.posts, plan.split)
    settled = judged_of(scored.posts, served, chosen, settings.horizon_s, others=answering.others)
    judged = settled.of_known_authors()
    drifted: Drifted | None = None
    if plan.triple_from is not None:
        told_until_s = max(plan.settings.ages_s, default=0.0)
        drifted = drift(scored, ask, settings, plan.triple_from, say, told_until_s)
    return Found(
        scored.posts.name,
        judged,
        figures_of(settled, plan.resamples),
        _other_targets(scored.posts, served, plan),
        drifted,
        [*_notes(scored.posts, served, judged), *answering.notes],
    )


def evaluate_sets(names: Sequence[str], way: Way, plan: Plan, say: Say) -> list[Found]:
    """Evaluate set by set, and say which one it is at."""
    found: list[Found] = []
    for number, name in enumerate(names, 1):
        scored = read_scored(plan.data, name, plan.cache)
        say(f"{name}: {len(scored.posts)} posts, set {number} of {len(names)}\n")
        found.append(evaluate_set(scored, way.answering(scored), plan, say))
    return found


def _other_targets(posts: EngagementSet, served: Served, plan: Plan) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for target, name in enumerate(TARGETS[1:], 1):
        if (~np.isnan(outcomes_of(posts, target))).sum() < LEAST_JUDGED:
            continue
        chosen = of_split(posts, plan.split, target)
        judged = judged_of(posts, served, chosen, plan.settings.horizon_s, target=target)
        judged = judged.of_known_authors()
        if len(judged) >= LEAST_JUDGED:
            clusters = clusters_of(judged)
            found[name] = skill_of(judged, SERVED, FLOOR, clusters, plan.resamples)
    return found


def _notes(posts: EngagementSet, served: Served, judged: Judged) -> list[str]:
    authors = len(np.unique(judged.authors))
    drawn = "authors" if authors >= LEAST_AUTHORS else "days"
    notes = [
        f"{len(judged):,} of {len(posts):,} posts judged, of {authors:,} authors; intervals by"
        f" {drawn}; model {', '.join(served.versions)}"
    ]
    if posts.unsettled:
        notes.append(f"{posts.unsettled:,} posts had not settled and are taken as unknown")
    notes += [f"{count:,} rows left out: {what}" for what, count in posts.dropped.items()]
    counted = {what: count for what, count in served.counts.items() if count}
    notes += [f"the partition counted {count:,} {what}" for what, count in counted.items()]
    return notes
