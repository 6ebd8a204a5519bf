"""The built model by itself: by batch size, by length, and what its heads cost.

`evaluation.encoder.bench_model` in the model server's environment, with nothing else running:
English posts of the benchmarks, no two alike, all heads and the first head alone taking turns.
Then the engines that can be chosen here, in turns, and what each loses on held-out posts where the
data sets are there (`GROUNDSWELL_DATA`): the frontier, as a table and the picture.
`cached_share` is the share of posts of a synthetic stream, with its usual reposts and copies, whose
text the model server has scored before and does not score again. `cascade.sent_share` is the share
of the posts that the shipped student, put before the encoder, sends on to it.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.harness import Measured, Options, run_benchmark, say
from benchmarks.lab import BenchFailed
from benchmarks.posts import texts
from core.schemas import Post
from evaluation.drawing import Picture, lines, scatter
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.conversation import Conversation
from services.local.child import Command, run_to_end
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from services.local.triton_server import DEFAULT_SERVER_PYTHON, build_model_repository

HEAD_POSTS: Final = 4_096
STREAM_POSTS: Final = 20_000
BATCHES: Final = (1, 4, 16, 64, 256, 1_024)
LENGTHS: Final = (8, 16, 32, 64, 128)
_TIMEOUT_S: Final = 1_800.0
DATA: Final = Path("../shared/data")


def _written(posted: list[str], file: Path) -> Path:
    file.write_text("\n".join(" ".join(text.split()) for text in posted), encoding="utf-8")
    return file


def _stream(posts: int, seed: int) -> list[str]:
    """Return the texts of a synthetic stream in order, with its reposts and copies."""
    made = Conversation(SyntheticOptions(seed=seed, speed=0.0), datetime(2026, 3, 1, tzinfo=UTC))
    posted = (
        posted.record.text
        for _, arrived in made.ticks()
        for posted in arrived
        if isinstance(posted.record, Post) and posted.kind == "post"
    )
    return list(islice(posted, posts))


def measure(options: Options) -> Measured:
    """Run `evaluation.encoder.bench_model` and take its figures over."""
    build_model_repository()
    size = options.size(HEAD_POSTS, 64)
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "model.json"
        posted = _written(list(texts(size, options.seed)), Path(scratch) / "texts.txt")
        stream = _written(
            _stream(options.size(STREAM_POSTS), options.seed), Path(scratch) / "stream.txt"
        )
        say(f"{size:,} posts, {options.rounds} rounds")
        data = Path(os.environ.get("GROUNDSWELL_DATA", DATA))
        if not data.is_dir():
            say(f"no data sets at {data}: what engines lose on held-out posts is left out")
        command = Command(
            (
                str(DEFAULT_SERVER_PYTHON), "-m", "evaluation.encoder.bench_model",
                "--texts", str(posted),
                "--stream", str(stream), "--json", str(report),
                "--repository", str(DEFAULT_PATHS.model_repository),
                "--rounds", str(options.rounds),
                "--posts-a-round", str(options.size(1_024, 16)),
                *(("--data", str(data)) if data.is_dir() else ()),
            ),
            env={"PYTHONPATH": str(PROJECT_ROOT)},
            cwd=PROJECT_ROOT,
        )  # fmt: skip
        status, output = run_to_end(command, _TIMEOUT_S)
        if status:
            raise BenchFailed(f"the model did not run:\n{output}")
        found = json.loads(report.read_text(encoding="utf-8"))
    return taken_over(found, size)


def taken_over(found: dict[str, Any], size: int) -> Measured:
    """Return the report of the model server's environment as a benchmark's own."""
    figures: dict[str, float] = {name: round(v, 4) for name, v in found["figures"].items()}
    rows, engine = found["tables"]["engines"], found["settings"]["engine"]
    settings = {"posts": size, "engine": engine, "engines": rows}
    picture = _frontier(rows) if "agreement" in rows[0] else _speeds(figures)
    return Measured(figures, settings, picture, found["versions"], "\n".join(found["notes"]))


def _frontier(rows: list[dict[str, Any]]) -> Picture:
    def most_lost(row: dict[str, Any]) -> float:
        return max(value for name, value in row.items() if name.endswith(".points_lost"))

    return scatter(
        "Engines: cost of a post, and the most points that a head loses on held-out posts",
        "processor milliseconds a post",
        "points lost, worst head",
        {row["engine"]: (row["cpu_us"] / 1000, most_lost(row)) for row in rows},
    )


def _speeds(figures: dict[str, float]) -> Picture:
    return lines(
        "Posts a second of the model alone",
        "batch size, or most tokens a post (batches of 64)",
        "posts/s",
        {
            "by batch size": [(n, figures[f"batch_{n}_posts_per_s"]) for n in BATCHES],
            "by tokens": [(n, figures[f"tokens_to_{n}_posts_per_s"]) for n in LENGTHS],
        },
    )


if __name__ == "__main__":
    run_benchmark(measure)
