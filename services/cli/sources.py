"""``groundswell sources``: list the sources, check one, and read some of its posts."""

from __future__ import annotations

import platform
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from core.codec import encode
from core.schemas import Post
from services.cli.ingest import parse_assignments
from services.cli.settings import load_settings
from services.ingest.launch import make_source
from services.ingest.sources import SOURCES
from services.ingest.sources.base import RawRecord, Source, SourceItem, Unmappable

_POLL_ITEMS = 500
_POLL_TIMEOUT_S = 0.2

app = typer.Typer(name="sources", help="List, check and tail the sources.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Registered name of the source.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", metavar="FILE", help="TOML options of the source.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]


@app.command(name="list")
def list_sources() -> None:
    """List the registered sources and what each is.

    Exit status: 0.

    Example: groundswell sources list
    """
    for name in SOURCES.names():
        kind: type[Source] = SOURCES.get(name)
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        waits = "can wait" if kind.can_wait else "cannot wait"
        typer.echo(f"{name}: {summary} ({waits})")


@app.command()
def check(
    name: Name,
    options: OptionsFile = None,
    set_: Assignments = None,
    items: Annotated[int, typer.Option(min=1, help="How many items to look at.")] = 1_000,
    deadline_s: Annotated[float, typer.Option(min=0.1, help="Look so long at most.")] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
) -> None:
    """Open a source, without Kafka, and say what it delivers.

    Exit status: 0 it delivers posts, 1 it delivers none, 2 wrong options.

    Example: groundswell sources check replay --set path=airline.csv.gz
    """
    source = _open(name, options, set_)
    counts: Counter[str] = Counter()
    details: Counter[str] = Counter()
    started_s = time.monotonic()
    try:
        while counts.total() < items and time.monotonic() - started_s < deadline_s:
            found = source.poll(min(_POLL_ITEMS, items - counts.total()), _POLL_TIMEOUT_S)
            counts.update(_kind(item) for item in found)
            details.update(
                item.record.detail.partition(": ")[2]
                for item in found
                if isinstance(item.record, Unmappable)
            )
            if not found and source.exhausted:
                break
    finally:
        source.close()
    for kind, number in counts.most_common():
        typer.echo(f"{kind}: {number:,}")
    for detail, number in details.most_common(5):
        typer.echo(f"unmappable, {number:,} times: {detail}")
    if json_file is not None:
        report = {
            "figures": dict(counts),
            "machine": {"system": platform.platform(), "python": platform.python_version()},
            "versions": {"msgspec": msgspec.__version__},
            "seed": getattr(source.options, "seed", None),
            "settings": {"source": name, "options": msgspec.to_builtins(source.options)},
        }
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    if not counts["posts"]:
        typer.echo(f"{name} delivered no post", err=True)
        raise typer.Exit(1)


@app.command()
def tail(
    name: Name,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many posts.")] = 20,
    options: OptionsFile = None,
    set_: Assignments = None,
) -> None:
    """Print posts of a source as JSON lines, without Kafka and without moving its cursor.

    Exit status: 0 printed, 1 the source ended before the first post, 2 wrong options.

    Example: groundswell sources tail synthetic -n 5
    """
    source = _open(name, options, set_)
    printed = 0
    try:
        while printed < count:
            found = source.poll(min(_POLL_ITEMS, count - printed), _POLL_TIMEOUT_S)
            for item in found:
                if isinstance(item.record, Post):
                    typer.echo(encode(item.record).decode())
                    printed += 1
            if not found and source.exhausted:
                break
    finally:
        source.close()
    if not printed:
        raise typer.Exit(1)


def _open(name: str, options: Path | None, assignments: list[str] | None) -> Source:
    # Looking leaves nothing behind: files that a run writes are not ours to touch.
    overrides = parse_assignments(assignments or [])
    if name == "synthetic":
        overrides |= {"ledger": "", "truth": ""}
    source = make_source(load_settings(), name, options, overrides)
    source.open(None)
    return source


def _kind(item: SourceItem) -> str:
    record = item.record
    if isinstance(record, Unmappable):
        return "unmappable"
    if isinstance(record, RawRecord):
        return "raw records"
    if not isinstance(record, Post):
        return "events"
    return "duplicates" if item.duplicate else "posts"
