"""The program `groundswell`: a table of commands, each imported only when it is called.

`groundswell --help` imports none of them, so it answers at once, and a process loads what it needs
and no more (ingest has no scorer, the worker no Java).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from core.errors import BrokerUnavailable, ConfigError, GroundswellError
from core.release import release
from services.cli.settings import config_file
from services.cli.wings import is_missing, refuse


@dataclass(frozen=True, slots=True)
class Route:
    """Where a command or a group of commands is.

    Attributes:
        target: "module:attribute"; a `typer.Typer` is a group, a function a command.
        help: the line in `groundswell --help`.
        panel: heading under which it is listed.
    """

    target: str
    help: str
    panel: str


_STACK: Final = "Local stack"
_PROCESSES: Final = "Processes"
_LOOKING: Final = "Set-up and looking"

COMMANDS: Final[dict[str, Route]] = {
    "up": Route("services.cli.stack:up", "Start the local stack.", _STACK),
    "down": Route("services.cli.stack:down", "Stop the local stack.", _STACK),
    "demo": Route("services.cli.stack:demo", "Start the stack with a live view.", _STACK),
    "setup": Route("services.cli.stack:setup", "Fetch and build what it needs.", _STACK),
    "doctor": Route("services.cli.stack:doctor", "Say what is missing here.", _STACK),
    "ingest": Route("services.cli.ingest:ingest", "Bring a source's posts to Kafka.", _PROCESSES),
    "worker": Route("services.cli.processes:worker", "Score and count posts.", _PROCESSES),
    "closer": Route("services.cli.processes:closer", "Close and publish windows.", _PROCESSES),
    "forecaster": Route(
        "services.cli.processes:forecaster", "Forecast how far posts go.", _PROCESSES
    ),
    "responder": Route("services.cli.responder:app", "Show how people answer.", _PROCESSES),
    "exporter": Route(
        "services.cli.processes:exporter", "Export windows to Prometheus.", _PROCESSES
    ),
    "console": Route("services.cli.console:app", "Serve the page and the API.", _PROCESSES),
    "heartbeat": Route(
        "services.cli.processes:heartbeat", "Show that the stream is alive.", _PROCESSES
    ),
    "chaos": Route("testkit.chaos.command:chaos", "Break a stack and check the books.", _LOOKING),
    "backtest": Route("evaluation.alerts.command:backtest", "Judge the alerts.", _LOOKING),
    "tune": Route("evaluation.alerts.command:tune", "Set the thresholds of the alerts.", _LOOKING),
    "bench": Route("services.cli.bench:bench", "Measure speed, memory and peers.", _LOOKING),
    "topics": Route("services.cli.topics:app", "Create and describe Kafka topics.", _LOOKING),
    "dead-posts": Route(
        "services.cli.dead_posts:app", "Show messages that could not be used.", _LOOKING
    ),
    "queries": Route("services.cli.queries:app", "Check and list what is watched.", _LOOKING),
    "sources": Route("services.cli.sources:app", "List, check and tail sources.", _LOOKING),
    "forecasts": Route(
        "services.cli.forecasts:app", "Show which posts will go far, and how sure.", _LOOKING
    ),
    "responses": Route(
        "services.cli.responses:app", "Show how people answer what takes off.", _LOOKING
    ),
    "alerts": Route("services.cli.alerts:app", "Show what has shifted, and why.", _LOOKING),
    "report": Route("services.cli.report:report", "Write a period as one file.", _LOOKING),
    "windows": Route("services.cli.windows:app", "Show and dump windows.", _LOOKING),
    "models": Route("services.cli.models:app", "Train, evaluate, build and list models.", _LOOKING),
}


def load_command(name: str) -> Any:
    """Import the module of a command in the table and return the command itself."""
    target = COMMANDS[name].target
    if is_missing(target):
        refuse(target)
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command = get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        command = get_command(alone)
    command.name = name
    return command


class _Unloaded(TyperCommand):
    """A command that is known by name and help only."""


class _LazyGroup(TyperGroup):
    """Lists unloaded commands; loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, place in COMMANDS.items():
            self.commands[name] = _Unloaded(
                name,
                help=place.help,
                rich_help_panel=place.panel,
                hidden=is_missing(place.target),
            )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, loaded command and remaining arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and isinstance(command, _Unloaded):
            command = load_command(name)
        return name, command, rest


app = typer.Typer(
    name="groundswell",
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(release())
    raise typer.Exit


@app.callback()
def choose(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML settings; else GROUNDSWELL_CONFIG, else configs/default.toml if it exists.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print version and exit."
        ),
    ] = False,
) -> None:
    """Watch public conversation as it happens.

    Exit status: 0 good, 1 the answer is no, 2 wrong use or wrong settings.

    Example: groundswell demo --duration 60
    """
    config_file.set(config)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; errors of ours become a line on stderr."""
    try:
        get_group(app).main(args=arguments, prog_name="groundswell")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except ConfigError as error:
        return _fail(error, 2)
    except GroundswellError as error:
        return _fail(error, 1)
    return 0


_NO_BROKER: Final = (
    "is Kafka up? `groundswell up --detach --source ''` starts a stack here; "
    "kafka.bootstrap_servers says where another broker is"
)


def _fail(error: GroundswellError, status: int) -> int:
    further = [_NO_BROKER] if isinstance(error, BrokerUnavailable) else []
    for line in [*(str(error).splitlines() or [type(error).__name__]), *further]:
        typer.echo(f"groundswell: {line}", err=True)
    return status


def main() -> None:
    """Entry point of the program."""
    sys.exit(run())


if __name__ == "__main__":
    main()
