"""``groundswell bench``: the figures of the service levels, each measured by `benchmarks/`.

The benchmarks are no part of the installed packages: each is a program of the source tree, started
here as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from services.cli.wings import is_missing, refuse
from services.local.paths import PROJECT_ROOT

BenchName = Literal[
    "throughput", "latency", "memory", "queries", "scaling", "peers", "matcher", "shifts",
    "sources", "removal", "model", "startup", "forecasts", "responder", "saturated",
    "replies", "servers", "calls", "viewers",
]  # fmt: skip

TAKE_TURNS: Final = ("throughput", "queries", "startup")
"""The benchmarks in which another checkout can take turns with this one."""

Beside = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Another checkout that takes turns with this one (throughput, queries, startup).",
    ),
]


def bench(
    name: Annotated[BenchName, typer.Argument(help="What to measure; see benchmarks/README.md.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the report here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="SVG", help="Also draw the main figures here.")
    ] = None,
    scale: Annotated[
        float, typer.Option(min=0.001, help="Multiplies posts and seconds of load.")
    ] = 1.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is repeated.")] = 3,
    seed: Annotated[int, typer.Option(help="Of texts and arrivals.")] = 7,
    beside: Beside = None,
) -> None:
    """Measure one thing on servers of its own; progress goes to standard error.

    Exit status: 0 measured, 1 it could not be measured, 2 wrong use or no source tree.

    Example: groundswell bench throughput --json throughput.json --plot throughput.svg
    """
    if is_missing("services.cli.bench:bench"):
        refuse("services.cli.bench:bench")
    if beside is not None and (name not in TAKE_TURNS or not (beside / "services").is_dir()):
        raise typer.BadParameter(
            f"--beside {beside}: expected a checkout, and one of the names {', '.join(TAKE_TURNS)}"
        )
    words = [f"--scale={scale}", f"--rounds={rounds}", f"--seed={seed}"]
    if json_file is not None:
        words.append(f"--json={json_file.resolve()}")
    if plot is not None:
        words.append(f"--plot={plot.resolve()}")
    if beside is not None:
        words.append(f"--beside={beside.resolve()}")
    argv = [sys.executable, "-m", f"benchmarks.bench_{name}", *words]
    ended = subprocess.run(argv, cwd=PROJECT_ROOT, check=False)  # noqa: S603 our own program
    if ended.returncode:
        raise typer.Exit(1)
