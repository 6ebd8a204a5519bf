"""``groundswell chaos``: faults against a stack of its own, with the accounting at the end."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer
from rich.console import Console

from services.local.paths import DEFAULT_PATHS
from testkit.chaos.faults import FAULTS, parse_faults
from testkit.chaos.report import show, write
from testkit.chaos.run import RESUME_LIMIT_S, ChaosOptions, run_chaos

Posts = Annotated[int, typer.Option(min=100, help="Distinct posts in all.")]
Seed = Annotated[int, typer.Option(help="Of the posts and of the schedule of faults.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report here.")
]
Faults = Annotated[
    str,
    typer.Option(
        metavar="KIND[:TIMES],...",
        help="At least these; else each kind once. Kinds: " + ", ".join(FAULTS) + ".",
    ),
]
Events = Annotated[
    int, typer.Option(min=0, help="Faults in all; more than asked for are drawn by the seed.")
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]
ScorerName = Annotated[
    str, typer.Option(metavar="fake|triton", help="fake is a stand-in process that can fail.")
]
Scorers = Annotated[
    int,
    typer.Option(min=1, help="How many scorers; several are hit in turn, and one is always left."),
]
ScorerDelay = Annotated[
    float, typer.Option(min=0, help="How long the stand-in thinks about a batch.")
]
Lasting = Annotated[
    float,
    typer.Option(min=0, help="How long slow, cut, full and answers last; 0: a few seconds."),
]
ResumeLimit = Annotated[
    float, typer.Option(min=1, help="Counting must go on within so long after each fault.")
]
Directory = Annotated[
    Path | None, typer.Option(help="Where the files of the run go; emptied first.")
]


def chaos(
    posts: Posts = 20_000,
    seed: Seed = 1,
    json_file: JsonFile = None,
    faults: Faults = "",
    events: Events = 0,
    workers: Workers = 2,
    scorer: ScorerName = "fake",
    scorers: Scorers = 1,
    scorer_delay_ms: ScorerDelay = 20.0,
    lasting_s: Lasting = 0.0,
    resume_limit_s: ResumeLimit = RESUME_LIMIT_S,
    directory: Directory = None,
) -> None:
    """Break a running stack in every way it promises to survive, and check the books.

    Starts its own broker, store, workers, closer and source on free ports; a stack that runs is not
    touched. An oracle that knows only what was produced recounts every pane: docs/chaos.md.

    Exit status: 0 the books balance, every fault that was asked for fired and counting went on in
    time; 1 not so; 2 wrong options.

    Example: groundswell chaos --posts 20000 --seed 1 --json chaos.json

    Example: groundswell chaos --posts 50000 --faults worker-killed:5,redis-emptied --events 20

    Example: groundswell chaos --posts 20000 --faults scorer-nan,scorer-row-more --lasting-s 60

    Example: groundswell chaos --scorers 2 --faults scorer-killed:4,scorer-stopped:2
    """
    kind = _scorer_kind(scorer)
    options = ChaosOptions(
        posts=posts, seed=seed, wanted=parse_faults(faults, kind), events=events, workers=workers,
        scorer=kind, scorers=scorers, scorer_delay_ms=scorer_delay_ms, lasting_s=lasting_s,
        resume_limit_s=resume_limit_s, root=directory or DEFAULT_PATHS.root / "chaos",
    )  # fmt: skip
    _end_with(options, json_file)


def _end_with(options: ChaosOptions, json_file: Path | None) -> None:
    signal.signal(signal.SIGTERM, _end)
    console = Console(stderr=True)
    outcome = run_chaos(options, lambda line: console.print(line, markup=False, highlight=False))
    show(outcome, console)
    if json_file is not None:
        write(outcome, json_file)
    if not outcome.passed:
        raise typer.Exit(1)


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by way of every `with`: the stack is taken down and its small disk unmounted."""
    raise typer.Exit(1)


def _scorer_kind(name: str) -> Literal["fake", "triton"]:
    if name == "fake":
        return "fake"
    if name == "triton":
        return "triton"
    raise typer.BadParameter(f"--scorer {name}: expected fake or triton")
