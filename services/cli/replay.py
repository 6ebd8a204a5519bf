"""What the commands say of a file before they start to replay it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from services.cli.ingest import parse_assignments
from services.ingest.cursor_store import CursorStore
from services.ingest.options import load_options
from services.ingest.replay.preview import Preview, command_lines, preview
from services.ingest.sources.base import SourceContext
from services.ingest.sources.replay.options import NeedsOption, ReplayOptions
from services.ingest.sources.replay.source import ReplaySource

LOOK_S: Final = 30.0
"""So long at most is a file looked at before a stack starts; `sources check` looks at all of it."""


def read_options(
    file: Path | None, assignments: Sequence[str] | None, data: Path | None = None
) -> ReplayOptions:
    """Return the options of the replay source for what a command line says.

    Raises:
        ConfigError: An option is wrong.
    """
    overrides: dict[str, Any] = {"path": None if data is None else str(data)}
    return load_options(ReplayOptions, file, overrides | parse_assignments(assignments or ()))


def show_preview(
    options: ReplayOptions,
    command: Sequence[str],
    budget_s: float | None = None,
    look: Callable[..., Preview] = preview,
) -> Preview:
    """Look at a file, and print what it will become.

    Raises:
        typer.Exit: With status 2 and what mends it, if nothing can be read.
    """
    path = Path(options.path)
    try:
        found = look(path, options, budget_s)
    except NeedsOption as error:
        typer.echo(f"groundswell: {error}", err=True)
        for remedy in error.remedies:
            typer.echo("\n".join(command_lines([*command, "--set", remedy])), err=True)
        raise typer.Exit(2) from None
    typer.echo("\n".join(found.lines(command)))
    return found


def preview_for_stack(
    command: str,
    data: Path | None,
    file: Path | None,
    assignments: Sequence[str] | None,
    cursor_dir: Path,
    *,
    fresh: bool,
) -> None:
    """Say what a file will become before a stack starts for it, and refuse what cannot be read.

    Args:
        command: `up` or `demo`.
        data: The file, as `--data` names it; None leaves it to the options.
        file: TOML file of the source's options.
        assignments: What `--set` says.
        cursor_dir: Where the stack keeps the cursor of its source.
        fresh: Whether the stack begins with an empty broker and store.

    Raises:
        ConfigError: An option is wrong, or a run with other options was not brought to its end.
        typer.Exit: With status 2 and what mends it, if nothing can be read.
    """
    options = read_options(file, assignments, data)
    if not options.path:
        return  # who starts the source says it
    given: Mapping[str, Any] = {"--data": data, "--options": file}
    words = ["groundswell", command, "--source", "replay"]
    for name, value in given.items():
        words += [] if value is None else [name, str(value)]
    for assignment in assignments or ():
        words += ["--set", assignment]
    show_preview(options, words, LOOK_S)
    if not fresh:
        source = ReplaySource(options, SourceContext(cursor_dir))
        CursorStore(cursor_dir, source.name).load(source.fingerprint())
