"""``groundswell ingest``: one source to Kafka, until it ends or is told to stop."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import typer

from services.cli.settings import load_settings
from services.ingest.launch import make_source, run_ingest


class _Word(NamedTuple):
    """A word of the command line that becomes an option of a source.

    Attributes:
        name: The word, with underscores.
        kind: The type of its value.
        help: What the help says of it.
        replay: The option of the source replay that it is, "" for none; a dot leads into a table.
        synthetic: The option of the source synthetic that it is, "" for none.
        further: What else `typer.Option` is told.
    """

    name: str
    kind: Any
    help: str
    replay: str = ""
    synthetic: str = ""
    further: Mapping[str, Any] = {}


_NOT_NEGATIVE: Final = {"min": 0}
_FILE: Final = {"metavar": "FILE"}
_WORDS: Final = (
    _Word("speed", float, "Times the recorded or real speed; 0: as fast as possible.",
          "speed", "speed", _NOT_NEGATIVE),
    _Word("rate", float, "Posts per second (synthetic: of event time).",
          "rate_posts_per_s", "posts_per_s", _NOT_NEGATIVE),
    _Word("seed", int, "Seed of the generator or shuffle.", "seed", "seed"),
    _Word("posts", int, "End after so many posts.", "limit_rows", "posts", _NOT_NEGATIVE),
    _Word("path", Path, "File to replay.", "path", "", _FILE),
    _Word("format", str, "auto, csv, jsonl, json or raw.", "format"),
    _Word("delimiter", str, "Between cells: a character, or tab, semicolon.", "delimiter"),
    _Word("encoding", str, "Such as cp1252; else found.", "encoding"),
    _Word("order", str, "auto, time or file.", "order"),
    _Word("time_format", str, "auto, iso, epoch_s, day_first, …", "time_format"),
    _Word("column", list[str], "text=Body and the like; repeatable.", "columns", "",
          {"metavar": "FIELD=NAME"}),
    _Word("times", str, "recorded or shifted.", "times"),
    _Word("lang", str, "Language of all posts, such as en.", "constants.lang"),
    _Word("shuffle_within", float, "Shuffle inside so many event seconds.", "shuffle_within_s", "",
          _NOT_NEGATIVE),
    _Word("duration_s", float, "End after so much event time.", "", "duration_s", _NOT_NEGATIVE),
    _Word("authors", int, "Accounts.", "", "authors", {"min": 10}),
    _Word("malformed_share", float, "Of broken messages.", "", "malformed_share",
          {"min": 0, "max": 1}),
    _Word("start_at", str, "Event time begins, RFC 3339.", "", "start_at"),
    _Word("history_s", float, "Event time begins so long ago.", "", "history_s", _NOT_NEGATIVE),
    _Word("ledger", Path, "One line per item.", "", "ledger", _FILE),
    _Word("truth", Path, "Schedule and truth.", "", "truth", _FILE),
)  # fmt: skip
"""The words of the two sources that people start by hand; others take `--options` and `--set`."""


def _with_words(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with `**words` a parameter for each of `_WORDS`, for typer to read."""
    written = inspect.signature(command, eval_str=True)
    parameters = [p for p in written.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for word in _WORDS:
        is_shared = word.replay and word.synthetic
        panel = None if is_shared else "Replay" if word.replay else "Synthetic"
        option = typer.Option(help=word.help, rich_help_panel=panel, **word.further)
        kind = Annotated[word.kind | None, option]
        parameters.append(
            inspect.Parameter(
                word.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind
            )
        )
    vars(command)["__signature__"] = written.replace(parameters=parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return command


SourceName = Annotated[str, typer.Option(help="Registered source; else the setting ingest.source.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", metavar="FILE", help="TOML options of the source.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Forget the stored cursor: start at the beginning.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]
CursorDir = Annotated[
    Path | None, typer.Option(help="Where the cursor is; else ingest.cursor_dir.")
]


@_with_words
def ingest(
    source: SourceName = "",
    options: OptionsFile = None,
    fresh: Fresh = False,
    set_: Assignments = None,
    cursor_dir: CursorDir = None,
    **words: Any,
) -> None:
    """Bring the posts of one source to Kafka.

    Goes on from the stored cursor; ends with a bounded source, or on SIGTERM once Kafka has
    acknowledged what was sent. What each option means: docs/sources.md.

    Exit status: 0 ended or stopped, 1 the broker refuses, 2 wrong options or settings.

    Example: groundswell ingest --source synthetic --posts 100000 --speed 0

    Example: groundswell ingest --source replay --path airline.csv.gz --lang en --speed 600
    """
    given = {k: str(value) if isinstance(value, Path) else value for k, value in words.items()}
    given["column"] = _columns(words["column"])
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
        typer.BadParameter: An option that this source does not have.
    """
    known = {
        word.name: option
        for word in _WORDS
        if (option := {"replay": word.replay, "synthetic": word.synthetic}.get(source))
    }
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
        typer.BadParameter: There is no `=`, or no key.

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
