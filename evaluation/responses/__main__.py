"""Measure replies on recorded posts, beside floors.

python -m evaluation.responses --data ../shared/data --sets popalm,bluesky --json responses.json
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED
from evaluation.options import DataFolder, JsonFile, Resamples
from evaluation.responses.floors import SEEDS
from evaluation.responses.judging import JudgedSet, judge
from evaluation.responses.ranking import rank_events
from evaluation.responses.ranking_tables import RankedSet, print_rankings, ranking_figures
from evaluation.responses.recorded_events import CURVES, RANKED, load_events
from evaluation.responses.tables import flat_figures, print_all, seed_rows
from evaluation.responses.threads import FOLDER, KINDS, LEAST_JUDGED, ThreadSet, load_threads
from models.popalm.encoders import encoder_for

PACKAGES: Final = ("numpy", "jieba", "rouge-chinese", "nltk", "bm25s", "openvino")
_WITHOUT_ENCODER: Final = "no encoder reads this language: name one with --chinese-encoder DIR"


def chosen_sets(data: Path, sets: str) -> list[str]:
    """Return the sets that are named, comma-separated; all that are there for none.

    Raises:
        ConfigError: One is not there, or there is none at all.
    """
    known = dict.fromkeys([*KINDS, *RANKED])
    present = [name for name in known if (data / f"{FOLDER}{name}").is_dir()]
    if not present:
        expected = ", ".join(f"{FOLDER}{name}" for name in known)
        raise ConfigError(f"{data} has none of the folders {expected}")
    named = [name.strip() for name in sets.split(",") if name.strip()] or present
    if missing := [name for name in named if name not in present]:
        raise ConfigError(f"{data} has no set {', '.join(missing)}; it has {', '.join(present)}")
    return list(dict.fromkeys(named))


def drawn(threads: ThreadSet, posts: int) -> ThreadSet:
    """Return a set with at most so many judged posts, drawn once for all; all of them for 0."""
    if not posts or len(threads.test) <= posts:
        return threads
    rows = sorted(random.Random(SEED).sample(range(len(threads.test)), posts))
    return replace(threads, test=[threads.test[row] for row in rows])


def main(
    data: DataFolder,
    sets: Annotated[str, typer.Option(help="Comma-separated; else all that are there.")] = "",
    posts: Annotated[int, typer.Option(min=0, help="Judged posts of a set at most; 0: all.")] = 0,
    chinese_encoder: Annotated[
        Path | None, typer.Option(help="Folder of an ONNX encoder and its tokenizer.json.")
    ] = None,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Measure replies to recorded posts: floors, what people wrote, and lift beside overlap."""
    found: list[JudgedSet] = []
    ranked: list[RankedSet] = []
    with refusing():
        if 0 < posts < LEAST_JUDGED:
            raise ConfigError(f"--posts is 0 (all) or at least {LEAST_JUDGED}, not {posts}")
        for name in chosen_sets(data, sets):
            started = time.monotonic()
            if name in KINDS:
                found.append(_judged(data, name, posts, chinese_encoder, resamples))
            if name in RANKED:
                events = load_events(data, name)
                by_curve = {curve: rank_events(events, curve, resamples) for curve in CURVES}
                ranked.append(RankedSet(name, len(events), by_curve))
            sys.stderr.write(f"{name}: took {time.monotonic() - started:.0f} s\n")
    print_all(found)
    print_rankings(ranked)
    if json_file is not None:
        figures = flat_figures(found) | ranking_figures(ranked)
        notes = [f"{one.threads.name}: {note}" for one in found for note in one.notes]
        settings = {
            "sets": [one.threads.name for one in found], "ranked": [one.name for one in ranked],
            "posts": posts, "bootstrap_resamples": resamples, "draws": list(SEEDS),
        }  # fmt: skip
        write_report(
            json_file, "models evaluate", figures, settings=settings, packages=PACKAGES,
            seed=SEED, tables={"seeds": seed_rows(found)}, notes=notes,
        )  # fmt: skip


def _judged(data: Path, name: str, posts: int, chinese: Path | None, resamples: int) -> JudgedSet:
    threads = drawn(load_threads(data, name), posts)
    named = threads.language == "en" or chinese is not None
    folder = chinese if threads.language == "zh" else None
    embed = encoder_for(threads.language, folder) if named else None
    judged = judge(threads, embed, resamples)
    return judged if embed else replace(judged, notes=[_WITHOUT_ENCODER])


if __name__ == "__main__":
    typer.run(main)
