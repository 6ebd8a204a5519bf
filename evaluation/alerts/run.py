"""A whole backtest: the suite, the quiet streams, the curve, the rivals, the labelled streams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from core.settings import ShiftSettings
from evaluation.alerts.comparing import compare, compare_river
from evaluation.alerts.labelled import STREAMS, by_model, read_rows, replay
from evaluation.alerts.plan import (
    DAY,
    DAYS,
    null_suite,
    scenarios_of,
    standard_suite,
)
from evaluation.alerts.pool import judge_all
from evaluation.alerts.scoring import alarms_of, tally
from evaluation.alerts.summary import OPINION_SCENARIOS, Streams, finite, point, summarise
from evaluation.alerts.tuning import SPLIT, Tuned, threshold_for, tuned_settings, without_alerts
from stream.shifts.kinds import KINDS

SUITE_SEED: Final = 20_260_301
QUIET_SEED: Final = 77
"""Thresholds are set on `QUIET_SEED`, rivals' too; false alarms are counted on the suite."""
_CURVE: Final = (-5.0, -3.0, -1.5, 1.5)
"""The opinion threshold of further points of the curve, less the one that is judged."""


_RATE: Final = "false_per_query_and_day"


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What is run.

    Attributes:
        streams: of the suite.
        quiet: streams without a shift that rivals are tuned on; 0 leaves rivals out.
        curve_streams: streams that the curve is made of; 0 leaves it out.
        data: folder of the labelled streams; None leaves them out.
        model_scores: file of `evaluation.alerts.model_scores`; None judges them by people only.
        seed: of the suite.
        processes: 0 means one a core.
        budget: false alarms per query and 30 days for the rivals.
        days: of every stream.
        river_streams: that river's KSWIN runs on; 0 leaves river's detectors out.
    """

    streams: int = 200
    quiet: int = 32
    curve_streams: int = 30
    data: Path | None = None
    model_scores: Path | None = None
    seed: int = SUITE_SEED
    processes: int = 0
    budget: float = 1.0
    days: int = DAYS
    river_streams: int = 8


def run_backtest(settings: ShiftSettings, options: BacktestOptions) -> dict[str, Any]:
    """Return the report of a backtest; everything in it is plain JSON."""
    began = monotonic()
    report = report_on(judge_suite(settings, options), settings, options)
    return report | {"took_s": round(monotonic() - began, 1)}


@dataclass(frozen=True, slots=True)
class JudgedSuite:
    """Every stream of a backtest, judged.

    Attributes:
        suite: the standard streams.
        quiet: streams without a shift.
        further: the first streams of the suite again, at other thresholds, `_CURVE` in order.
    """

    suite: Streams
    quiet: Streams
    further: Sequence[Streams]


def judge_suite(settings: ShiftSettings, options: BacktestOptions) -> JudgedSuite:
    """Make and judge all streams, at once: a step costs little more for three hundred than two."""
    plans = standard_suite(options.streams, options.seed)
    quiet_plans = null_suite(options.quiet, QUIET_SEED)
    curve_plans = plans[: options.curve_streams]
    everything = [*plans, *quiet_plans, *(curve_plans * len(_CURVE))]
    extras = [0.0] * (len(plans) + len(quiet_plans))
    extras += [less for less in _CURVE for _ in curve_plans]
    judged = judge_all(
        everything,
        settings,
        what="judging",
        processes=options.processes,
        panes=options.days * DAY,
        extras=extras,
    )
    pairs = list(zip(everything, judged, strict=True))
    first = len(plans) + len(quiet_plans)
    size = len(curve_plans)
    further = [pairs[first + n * size : first + (n + 1) * size] for n in range(len(_CURVE))]
    return JudgedSuite(pairs[: len(plans)], pairs[len(plans) : first], further)


def report_on(
    judged: JudgedSuite, settings: ShiftSettings, options: BacktestOptions
) -> dict[str, Any]:
    """Return the figures of judged streams."""
    report: dict[str, Any] = {
        "settings": {
            "streams": options.streams, "days": options.days, "seed": options.seed,
            "scenarios": scenarios_of([plan for plan, _ in judged.suite]),
            **{f"{kind.name}_threshold": kind.threshold(settings) for kind in KINDS},
        },
        "suite": summarise(judged.suite),
        "judge_at_budget": _point(judged.suite),
    }  # fmt: skip
    if options.curve_streams:
        at_zero = judged.suite[: options.curve_streams]
        rows = dict(zip(_CURVE, judged.further, strict=True)) | {0.0: at_zero}
        report["curve"] = [
            {"threshold": settings.opinion_threshold + less, **_point(streams)}
            for less, streams in sorted(rows.items())
        ]
    if options.quiet:
        both, rate = (judged.quiet, judged.suite), report["judge_at_budget"][_RATE]
        report["rivals"] = compare(*both, options.budget, rate)
        if options.river_streams:
            few = options.river_streams
            report["rivals"] |= compare_river(*both, options.budget, rate, few)
    if options.data is not None:
        report["labelled"] = labelled(settings, options.data)
        if options.model_scores is not None:
            report["by_model"] = labelled_by_model(settings, options.data, options.model_scores)
    return finite(report)


def _point(streams: Streams) -> dict[str, float]:
    counted = tally([(p, one, alarms_of(one, "opinion")) for p, one in streams], OPINION_SCENARIOS)
    return point(counted)


def labelled(settings: ShiftSettings, data: Path) -> dict[str, Any]:
    """Return what is said of the real streams, by the labels of people."""
    return {
        name: replay(name, read_rows(data / "streams" / f"{name}.csv.gz"), settings)
        for name in STREAMS
    }


def labelled_by_model(settings: ShiftSettings, data: Path, file: Path) -> dict[str, Any]:
    """Return what is said of the real streams, by the scores of the model."""
    scores = json.loads(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = {"model": scores["model"]}
    for name, known in scores["streams"].items():
        rows = read_rows(data / "streams" / f"{name}.csv.gz")
        found[name] = replay(name, rows, settings, by_model(rows, known))
    return found


def tune_on_synthetic(
    settings: ShiftSettings, budget: float, streams: int, processes: int = 0
) -> tuple[ShiftSettings, list[Tuned]]:
    """Return settings with thresholds for a budget, set on quiet synthetic streams."""
    plans = null_suite(streams, QUIET_SEED)
    judged = judge_all(
        plans, without_alerts(settings), what="tune", processes=processes, peaks=True
    )
    days = streams * (DAYS - settings.warmup_s / 86_400)
    tuned = [
        threshold_for(kind, [x for one in judged for x in one.peaks[kind]], days, share * budget)
        for kind, share in SPLIT.items()
    ]
    return tuned_settings(settings, tuned), tuned


def tune_on_windows(
    settings: ShiftSettings, budget: float, crowds: Sequence[Any]
) -> tuple[ShiftSettings, list[Tuned]]:
    """Return settings with thresholds for a budget, set on recorded queries of equal length."""
    from evaluation.alerts.running import judge_crowds

    judged = judge_crowds(crowds, without_alerts(settings), peaks=True)
    panes = len(crowds[0].panes)
    days = len(crowds) * max(0.0, panes * 60 - settings.warmup_s) / 86_400
    tuned = [
        threshold_for(kind, [x for one in judged for x in one.peaks[kind]], days, share * budget)
        for kind, share in SPLIT.items()
    ]
    return tuned_settings(settings, tuned), tuned
