"""What each engine costs and what it loses on held-out posts, beside the shipped one.

On validation splits only: an engine is chosen on texts of ours (`models.serving.trials`), and the
official tests are for what came of it. Losses are of the same posts on the same resamples; cost is
taken in turns, all engines within every round.

Shapes: `N` posts, `C` classes.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.processor import read_flags
from evaluation.encoder.bootstrap import RESAMPLES, Measure, Rows, bootstrap
from evaluation.encoder.decisions import participating
from evaluation.encoder.frontier import Point, beside, speed
from evaluation.shares.windows import Labelled, Target, measure
from models.encoder.config import load_config
from models.encoder.heads import emotion, participation, sentiment, topics
from models.metrics import macro_f1, macro_recall, multilabel_f1
from models.serving.candidates import SHIPPED, built_candidates
from models.serving.post_encoder import open_service
from models.serving.reference import load_reference
from models.serving.trials import try_engine

WINDOW_POSTS: Final = 200
HUNDRED: Final = 100.0
Judge = tuple[Measure, int]
"""A head's figure on rows of its validation posts, and their number."""


def open_points(folder: Path, threads: int = 0) -> tuple[list[Point], dict[str, str]]:
    """Return the engines that can be chosen here, the shipped one first, and why others cannot.

    Raises:
        ConfigError: Nothing was built there, or the shipped engine cannot run.
    """
    config, flags = load_config(folder), read_flags()
    reference = load_reference(folder, config)
    built = sorted(built_candidates(folder), key=lambda each: each.name != SHIPPED)
    refused: dict[str, str] = {}
    points: list[Point] = []
    for each in built:
        trial = try_engine(
            each, folder, config, reference, flags, threads, measure=lambda *_: (1.0, 1.0)
        )
        if trial.refused:
            refused[each.name] = trial.refused
        else:
            service = open_service(folder, threads, cached=0, engine=each.name)
            points.append(Point(each.name, folder, service))
    return points, refused


def _sentiment(point: Point, data: Path) -> Judge:
    posts = sentiment.validation(data)
    said, truth = point.scores(posts.texts).heads["sentiment"].argmax(1), np.asarray(posts.labels)

    def figure(rows: Rows) -> Mapping[str, float]:
        return {"points": HUNDRED * macro_recall(said[rows], truth[rows])}

    return figure, len(truth)


def _emotion(point: Point, data: Path) -> Judge:
    posts = emotion.validation(data)
    scores, truth = point.scores(posts.texts).heads["emotion"], np.asarray(posts.labels)
    said, classes = scores.argmax(1), scores.shape[1]

    def figure(rows: Rows) -> Mapping[str, float]:
        return {"points": HUNDRED * macro_f1(said[rows], truth[rows], classes)}

    return figure, len(truth)


def _participation(point: Point, data: Path) -> Judge:
    _, held = participation.split(data)
    scores = participating(point.scores(held.texts).heads["participation"])
    said = (scores >= point.service.config.head("participation").cut).astype(np.int64)
    truth = (np.asarray(held.labels) > 0).astype(np.int64)

    def figure(rows: Rows) -> Mapping[str, float]:
        return {"points": HUNDRED * macro_f1(said[rows], truth[rows], 2)}

    return figure, len(truth)


def _topics(point: Point, data: Path) -> Judge:
    posts = topics.validation(data)
    said = point.scores(posts.texts).heads["topics"] >= point.service.config.head("topics").cut
    truth = np.asarray(posts.labels, np.bool_)

    def figure(rows: Rows) -> Mapping[str, float]:
        return {"points": HUNDRED * multilabel_f1(said[rows], truth[rows])[0]}

    return figure, len(truth)


JUDGES: Final[dict[str, Callable[[Point, Path], Judge]]] = {
    "sentiment": _sentiment,
    "emotion": _emotion,
    "participation": _participation,
    "topics": _topics,
}


def losses(
    points: Sequence[Point], data: Path, resamples: int = RESAMPLES
) -> dict[str, dict[str, float]]:
    """Return engine -> points lost beside the first one on each head, with 95 % intervals."""
    found: dict[str, dict[str, float]] = {point.name: {} for point in points}
    for head, judge in JUDGES.items():
        judged = {point.name: judge(point, data) for point in points}
        reference = judged[points[0].name][0]
        for name, (own, posts) in judged.items():
            lost = bootstrap(beside(own, reference), posts, resamples)["points_lost"]
            found[name] |= lost.figures(f"{head}.points_lost")
    return found


def shares(points: Sequence[Point], data: Path) -> dict[str, dict[str, float]]:
    """Return engine -> agreement with the first one, and errors of shares in windows of 200 posts.

    Each class of sentiment in turn is swept from 5 to 95 % of a window; its share is told by the
    mean of the probabilities, as windows do. All engines see the same windows.
    """
    posts = sentiment.validation(data)
    truth = np.asarray(posts.labels, np.int64)
    found: dict[str, dict[str, float]] = {}
    first: Any = None
    for point in points:
        scores = point.scores(posts.texts).heads["sentiment"].astype(np.float64)
        said = scores.argmax(1)
        first = said if first is None else first
        labelled = Labelled(scores, said, truth)
        swept = [
            measure(
                labelled,
                Target(str(label), (label,)),
                {"mean": lambda probabilities, _: probabilities.mean(0)},
                sizes=(WINDOW_POSTS,),
            )
            for label in range(scores.shape[1])
        ]
        errors = np.concatenate([each.errors["mean"] for each in swept])
        found[point.name] = {
            "agreement": float((said == first).mean()),
            "share_error": float(errors.mean()),
            "share_error_worst_mix": max(
                each.mean("mean", prior) for each in swept for prior in np.unique(each.prior)
            ),
        }
    return found


def frontier(
    folder: Path,
    texts: Sequence[str],
    rounds: int,
    data: Path | None,
    threads: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return a row for each engine that can be chosen, and why the others cannot.

    Args:
        folder: The version folder of a built model.
        texts: The posts that are timed, all in one batch.
        rounds: The number of timed rounds.
        data: Folder of the data sets; None leaves losses out.
        threads: Inference threads; 0 means the cores that may be used.
        resamples: Of the intervals.
    """
    points, refused = open_points(folder, threads)
    for point in points:
        point.service.warm_up()
    fast = speed(points, texts, rounds)
    lost = losses(points, data, resamples) if data is not None else {}
    shared = shares(points, data) if data is not None else {}
    rows = [
        {
            "engine": point.name,
            "posts_per_s": fast[f"{point.name}_posts_per_s"],
            "cpu_us": fast[f"{point.name}_cpu_us"],
            # Of the processor time: what else the machine does is not in it.
            "old_over_new_cpu": fast[f"{point.name}_cpu_ratio"],
            **lost.get(point.name, {}),
            **shared.get(point.name, {}),
        }
        for point in points
    ]
    return rows, refused


def figures_of(rows: Sequence[Mapping[str, Any]], engine: str) -> dict[str, float]:
    """Return the figures of the engine that is served, as the contract names them."""
    for row in rows:
        if row["engine"] == engine:
            return {name: value for name, value in row.items() if name != "engine"}
    return {}


def table(rows: Sequence[Mapping[str, Any]], engine: str, refused: Mapping[str, str]) -> str:
    """Return the rows for people, 80 columns at most; the one that is served has a star."""
    lines = [
        f"{'engine':<24}{'posts/s':>9}{'ms cpu':>8}{'x':>6}{'agree':>7}{'share':>7}{'lost':>7}"
    ]
    for row in rows:
        star = "*" if row["engine"] == engine else " "
        lost = [v for name, v in row.items() if name.endswith(".points_lost")]
        lines.append(
            f"{star} {row['engine']:<22}{row['posts_per_s']:>9,.0f}{row['cpu_us'] / 1000:>8.2f}"
            f"{row['old_over_new_cpu']:>6.2f}{_cell(row.get('agreement'))}"
            f"{_cell(row.get('share_error'))}{_cell(max(lost) if lost else None, 2)}"
        )
    for row in rows:
        lines += [f"{row['engine']}: points lost", *_intervals(row)] if "agreement" in row else []
    lines += [f"{name} cannot be chosen: {why}"[:80] for name, why in refused.items()]
    lines.append("x: times cheaper than shipped, by processor time; lost: most points of a head")
    return "\n".join(lines)


def _cell(value: float | None, digits: int = 3) -> str:
    return f"{'-':>7}" if value is None else f"{value:>7.{digits}f}"


def _intervals(row: Mapping[str, Any]) -> list[str]:
    return [
        f"  {head:<16}{row[f'{head}.points_lost']:>6.2f} "
        f"[{row[f'{head}.points_lost_low']:.2f}, {row[f'{head}.points_lost_high']:.2f}]"
        for head in JUDGES
    ]
