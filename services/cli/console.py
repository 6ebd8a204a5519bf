"""``groundswell console``: the API and the page, and who may use them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.clock import SystemClock
from core.console_settings import ConsoleSettings
from services.cli.settings import load_settings
from services.console.keys import KeyRing, Role
from services.console.sessions import KEYS_FILE, LINK_FILE

app = typer.Typer(name="console", help="Serve the API and the page for people.")
keys = typer.Typer(
    name="keys",
    help="Make, list, take away keys.\n\nExample: groundswell console keys add ann",
    no_args_is_help=True,
)
app.add_typer(keys)


@app.callback(invoke_without_command=True)
def console(context: typer.Context) -> None:
    """Serve the API and the page, until SIGTERM.

    Nobody comes in without a key, or, in the local stack, its link.

    Example: GROUNDSWELL__METRICS__PORT=9107 groundswell console
    """
    if context.invoked_subcommand is not None:
        return
    from services.console.process import main

    main(load_settings())


@app.command()
def link() -> None:
    """Print the link that lets a browser into the console of the local stack, once.

    Exit status: 0 printed, 1 no console with a link runs here.

    Example: groundswell console link
    """
    file = Path(_settings().data_dir) / LINK_FILE
    try:
        typer.echo(file.read_text(encoding="utf-8").strip())
    except OSError:
        typer.echo(f"no console with a link runs here: there is no {file}", err=True)
        raise typer.Exit(1) from None


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is: letters, digits, . _ @ -")],
    role: Annotated[Role, typer.Option(help="What they may see.")] = Role.VIEWER,
) -> None:
    """Make a key and print it: this once, for only its hash is kept.

    Viewers see numbers and alerts, analysts posts too, operators also who has keys.

    Example: groundswell console keys add dashboard --role viewer
    """
    typer.echo(_ring().add(name, role, SystemClock().now()))


@keys.command("list")
def list_keys() -> None:
    """List who has a key, with the role.

    Example: groundswell console keys list
    """
    ring = _ring()
    ring.load()
    for one in ring.all():
        note = "  of an earlier version, good no more: take it away" if one.is_outdated else ""
        typer.echo(f"{one.name:24} {one.role:10} {one.created:%Y-%m-%d %H:%M} UTC{note}")


@keys.command()
def remove(name: Annotated[str, typer.Argument(help="Whose key is good no more.")]) -> None:
    """Take a key away; the console notices by itself, and its sessions end.

    Exit status: 0 taken away, 1 there is none of this name.

    Example: groundswell console keys remove dashboard
    """
    if not _ring().remove(name):
        typer.echo(f"nobody called {name!r} has a key", err=True)
        raise typer.Exit(1)


def _settings() -> ConsoleSettings:
    return load_settings(find_stack=True).console


def _ring() -> KeyRing:
    settings = _settings()
    ring = KeyRing(Path(settings.data_dir) / KEYS_FILE)
    ring.accept(settings.operator_key, SystemClock().now())
    return ring
