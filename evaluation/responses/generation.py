"""Systems that write replies, beside floors, on posts that none of them has learnt from.

Decoders answer where torch is (`models.popalm.training.answer`) and leave files; nothing here needs
it. One table for all: lifts, distinct and copied answers, and a reward that nobody was trained by.

    python -m evaluation.responses.generation --data ../shared/data --write-posts posts.jsonl
    python -m evaluation.responses.generation --data ../shared/data --answers answers --json F

Shapes: `N` judged posts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured, bootstrap
from evaluation.options import DataFolder, JsonFile, Resamples
from evaluation.responses.floors import Answer, Answers, floor_answers
from evaluation.responses.judging import columns_of, known_mean
from evaluation.responses.lift import Similarities, distinct
from evaluation.responses.shown import faults_of, refused_shares, shown_columns
from evaluation.responses.threads import Thread, ThreadSet, load_threads
from evaluation.responses.words import vocabulary_of
from models.popalm.encoders import TextVectors, encoder_for
from models.popalm.reward import Reward
from models.popalm.training.monitors import Score, score_of

Floats = NDArray[np.float64]
SETS: Final = {"reddit_pairs": 0.75, "bluesky": 0.25}
"""Set -> its share of the judged posts."""
POSTS: Final = 160
FLOORS: Final = ("retrieval", "consensus", "constant", "human")
MEASURES: Final = ("embedding_lift", "content_lift", "copy", "reward")
COMPARED: Final = (
    ("sft", "base"), ("ppo", "base"), ("ppo", "sft"), ("curriculum", "sft"), ("curriculum", "ppo"),
    ("dpo", "sft"), ("ppo_shown", "sft_shown"), ("curriculum_shown", "sft_shown"),
)  # fmt: skip
"""Systems whose difference has an interval of its own."""


def judged_threads(data: Path, posts: int = POSTS) -> ThreadSet:
    """Return posts of all sets that are there, drawn once for all, and what may be learnt from.

    Raises:
        ConfigError: None of the sets is there.
    """
    there = [name for name in SETS if (data / f"responses_{name}").is_dir()]
    if not there:
        raise ConfigError(f"{data} has none of the sets {', '.join(SETS)}")
    sets = [load_threads(data, name) for name in there]
    whole = sum(SETS[name] for name in there)
    test: list[Thread] = []
    for one in sets:
        number = min(len(one.test), max(2, round(posts * SETS[one.name] / whole)))
        # Fewer posts are the first of more.
        rows = list(range(len(one.test)))
        random.Random(SEED).shuffle(rows)
        test += [one.test[row] for row in rows[:number]]
    train = [thread for one in sets for thread in one.train]
    return ThreadSet("generation", "en", train, test, {})


def read_answers(folder: Path, threads: ThreadSet) -> Mapping[str, list[Answers]]:
    """Return the draws of every system that has a file in a folder.

    Raises:
        ConfigError: There is none, or one does not answer the judged posts.
    """
    found: dict[str, list[Answers]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        try:
            rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            by_post = {row["post"]: [str(text) for text in row["answers"]] for row in rows}
            given = [by_post[thread.post] for thread in threads.test]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file} does not answer the judged posts ({error!r})") from error
        draws = min(map(len, given))
        if not draws:
            raise ConfigError(f"{file} has a post without an answer")
        found[file.stem] = [[Answer(row[draw]) for row in given] for draw in range(draws)]
    if not found:
        raise ConfigError(f"{folder} has no file SYSTEM.jsonl: models.popalm.training.answer")
    return found


def judged(
    threads: ThreadSet,
    systems: Mapping[str, Sequence[Answers]],
    embed: TextVectors,
    score: Score | None,
    resamples: int = RESAMPLES,
) -> dict[str, Measured]:
    """Return `SYSTEM.MEASURE` and `SYSTEM_over_OTHER.MEASURE` with intervals over posts.

    `SYSTEM_shown` is what is left of a system by the filter that the responder has: the same draws,
    without those that it refuses (`SYSTEM.refused`, of which copies `SYSTEM.refused_copy`).

    Args:
        threads: The judged posts with their replies.
        systems: The answers of every system, once or for several draws.
        embed: The encoder that compares replies.
        score: The held-out reward; None leaves it out.
        resamples: Of the bootstrap.
    """
    vocabulary = vocabulary_of(reply for thread in threads.train for reply in thread.replies)
    floors = floor_answers(threads, vocabulary)
    answers = {name: floors[name] for name in FLOORS} | dict(systems)
    texts = {one.text for draws in answers.values() for drawn in draws for one in drawn}
    texts |= {reply for thread in threads.test for reply in thread.replies}
    ordered = sorted(texts)
    vectors = dict(zip(ordered, embed(ordered), strict=True))
    alike = Similarities(vocabulary, vectors)
    tables: dict[str, Floats] = {}
    shares: dict[str, float] = {}
    for name, draws in answers.items():
        columns = np.array([_columns(threads.test, drawn, alike, score) for drawn in draws])
        tables[name] = columns.mean(axis=0)
        shares[f"{name}.distinct"] = float(np.mean([distinct(one)["distinct"] for one in draws]))
        if name in systems:
            faults = faults_of([one.post for one in threads.test], draws)
            tables[f"{name}_shown"] = shown_columns(columns, faults)
            shares |= {f"{name}.{what}": share for what, share in refused_shares(faults).items()}
    found = bootstrap(lambda rows: _means(tables, rows), len(threads.test), resamples)
    return found | {name: Measured(share, share, share) for name, share in shares.items()}


def _columns(
    threads: Sequence[Thread], answers: Answers, alike: Similarities, score: Score | None
) -> Floats:
    """Return (M, N) `MEASURES` of answers; NaN for what is not known."""
    columns = dict(columns_of(threads, answers, alike))
    posts, texts = [one.post for one in threads], [one.text for one in answers]
    unknown = np.full(len(posts), np.nan)
    columns["reward"] = unknown if score is None else np.asarray(score(posts, texts), np.float64)
    return np.array([columns[name] for name in MEASURES])


def _means(tables: Mapping[str, Floats], rows: NDArray[np.integer[Any]]) -> dict[str, float]:
    means = {name: known_mean(table[:, rows]) for name, table in tables.items()}
    found = {
        f"{name}.{measure}": float(value)
        for name, values in means.items()
        for measure, value in zip(MEASURES, values, strict=True)
    }
    for one, other in COMPARED:
        if one in means and other in means:
            for row, measure in enumerate(MEASURES):
                difference = float(means[one][row] - means[other][row])
                found[f"{one}_over_{other}.{measure}"] = difference
    return found


def generation_figures(
    data: Path, answers: Path, embed: TextVectors, score: Score | None, resamples: int = RESAMPLES
) -> dict[str, float | None]:
    """Return every figure as `generation.SYSTEM.MEASURE`, its interval by `_low` and `_high`.

    Args:
        data: The folder of the data sets.
        answers: The folder of `models.popalm.training.answer`.
        embed: The encoder that compares replies.
        score: The held-out reward; None leaves it out.
        resamples: Of the bootstrap.

    Raises:
        ConfigError: The sets or the answers are not there.
    """
    threads = answered_threads(judged_threads(data), answers)
    found = judged(threads, read_answers(answers, threads), embed, score, resamples)
    figures: dict[str, float | None] = {"generation.posts": len(threads.test)}
    for name, measured in found.items():
        if not np.isnan(measured.value):
            figures |= measured.figures(f"generation.{name}")
    return figures


def answered_threads(threads: ThreadSet, answers: Path) -> ThreadSet:
    """Return the judged posts that every system has answered, in case fewer were asked."""
    answered: set[str] | None = None
    for file in answers.glob("*.jsonl"):
        posts = {json.loads(line)["post"] for line in file.read_text("utf-8").splitlines()}
        answered = posts if answered is None else answered & posts
    test = [one for one in threads.test if answered is None or one.post in answered]
    if len(test) < 2:
        raise ConfigError(f"{answers}: the systems answer {len(test)} judged posts in common")
    return replace(threads, test=test)


def held_out_score(folder: Path) -> Score:
    """Return a reward as a function of posts and a reply to each.

    Raises:
        ConfigError: There is no such reward, or its encoder is not there.
    """
    reward = Reward.load(folder)
    return score_of(reward, encoder_for(reward.config.encoder))


def show(figures: Mapping[str, float | None]) -> None:
    """Write figures to standard output, one a line with its interval."""
    for name, value in figures.items():
        if value is None or name.endswith(("_low", "_high")):
            continue
        low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
        interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
        typer.echo(f"{name:44} {value:8.3f}{interval}")


def main(
    data: DataFolder,
    answers: Annotated[Path | None, typer.Option(help="Folder of answers.")] = None,
    write_posts: Annotated[Path | None, typer.Option(help="Write the judged posts here.")] = None,
    posts: Annotated[int, typer.Option(min=4, help="Judged posts to write.")] = POSTS,
    reward: Annotated[Path | None, typer.Option(help="Folder of a held-out reward.")] = None,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Write the posts to answer, or judge the answers to them."""
    with refusing():
        if write_posts is not None:
            test = judged_threads(data, posts).test
            lines = (json.dumps({"post": one.post}) + "\n" for one in test)
            write_posts.write_text("".join(lines), encoding="utf-8")
        if answers is None:
            return
        score = None if reward is None else held_out_score(reward)
        figures = generation_figures(data, answers, encoder_for("en"), score, resamples)
    show(figures)
    if json_file is not None:
        asked = {"answers": str(answers), "bootstrap_resamples": resamples}
        write_report(json_file, "evaluation.responses.generation", figures, settings=asked)


if __name__ == "__main__":
    typer.run(main)
