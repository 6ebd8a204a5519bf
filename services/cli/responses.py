"""``groundswell responses``: how people answer what takes off."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from core.report import write_report
from core.text import printable
from services.cli.settings import load_settings
from services.responder.crowd_told import in_words
from services.responder.showing import EventRow, ReplyRow, read_responses

app = typer.Typer(
    name="responses",
    help="Show how people answer posts that take off.",
    no_args_is_help=True,
)

_MARKS: Final = {"real": "real", "quoted": "quoted of a past event", "generated": "generated"}


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own while it is the only one."""


@app.command()
def show(
    last: Annotated[int, typer.Option("--last", min=1, max=1_000, help="So many events.")] = 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write it to this file.")
    ] = None,
) -> None:
    """Show the last posts that take off, how their crowds answer, and replies.

    Each reply is marked real, quoted or generated. Sentiment is that of the scorer.

    What its author has deleted says "deleted".

    Exit status: 0 shown, 1 no response is kept.

    Example: groundswell responses show --last 5 --json responses.json
    """
    view = asyncio.run(read_responses(load_settings(), last))
    if json_file is not None:
        write_report(
            json_file, "responses show", view.figures(), settings={"last": last},
            tables={
                "events": [event.fields() for event in view.events],
                "replies": [row.fields() for event in view.events for row in event.replies],
            },
            notes=view.notes,
        )  # fmt: skip
    for note in view.notes:
        typer.echo(note, err=True)
    for event in view.events:
        print_event(event)
    if not view.events:
        typer.echo("no response is kept: nothing has taken off, or no responder runs")
        raise typer.Exit(1)


def print_event(event: EventRow) -> None:
    """Print what is shown of an event; texts of people are one line each and obeyed by nobody."""
    told = event.response
    typer.echo(f"{told.source} {printable(told.post_id)}  {told.state}, {told.seen} replies")
    typer.echo(f"  {printable(event.text) or '(its text is not remembered)'}")
    if told.crowd is not None:
        typer.echo(f"  {printable(in_words(told.crowd))}")
    for row in event.replies:
        typer.echo(f"    [{_mark(row)}] {printable(row.text)}")
    if told.no_forecast:
        typer.echo(f"    no forecast: {told.no_forecast}")


def _mark(row: ReplyRow) -> str:
    likes = "" if row.likes is None else f", {row.likes} likes"
    return f"{_MARKS[row.kind]}{likes}"
