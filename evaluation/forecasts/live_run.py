"""Forecasts through the whole stack, against what is known of the same posts.

    python -m evaluation.forecasts.live_run replay --data ../shared/data --set musk
    python -m evaluation.forecasts.live_run ignitions --seeds 1,2

`replay` sends a whole set through ingest, Kafka, worker, forecaster and its metrics page, and
compares what was exported with the same posts offline. `ignitions` sends made-up posts, of which
some take off as a ledger says, and compares the topic `events` with it. Both run as fast as the
machine can, event time being that of the posts. Exit status 1 if they do not agree.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from core.forecast_settings import ForecastSettings
from core.report import write_report
from core.schemas import MICRO, ScoredPost
from evaluation.encoder.__main__ import refusing
from evaluation.forecasts.live_ignitions import Watched, watch_live
from evaluation.forecasts.live_stack import LiveRunFailed, LiveStack
from evaluation.forecasts.opening import open_way
from evaluation.forecasts.replay_check import (
    Exported,
    as_live,
    disagreements,
    figures_of_metrics,
    figures_of_source,
    offline_books,
    recent_disagreements,
)
from evaluation.forecasts.run import Plan
from evaluation.forecasts.serving import Say, Scored, counts_of
from evaluation.options import DataFolder, JsonFile
from models.engagement.features import HEADS_USED
from models.engagement.layout import TARGETS
from models.engagement.training.sets import EngagementSet, read_set, rows_of, set_file
from services.kafka_client import partition_of
from services.local.scrape import Page

SOURCE: Final = "replay"
_COLUMNS: Final = ("post_id", "author", "created_at", "text", "reply_to", *TARGETS)
_MICROS: Final = 1e-6
"""Counters of errors are in millionths."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


def first_posts(posts: EngagementSet, number: int) -> EngagementSet:
    """Return the earliest posts of a set, author by author as before; all for 0."""
    if not number:
        return posts
    chosen = np.sort(np.argsort(posts.at_s, kind="stable")[:number])
    return posts.select(chosen)


def numbered(posts: EngagementSet) -> EngagementSet:
    """Return the posts of a set under their rows as ids: those of a file may be there twice."""
    return dataclasses.replace(posts, post_ids=posts.rows.astype(np.str_))


def write_recording(path: Path, data: Path, posts: EngagementSet) -> None:
    """Write posts in order of time, with the counts that the evaluation takes as known.

    Args:
        path: The file, for the source `replay`.
        data: The folder of the data sets.
        posts: The posts, numbered.
    """
    raw = list(rows_of(set_file(data, posts.name)))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in np.argsort(posts.at_s, kind="stable").tolist():
            found = raw[int(posts.rows[row])]
            counts = ["" if count is None else count for count in counts_of(posts, row)]
            writer.writerow([
                posts.post_ids[row], found["author"], found["created_at"], found["text"],
                found.get("reply_to", ""), *counts,
            ])  # fmt: skip


def as_scored(posts: EngagementSet, live: Mapping[str, ScoredPost]) -> Scored:
    """Return posts with the head scores that they had on the stream.

    Raises:
        LiveRunFailed: A post is not on the stream, or of another time or shape there.
    """
    width = len(_micros(next(iter(live.values())))) if live else 0
    heads = np.full((len(posts), width), np.nan, np.float32)
    rated = np.zeros(len(posts), np.bool_)
    wrong: list[str] = []
    for row, post_id in enumerate(posts.post_ids.tolist()):
        post = live.get(post_id)
        if post is None:
            wrong.append(f"{post_id} is not on the stream")
            continue
        shape = tuple(posts.shapes[row].astype(int).tolist())
        if (post.event_at.timestamp(), tuple(post.shape)) != (posts.at_s[row], shape):
            wrong.append(f"{post_id} is {post.event_at} {post.shape} live, {shape} offline")
        heads[row] = _micros(post) / np.float32(MICRO)
        rated[row] = post.rated
    if wrong:
        raise LiveRunFailed(f"{len(wrong)} of {len(posts)} posts differ: {'; '.join(wrong[:5])}")
    return Scored(posts, heads, rated, SOURCE)


def _micros(post: ScoredPost) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([value for head in HEADS_USED for value in post.scores[head]], np.float32)


def left_out(page: Page) -> dict[str, int]:
    """Return what a forecaster counted of posts and counts that it did not use, by cause."""
    posts = page.by_label("groundswell_forecast_posts_total", "outcome")
    counts = page.by_label("groundswell_forecast_counts_unused_total", "cause")
    found = {f"posts {name}": int(n) for name, n in posts.items() if n and name != "tracked"}
    return found | {f"counts {name}": int(n) for name, n in counts.items() if n}


@app.command()
def replay(
    data: DataFolder,
    name: Annotated[str, typer.Option("--set", help="The set to be replayed.")],
    posts: Annotated[int, typer.Option(min=0, help="The earliest so many; 0: all.")] = 0,
    scorer: Annotated[str, typer.Option(help="fake, or triton.")] = "fake",
    model: Annotated[str, typer.Option(help="The engagement model.")] = "engagement",
    json_file: JsonFile = None,
) -> None:
    """Replay a set through the whole stack and compare what is exported with the set offline."""
    say: Say = sys.stderr.write
    with refusing():
        chosen = numbered(first_posts(read_set(data, name), posts))
        with LiveStack({"forecasts": {"model": model}}, scorer) as stack:
            path = stack.folder / "recording.csv"
            write_recording(path, data, chosen)
            after_s = stack.settings.forecasts.horizon_s - 1  # as `items_of` has it
            took_s = stack.run(
                "--source", "replay", "--path", str(path), "--order", "file",
                "--set", f"counts_after_s={after_s}",
            )  # fmt: skip
            say(f"{name}: {len(chosen)} posts through the stack in {took_s:.0f} s\n")
            scored = as_scored(chosen, stack.scored())
            settings, metrics, unused = stack.settings, stack.metrics, left_out(stack.page)
        found = compare(scored, data, model, settings.forecasts, settings.kafka.partitions, metrics)
    for what, count in unused.items():
        found.append(f"the forecaster left out {count} {what}")
    live = figures_of_metrics(metrics, SOURCE)
    sys.stdout.writelines(f"{sentence}\n" for sentence in found)
    if json_file is not None:
        figures = {f"{name}.{figure}": value for figure, value in live.items()}
        figures |= {f"{name}.posts": len(chosen), f"{name}.disagreements": len(found)}
        settings_said = {"set": name, "scorer": scorer, "model": model}
        write_report(json_file, "forecasts live replay", figures, settings=settings_said)
    if found:
        raise typer.Exit(1)


def compare(
    scored: Scored, data: Path, model: str, forecasts: ForecastSettings, partitions: int, text: str
) -> list[str]:
    """Print what was exported beside the posts offline, and return in what they differ."""
    way = open_way(Plan(data, "all"), model, fit=False, left_out=(), say=sys.stderr.write)
    ask = way.answering(scored).ask
    books = offline_books(
        scored, ask, as_live(forecasts), partitions, partition_of, sys.stderr.write
    )
    live = Exported(SOURCE, figures_of_metrics(text, SOURCE))
    for figure, value in figures_of_source(books, SOURCE).items():
        if figure in live.figures:
            sys.stdout.write(f"{figure}: {live.figures[figure]} live, {value} offline\n")
    return disagreements([live], books, _MICROS) + recent_disagreements(text, books, SOURCE)


@app.command()
def ignitions(
    seeds: Annotated[str, typer.Option(help="Comma-separated: a run each.")] = "1,2",
    hours: Annotated[float, typer.Option(min=0.1, help="Of event time.")] = 3.0,
    posts_an_hour: Annotated[int, typer.Option(min=100, help="Of event time.")] = 20_000,
    horizon_s: Annotated[int, typer.Option(min=600, help="A post's life.")] = 3_600,
    every_s: Annotated[float, typer.Option(min=60, help="Between two ignitions.")] = 1_200,
    json_file: JsonFile = None,
) -> None:
    """Let made-up posts take off in the whole stack, and compare `events` with their ledger."""
    watched: list[Watched] = []
    with refusing():
        for seed in (int(word) for word in seeds.split(",")):
            one = watch_live(seed, hours, posts_an_hour, horizon_s, every_s)
            watched.append(one)
            sys.stdout.write(f"seed {seed}: {one.figures()}\n")
    whole = sum(watched[1:], watched[0])
    figures = whole.figures()
    sys.stdout.write(f"together: {figures}\n")
    if json_file is not None:
        settings = {
            "seeds": seeds, "hours": hours, "posts_an_hour": posts_an_hour,
            "horizon_s": horizon_s, "every_s": every_s,
        }  # fmt: skip
        write_report(json_file, "forecasts live ignitions", figures, settings=settings)
    if not whole.is_good:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
