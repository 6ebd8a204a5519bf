"""``groundswell dead-posts``: what could not be used, and why; opened for whoever has the key.

What `--unseal` shows may name people: it is for the terminal of an operator and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from core.clock import SystemClock
from core.codec import dead_post_decoder
from core.errors import ConfigError, DecodeError
from core.sealing import Sealer
from services.cli.settings import load_settings
from services.dead_letters import ReplayRefused, replay
from services.ingest.samples import SampleStore
from services.kafka_client import read_topic
from stream.topics import DEAD_POSTS

app = typer.Typer(
    name="dead-posts",
    help="Show messages that could not be used, and send them again.",
    no_args_is_help=True,
)

Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many, newest last.")]
Unseal = Annotated[
    bool,
    typer.Option("--unseal", help="Also show the messages; sealed ones need ingest.author_key."),
]


class _Line(Struct, frozen=True):
    """What is shown of a message, wherever it is kept."""

    at: datetime
    place: str
    what: str
    size: int
    payload: bytes
    sealed_by: str


@app.command()
def show(
    count: Count = 20,
    unseal: Unseal = False,
    reason: Annotated[str, typer.Option(help="Only of this reason, such as unmappable.")] = "",
) -> None:
    """Show the newest records of the topic `dead-posts`: when, place, why, where from, how large.

    Messages may name people. They are encrypted under `ingest.author_key` where there is one, and
    shown with `--unseal` only, by whoever has that key.

    Exit status: 0 shown, 1 there are none or the broker does not answer, 2 wrong settings or
    another key.

    Example: groundswell dead-posts show -n 5 --reason unmappable --unseal
    """
    settings = load_settings(find_stack=True)
    lines: list[_Line] = []
    for record in read_topic(settings.kafka, DEAD_POSTS):
        try:
            dead = dead_post_decoder.decode(record.value or b"")
        except DecodeError as error:
            typer.echo(f"offset {record.offset} is no dead letter: {error.reason}", err=True)
            continue
        if reason in ("", dead.reason):
            place = f"{dead.topic}[{dead.partition}]@{dead.offset}"
            what = f"{dead.reason}  {dead.detail}  {'' if dead.offset < 0 else place}"
            lines.append(
                _Line(
                    dead.dead_at,
                    f"{record.offset}  ",
                    what.strip(),
                    dead.size,
                    dead.payload,
                    dead.sealed_by,
                )
            )
            del lines[:-count]
    _print(lines, Sealer(settings.ingest.author_key), unseal)


@app.command()
def samples(
    source: Annotated[str, typer.Argument(help="Registered name of the source.")],
    count: Count = 20,
    unseal: Unseal = False,
) -> None:
    """Show the samples that ingest keeps of a source's items that could not become posts.

    Exit status: 0 shown, 1 there are none, 2 wrong settings or another key.

    Example: groundswell dead-posts samples bluesky --unseal
    """
    ingest = load_settings().ingest
    store = SampleStore(Path(ingest.cursor_dir), source, SystemClock())
    kept = reversed(store.samples()[:count])
    lines = [_Line(one.at, "", one.detail, one.size, one.payload, one.sealed_by) for one in kept]
    _print(lines, Sealer(ingest.author_key), unseal)


@app.command("replay")
def send(
    place: Annotated[int, typer.Argument(min=0, help="Its place, as `show` says it.")],
    record: Annotated[
        Path | None,
        typer.Option("--record", help="File with the record, repaired, as JSON; else as kept."),
    ] = None,
) -> None:
    """Send the record of a dead letter to its topic again, as it was kept or repaired.

    It counts once, however often it is sent: a post that was counted is known by its id. If it is
    still no good nothing is sent.

    Exit status: 0 every replica has it, 1 refused or the broker does not answer, 2 wrong settings.

    Example: groundswell dead-posts replay 12 --record mended.json
    """
    settings = load_settings(find_stack=True)
    try:
        repaired = None if record is None else record.read_bytes()
    except OSError as error:
        raise ConfigError(f"--record = {record}: {error.strerror}") from error
    try:
        sent = replay(settings, place, repaired)
    except ReplayRefused as error:
        typer.echo(f"nothing was sent: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"sent to {sent.topic}: {_printable(sent.post_id)} of {_printable(sent.source)}")


def _print(lines: Iterable[_Line], sealer: Sealer, unseal: bool) -> None:
    is_any, fault = False, ""
    for line in lines:
        is_any = True
        sealed = f"  sealed by {line.sealed_by}" if line.sealed_by and line.payload else ""
        what = f"{line.what}  {line.size:,} bytes{sealed}"
        typer.echo(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.place}{_printable(what)}")
        if unseal and line.payload:
            try:
                # As its escapes: what came may hold what a terminal obeys.
                typer.echo(f"    {sealer.open(line.payload, line.sealed_by)!a}")
            except ConfigError as error:
                fault = str(error)
                typer.echo("    not opened")
    if fault:
        raise ConfigError(fault)
    if not is_any:
        typer.echo("none", err=True)
        raise typer.Exit(1)


def _printable(text: str) -> str:
    """Return a text with the escapes of what a terminal obeys: a stranger's record has any."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
