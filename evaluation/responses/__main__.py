"""Measure replies on recorded posts, beside floors.

python -m evaluation.responses --data ../shared/data --sets popalm,bluesky --json responses.json
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED
from evaluation.options import DataFolder, JsonFile, Resamples
from evaluation.responses.encoders import encoder_for
from evaluation.responses.floors import SEEDS
from evaluation.responses.judging import JudgedSet, judge
from evaluation.responses.tables import flat_figures, print_all, seed_rows
from evaluation.responses.threads import FOLDER, KINDS, LEAST_JUDGED, ThreadSet, load_threads

PACKAGES: Final = ("numpy", "jieba", "rouge-chinese", "nltk", "bm25s", "openvino")
_WITHOUT_ENCODER: Final = "no encoder reads this language: name one with --chinese-encoder DIR"


def chosen_sets(data: Path, sets: str) -> list[str]:
    """Return the sets that are named, comma-separated; all that are there for none.

    Raises:
        ConfigError: One is not there, or there is none at all.
    """
    present = [name for name in KINDS if (data / f"{FOLDER}{name}").is_dir()]
    if not present:
        expected = ", ".join(f"{FOLDER}{name}" for name in KINDS)
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
    with refusing():
        if 0 < posts < LEAST_JUDGED:
            raise ConfigError(f"--posts is 0 (all) or at least {LEAST_JUDGED}, not {posts}")
        for name in chosen_sets(data, sets):
            started = time.monotonic()
            threads = drawn(load_threads(data, name), posts)
            embed = encoder_for(threads.language, chinese_encoder)
            judged = judge(threads, embed, resamples)
            found.append(judged if embed else replace(judged, notes=[_WITHOUT_ENCODER]))
            sys.stderr.write(f"{name}: took {time.monotonic() - started:.0f} s\n")
    print_all(found)
    if json_file is not None:
        _write(json_file, found, posts, resamples)


def _write(file: Path, found: Sequence[JudgedSet], posts: int, resamples: int) -> None:
    settings = {
        "sets": [one.threads.name for one in found],
        "posts": posts,
        "bootstrap_resamples": resamples,
        "draws": list(SEEDS),
    }
    notes = [f"{one.threads.name}: {note}" for one in found for note in one.notes]
    write_report(
        file, "models evaluate", flat_figures(found), settings=settings, packages=PACKAGES,
        seed=SEED, tables={"seeds": seed_rows(found)}, notes=notes,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
