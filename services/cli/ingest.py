"""``groundswell ingest``: one source to Kafka, until it ends or is told to stop."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from services.cli.settings import load_settings
from services.ingest.launch import make_source, run_ingest

_REPLAY = "Replay"
_SYNTHETIC = "Synthetic"


OPTION_OF: Final[dict[str, dict[str, str]]] = {
    "replay": {
        "speed": "speed",
        "rate": "rate_posts_per_s",
        "seed": "seed",
        "posts": "limit_rows",
        "path": "path",
        "format": "format",
        "times": "times",
        "lang": "constants.lang",
        "delimiter": "delimiter",
        "encoding": "encoding",
        "order": "order",
        "time_format": "time_format",
        "column": "columns",
        "shuffle_within": "shuffle_within_s",
    },
    "synthetic": {
        "speed": "speed",
        "rate": "posts_per_s",
        "seed": "seed",
        "posts": "posts",
        "duration_s": "duration_s",
        "authors": "authors",
        "malformed_share": "malformed_share",
        "start_at": "start_at",
        "history_s": "history_s",
        "ledger": "ledger",
        "truth": "truth",
    },
}
"""Source -> word of the command line -> option; other sources take `--options` and `--set`."""


def ingest(
    source: Annotated[
        str, typer.Option(help="Registered source; else the setting ingest.source.")
    ] = "",
    options: Annotated[
        Path | None,
        typer.Option("--options", metavar="FILE", help="TOML options of the source."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the stored cursor: start at the beginning.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
    ] = None,
    cursor_dir: Annotated[
        Path | None, typer.Option(help="Where the cursor is; else ingest.cursor_dir.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0, help="Times the recorded or real speed; 0: as fast as possible."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Posts per second (synthetic: of event time).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generator or shuffle.")] = None,
    posts: Annotated[int | None, typer.Option(min=0, help="End after so many posts.")] = None,
    path: Annotated[
        Path | None,
        typer.Option("--path", metavar="FILE", help="File to replay.", rich_help_panel=_REPLAY),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="auto, csv, jsonl, json or raw.", rich_help_panel=_REPLAY),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            help="Between cells: a character, or tab, semicolon.", rich_help_panel=_REPLAY
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Such as cp1252; else found.", rich_help_panel=_REPLAY)
    ] = None,
    order: Annotated[
        str | None, typer.Option(help="auto, time or file.", rich_help_panel=_REPLAY)
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help="auto, iso, epoch_s, day_first, …", rich_help_panel=_REPLAY),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=NAME",
            help="text=Body and the like; repeatable.",
            rich_help_panel=_REPLAY,
        ),
    ] = None,
    times: Annotated[
        str | None, typer.Option(help="recorded or shifted.", rich_help_panel=_REPLAY)
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(help="Language of all posts, such as en.", rich_help_panel=_REPLAY),
    ] = None,
    shuffle_within: Annotated[
        float | None,
        typer.Option(min=0, help="Shuffle inside so many event seconds.", rich_help_panel=_REPLAY),
    ] = None,
    duration_s: Annotated[
        float | None,
        typer.Option(min=0, help="End after so much event time.", rich_help_panel=_SYNTHETIC),
    ] = None,
    authors: Annotated[
        int | None, typer.Option(min=10, help="Accounts.", rich_help_panel=_SYNTHETIC)
    ] = None,
    malformed_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of broken messages.", rich_help_panel=_SYNTHETIC),
    ] = None,
    start_at: Annotated[
        str | None, typer.Option(help="Event time begins, RFC 3339.", rich_help_panel=_SYNTHETIC)
    ] = None,
    history_s: Annotated[
        float | None,
        typer.Option(min=0, help="Event time begins so long ago.", rich_help_panel=_SYNTHETIC),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="One line per item.", rich_help_panel=_SYNTHETIC),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Schedule and truth.", rich_help_panel=_SYNTHETIC),
    ] = None,
) -> None:
    """Bring the posts of one source to Kafka.

    Goes on from the stored cursor; ends with a bounded source, or on SIGTERM once Kafka has
    acknowledged what was sent. What each option means: docs/sources.md.

    Exit status: 0 ended or stopped, 1 the broker refuses, 2 wrong options or settings.

    Example: groundswell ingest --source synthetic --posts 100000 --speed 0

    Example: groundswell ingest --source replay --path airline.csv.gz --lang en --speed 600
    """
    given: dict[str, Any] = {
        "speed": speed,
        "rate": rate,
        "seed": seed,
        "posts": posts,
        "path": None if path is None else str(path),
        "format": format_,
        "times": times,
        "lang": lang,
        "delimiter": delimiter,
        "encoding": encoding,
        "order": order,
        "time_format": time_format,
        "column": _columns(column),
        "shuffle_within": shuffle_within,
        "duration_s": duration_s,
        "authors": authors,
        "malformed_share": malformed_share,
        "start_at": start_at,
        "history_s": history_s,
        "ledger": None if ledger is None else str(ledger),
        "truth": None if truth is None else str(truth),
    }
    settings = load_settings()
    if cursor_dir is not None:
        kept = msgspec.structs.replace(settings.ingest, cursor_dir=str(cursor_dir))
        settings = msgspec.structs.replace(settings, ingest=kept)
    name = source or settings.ingest.source
    overrides = merged(chosen_options(name, given), parse_assignments(set_ or []))
    status = run_ingest(settings, make_source(settings, name, options, overrides), fresh=fresh)
    if status:
        raise typer.Exit(status)


def _columns(assignments: Sequence[str] | None) -> dict[str, Any] | None:
    """Return what `--column FIELD=NAME` says; names are taken as they stand."""
    if assignments is None:
        return None
    pairs = [assignment.partition("=") for assignment in assignments]
    if not all(field and name for field, _, name in pairs):
        raise typer.BadParameter("--column: expected FIELD=NAME, such as text=Body")
    return {field: name for field, _, name in pairs}


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of which the second win, tables key by key."""
    found = dict(first)
    for key, value in second.items():
        before = found.get(key)
        is_table = isinstance(before, dict) and isinstance(value, dict)
        found[key] = {**before, **value} if is_table else value  # type: ignore[dict-item]
    return found


def chosen_options(source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return option -> value of a source for what the command line gives.

    Raises:
        typer.BadParameter: an option that this source does not have.
    """
    known = OPTION_OF.get(source, {})
    chosen: dict[str, Any] = {}
    for word, value in given.items():
        if value is None:
            continue
        if word not in known:
            flag = "--" + word.replace("_", "-")
            raise typer.BadParameter(f"{flag} is not an option of the source {source!r}")
        table, _, key = known[word].rpartition(".")
        if table:
            chosen.setdefault(table, {})[key] = value
        else:
            chosen[key] = value
    return chosen


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Return what `--set KEY=VALUE` says; values are TOML, bare words are strings.

    A dot in a key leads into a table: `columns.text=Body`.

    Raises:
        typer.BadParameter: no `=`, or no key.

    Example:
        >>> parse_assignments(["late_share=0.5", "times=shifted"])
        {'late_share': 0.5, 'times': 'shifted'}
        >>> parse_assignments(["columns.text=Text", "columns.time=Datetime"])
        {'columns': {'text': 'Text', 'time': 'Datetime'}}
    """
    found: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"--set {assignment}: expected KEY=VALUE")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table, dot, inner = key.partition(".")
        if dot:
            tree = found.setdefault(table, {})
            if not isinstance(tree, dict):
                raise typer.BadParameter(f"--set {assignment}: {table} was given a value before")
            tree[inner] = value
        else:
            found[key] = value
    return found
