"""What fewer layers cost and save: quality of every head beside speed, and what caching saves.

    python -m evaluation.encoder.frontier --data ../shared/data --json frontier.json \
        --model 6=.groundswell/model_repository --model 4=.groundswell/students/repository-4

The first model is the one that the others are held against: on the same posts of the official
tests, on the same resamples, and in the same rounds of the same texts. Nothing is cached while
models are compared; then the first one reads real streams with its cache and without. No torch.

Shapes: `N` posts.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from core.errors import ConfigError
from core.heads import HEADS, PARTICIPATION
from core.ports import ScoreBatch
from core.report import write_report
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measure, Measured, Rows, bootstrap
from evaluation.encoder.caching import cached_share
from evaluation.encoder.decisions import layered, participating, unread_as
from evaluation.encoder.scoring import score_all
from evaluation.options import DataFolder, JsonFile, Resamples
from models.encoder.data import read_rows
from models.encoder.heads import official_test, participation, sentiment, topics
from models.metrics import average_precision, macro_f1, macro_recall, multilabel_f1
from models.serving.place import built_model
from models.serving.post_encoder import PostEncoderService, open_service

JUDGED: Final = {
    "sentiment": "macro_recall",
    "emotion": "macro_f1",
    "participation": "macro_f1",
    "topics": "micro_f1",
}
"""Head -> the figure that decides whether fewer layers are good enough; others are shown only."""
MOST_LOST: Final = 0.005
"""Of each of those: the model of fewest layers that loses no more is the one for CPUs."""
SPEED_POSTS: Final = 2_048
STREAM_POSTS: Final = 4_096
STREAM_BATCH: Final = 256
STREAMS: Final = ("airline", "gop_debate")


@dataclass(frozen=True, slots=True)
class Point:
    """A built model, by the name that it has in the table."""

    name: str
    folder: Path
    service: PostEncoderService

    def scores(self, texts: Sequence[str]) -> ScoreBatch:
        """Return what it says of texts that are known to be in its language."""

        def score(part: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
            scored = self.service.score(part, langs)
            return ScoreBatch(self.service.version, scored.rated, scored.heads)

        return score_all(score, texts)


def open_point(spec: str) -> Point:
    """Return a model named as `NAME=REPOSITORY`, with its cache off.

    Raises:
        ConfigError: It is not named so, or nothing is built there.
    """
    name, has_folder, repository = spec.partition("=")
    if not has_folder:
        raise ConfigError(f"--model is NAME=REPOSITORY, not {spec!r}")
    folder = built_model(repository)
    return Point(name, folder, open_service(folder, cached=0))


def _one_class(point: Point, data: Path, head: str) -> tuple[Measure, int]:
    test = official_test(head)
    posts = test.posts(data)
    answers = point.scores(posts.texts).heads[head]
    predicted = unread_as(answers, HEADS[head].index(test.unread))[0].argmax(1)
    truth = np.asarray(posts.labels, np.int64)
    name, classes = JUDGED[head], answers.shape[1]

    def measure(rows: Rows) -> Mapping[str, float]:
        if name == "macro_recall":
            return {name: macro_recall(predicted[rows], truth[rows])}
        return {name: macro_f1(predicted[rows], truth[rows], classes)}

    return measure, len(truth)


def _participation(point: Point, data: Path) -> tuple[Measure, int]:
    test = participation.test(data)
    truth = np.asarray(test.labels, np.int64)
    found = unread_as(point.scores(test.texts).heads["participation"], 0)[0]
    cut = point.service.config.head("participation").cut
    scores, levels = participating(found), layered(found, cut)
    called = (scores >= cut).astype(np.int64)

    def measure(rows: Rows) -> Mapping[str, float]:
        return {
            "macro_f1": macro_f1(called[rows], (truth[rows] > 0).astype(np.int64), 2),
            "average_precision": average_precision(scores[rows], truth[rows] > 0),
            "levels_macro_f1": macro_f1(levels[rows], truth[rows], len(PARTICIPATION)),
        }

    return measure, len(truth)


def _topics(point: Point, data: Path) -> tuple[Measure, int]:
    test = topics.test(data)
    truth = np.asarray(test.labels, np.bool_)
    found = unread_as(point.scores(test.texts).heads["topics"], None)[0]
    chosen = found >= point.service.config.head("topics").cut

    def measure(rows: Rows) -> Mapping[str, float]:
        micro, macro = multilabel_f1(chosen[rows], truth[rows])
        return {"micro_f1": micro, "macro_f1": macro}

    return measure, len(truth)


TESTS: Final[dict[str, Callable[[Point, Path], tuple[Measure, int]]]] = {
    "sentiment": partial(_one_class, head="sentiment"),
    "emotion": partial(_one_class, head="emotion"),
    "participation": _participation,
    "topics": _topics,
}


def beside(own: Measure, reference: Measure) -> Measure:
    """Return own figures, and under `<name>_lost` by how much they are below the reference's."""

    def measure(rows: Rows) -> Mapping[str, float]:
        found, best = own(rows), reference(rows)
        return {**found, **{f"{name}_lost": best[name] - found[name] for name in found}}

    return measure


def quality(
    points: Sequence[Point], data: Path, resamples: int = RESAMPLES
) -> dict[str, dict[str, Measured]]:
    """Return point -> its figures, `<head>_<figure>`, with intervals, beside the first point."""
    found: dict[str, dict[str, Measured]] = {point.name: {} for point in points}
    for head, test in TESTS.items():
        measures = {point.name: test(point, data) for point in points}
        first = measures[points[0].name][0]
        for name, (own, posts) in measures.items():
            figures = bootstrap(beside(own, first), posts, resamples)
            found[name] |= {f"{head}_{figure}": value for figure, value in figures.items()}
    return found


def good_enough(figures: Mapping[str, Measured]) -> bool:
    """Tell whether no head loses more than `MOST_LOST` of what it is judged by."""
    return all(
        figures[f"{head}_{figure}_lost"].value <= MOST_LOST for head, figure in JUDGED.items()
    )


def speed(points: Sequence[Point], texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Return posts/s and processor time a post, in turns; ratios to the first within a round."""
    rates: dict[str, list[float]] = {point.name: [] for point in points}
    used: dict[str, list[float]] = {point.name: [] for point in points}
    for round_number in range(rounds + 1):
        turn = round_number % len(points)
        # Who goes first changes, as each finds the machine as the one before has left it.
        for point in (*points[turn:], *points[:turn]):
            lang = point.service.config.languages[0]
            started, spent = time.perf_counter(), time.process_time()
            point.service.score(texts, [lang] * len(texts))
            if round_number:
                rates[point.name].append(len(texts) / (time.perf_counter() - started))
                used[point.name].append((time.process_time() - spent) / len(texts) * 1e6)
    first = points[0].name
    figures: dict[str, float] = {}
    for name in rates:
        ratios = [a / b for a, b in zip(rates[name], rates[first], strict=True)]
        by_cpu = [b / a for a, b in zip(used[name], used[first], strict=True)]
        figures |= {
            f"{name}_posts_per_s": statistics.median(rates[name]),
            f"{name}_cpu_us": statistics.median(used[name]),
            f"{name}_speed_ratio": statistics.median(ratios),
            f"{name}_speed_ratio_low": min(ratios),
            f"{name}_speed_ratio_high": max(ratios),
            f"{name}_cpu_ratio": statistics.median(by_cpu),
        }
    return figures


def caching(point: Point, data: Path, posts: int = STREAM_POSTS) -> dict[str, float]:
    """Return what the cache of texts knows of real streams, and how much faster they are read.

    Both ways in turns over the first `posts` posts of each stream, in the order of their times.
    """
    figures: dict[str, float] = {}
    for stream in STREAMS:
        rows = read_rows(data / "streams" / f"{stream}.csv.gz")
        texts = [row["text"] for row in sorted(rows, key=lambda row: row["created_at"])]
        cached = open_service(point.folder)
        cached.warm_up()
        seconds = {"cached": 0.0, "plain": 0.0}
        for start in range(0, min(posts, len(texts)), STREAM_BATCH):
            batch = texts[start : min(posts, start + STREAM_BATCH)]
            for name, service in (("cached", cached), ("plain", point.service)):
                started = time.perf_counter()
                service.score(batch, [service.config.languages[0]] * len(batch))
                seconds[name] += time.perf_counter() - started
        figures |= {
            f"{stream}_posts": len(texts),
            f"{stream}_cached_share": cached_share(texts),
            f"{stream}_timed_cached_share": cached_share(texts[:posts]),
            f"{stream}_cache_speed_ratio": seconds["plain"] / seconds["cached"],
        }
    return figures


def _table(found: Mapping[str, Mapping[str, Measured]], speeds: Mapping[str, float]) -> str:
    names = [name for name in next(iter(found.values())) if not name.endswith("_lost")]
    lines = ["| figure | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for name in names:
        cells = [f"{each[name]}; lost {each[f'{name}_lost']}" for each in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name in ("posts_per_s", "cpu_us", "speed_ratio", "cpu_ratio"):
        cells = [f"{speeds[f'{point}_{name}']:,.2f}" for point in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    data: DataFolder,
    model: Annotated[list[str], typer.Option(help="NAME=REPOSITORY, the first to compare with.")],
    json_file: JsonFile = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 5,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Compare built models: what every head loses, and how much faster posts are read."""
    try:
        points = [open_point(spec) for spec in model]
        for point in points:
            point.service.warm_up()
        texts = sentiment.test(data).texts[:SPEED_POSTS]
        speeds = speed(points, texts, rounds)
        saved = caching(points[0], data)
        found = quality(points, data, resamples)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    fit = [name for name, figures in found.items() if good_enough(figures)]
    fastest = max(fit, key=lambda name: speeds[f"{name}_speed_ratio"])
    typer.echo(_table(found, speeds))
    for name, value in saved.items():
        typer.echo(f"{name:<32} {value:,.3f}")
    typer.echo(f"lose at most {MOST_LOST} on every head: {', '.join(fit)}; for CPUs: {fastest}")
    if json_file is not None:
        figures = {**speeds, **saved, **_with_intervals(found)}
        settings: dict[str, Any] = {
            "models": {point.name: point.service.version for point in points},
            "layers": {point.name: point.service.config.layers for point in points},
            "judged": JUDGED, "most_lost": MOST_LOST, "good_enough": fit, "for_cpus": fastest,
            "rounds": rounds, "bootstrap_resamples": resamples,
        }  # fmt: skip
        write_report(
            json_file, "evaluation.encoder.frontier", figures,
            settings=settings, packages=("openvino", "numpy"), seed=SEED,
        )  # fmt: skip


def _with_intervals(found: Mapping[str, Mapping[str, Measured]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, each in found.items():
        for figure, value in each.items():
            figures |= value.figures(f"{name}_{figure}")
    return figures


if __name__ == "__main__":
    typer.run(main)
