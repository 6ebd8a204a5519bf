"""``groundswell sources``: list the sources, show and check one, read some of its posts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace

from core.codec import encode
from core.errors import ConfigError
from core.report import write_report
from core.schemas import Post
from core.settings import Secret
from services.cli.ingest import parse_assignments
from services.cli.settings import load_settings
from services.cli.source_look import POLL_ITEMS, POLL_TIMEOUT_S, Look
from services.ingest.edge import Edge
from services.ingest.launch import make_source
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source, SourceItem
from services.ingest.sources.options import describe_options

_CHECKED_ITEMS = 1_000
_CHECK_S = 10.0

app = typer.Typer(
    name="sources", help="List, show, check and tail the sources.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Registered name of the source.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", metavar="FILE", help="TOML options of the source.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]


Items = Annotated[int | None, typer.Option(min=1, help="How many items to look at; else 1,000.")]
Deadline = Annotated[
    float | None, typer.Option(min=0.1, help="Look so long at most; else 10 seconds.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
]


@app.command(name="list")
def list_sources() -> None:
    """List the registered sources and what each is.

    A live source is of people who speak now: it hides its authors. One that can wait is slowed
    while Kafka is; of one that cannot, items are lost then, and counted.

    Exit status: 0.

    Example: groundswell sources list
    """
    for name in SOURCES.names():
        try:
            kind: type[Source] = SOURCES.get(name)
        except ConfigError as error:  # an optional package that is not installed
            typer.echo(f"{name}: {error}")
            continue
        typer.echo(f"{name}: {_title(kind)} ({_kind_of(kind)})")


@app.command()
def show(name: Name) -> None:
    """Print what a source needs, what its platform allows, and every option it has.

    Exit status: 0 printed, 2 no such source.

    Example: groundswell sources show mastodon
    """
    kind: type[Source] = SOURCES.get(name)
    typer.echo(f"{name}: {_title(kind)} ({_kind_of(kind)})")
    for word, sentences in (
        ("needs", kind.manifest.needs),
        ("limits", kind.manifest.limits),
    ):
        for sentence in sentences:
            typer.echo(f"{word:8} {sentence}")
    typer.echo("options, each as --set OPTION=VALUE or in the file of --options:")
    for option, default, meaning in describe_options(kind.Options):
        typer.echo(f"  {option} = {default}{': ' if meaning else ''}{meaning}")


def _title(kind: type[Source]) -> str:
    return kind.manifest.title or (kind.__doc__ or "").strip().partition("\n")[0]


def _kind_of(kind: type[Source]) -> str:
    return ("live, " if kind.is_live else "") + ("can wait" if kind.can_wait else "cannot wait")


@app.command()
def check(
    name: Name,
    options: OptionsFile = None,
    set_: Assignments = None,
    items: Items = None,
    deadline_s: Deadline = None,
    json_file: JsonFile = None,
) -> None:
    """Open a source, without Kafka, and say what it delivers.

    Of a live one also how fast, how late, in which languages, and why sessions ended. Of a file
    to be replayed all of it: its format, columns, span and order, the first post as it will be
    counted, what will not be counted and why, and what mends it. Its stored cursor is neither used
    nor moved.

    Exit status: 0 it delivers posts (of a file: all of its rows), 1 it delivers none (of a file:
    not all), 2 wrong options, or nothing can be read.

    Example: groundswell sources check bluesky --deadline-s 20

    Example: groundswell sources check replay --set path=airline.csv.gz
    """
    if name == "replay":
        _check_file(options, set_, items, deadline_s, json_file)
        return
    source, edge = _open(name, options, set_)
    seen = Look()
    try:
        seen.look(source, edge, items or _CHECKED_ITEMS, deadline_s or _CHECK_S)
    finally:
        source.close()
    for line in seen.lines(source):
        typer.echo(line)
    figures = dict(seen.counts) | (seen.figures() if source.is_live else {})
    _write_figures(json_file, figures, name, source.options)
    if not seen.counts["posts"]:
        typer.echo(f"{name} delivered no post", err=True)
        raise typer.Exit(1)


def _check_file(
    options_file: Path | None,
    assignments: list[str] | None,
    items: int | None,
    deadline_s: float | None,
    json_file: Path | None,
) -> None:
    """Look at all of a file, unless a bound is given."""
    from services.cli.replay import read_options, show_preview

    overrides = [*(assignments or ()), *([f"limit_rows={items}"] if items else ())]
    options = read_options(options_file, overrides)
    words = ["groundswell", "sources", "check", "replay"]
    words += ["--options", str(options_file)] if options_file else []
    for assignment in assignments or ():
        words += ["--set", assignment]
    found = show_preview(options, words, deadline_s)
    figures = {"posts": float(found.survey.posts)}
    figures |= {
        name: float(number)
        for name, number in (
            ("unmappable", found.survey.faults.total()),
            ("repeated", found.survey.repeated),
            ("left_out", found.survey.left_out.total()),
        )
        if number
    }
    _write_figures(json_file, figures, "replay", options)
    if not found.all_count:
        raise typer.Exit(1)


def _write_figures(
    json_file: Path | None, figures: Mapping[str, float], name: str, options: msgspec.Struct
) -> None:
    if json_file is not None:
        settings = {"source": name, "options": msgspec.to_builtins(options)}
        seed = getattr(options, "seed", None)
        write_report(json_file, "sources check", figures, settings=settings, seed=seed)


@app.command()
def tail(
    name: Name,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many posts.")] = 20,
    options: OptionsFile = None,
    set_: Assignments = None,
) -> None:
    """Print posts of a source as JSON lines, without Kafka and without moving its cursor.

    Posts are as they would reach Kafka. Without `ingest.author_key` the authors of a live source
    are hidden by a key that is made up for this one look.

    Exit status: 0 printed, 1 the source ended before the first post, 2 wrong options.

    Example: groundswell sources tail synthetic -n 5
    """
    source, edge = _open(name, options, set_)
    printed = 0
    try:
        while printed < count:
            found = edge(source.poll(min(POLL_ITEMS, count - printed), POLL_TIMEOUT_S))
            for item in found:
                if isinstance(item.record, Post) and printed < count:
                    typer.echo(encode(item.record).decode())
                    printed += 1
            if not found and source.exhausted:
                break
    finally:
        source.close()
    if not printed:
        raise typer.Exit(1)


def _open(
    name: str, options: Path | None, assignments: list[str] | None
) -> tuple[Source, Callable[[Sequence[SourceItem]], Sequence[SourceItem]]]:
    # Looking leaves nothing behind: files that a run writes are not ours to touch.
    overrides = parse_assignments(assignments or [])
    if name == "synthetic":
        overrides |= {"ledger": "", "truth": ""}
    settings = load_settings()
    if not settings.ingest.author_key and SOURCES.get(name).is_live:
        key = Secret(secrets.token_hex())
        settings = replace(settings, ingest=replace(settings.ingest, author_key=key))
    source = make_source(settings, name, options, overrides)
    source.open(None)
    return source, Edge(source, settings.ingest, source.context.metrics)
