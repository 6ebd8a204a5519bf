"""What ``groundswell queries backfill`` and ``preview`` do, on the broker and the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from core.clock import SystemClock, epoch_ms
from core.folders import catalog_file
from core.giving_way import give_way
from core.suggest import did_you_mean
from services.backfill.preview import preview_now
from services.backfill.run import ADDING, READING, WAITING, Past
from services.backfill.run import backfill as backfill_now
from services.cli.settings import load_settings
from services.cli.windows import duration_s
from services.cli.windows_table import WindowRow, print_windows
from services.kafka_client import TopicAdmin
from stream.queries import CatalogError, Query, QueryCatalog, QuerySyntaxError, load_catalog, parse
from stream.topics import POSTS
from stream.windows.layout import add_into, named
from stream.windows.records import PaneSum
from stream.windows.summary import summarise

_WHEN: Final = "%Y-%m-%d %H:%M"
_NOT_DONE: Final = 3


def give_its_past(name: str, path: Path | None, share: float, wait_s: float) -> None:
    """Count a query of the catalog at `path` in the windows that are kept, and say how it went.

    Raises:
        typer.Exit: 2 there is no such query, 3 some posts cannot be read any more.
        GroundswellError: It is not done; the message says why.
    """
    settings = load_settings(find_stack=True)
    path = path or catalog_file(settings.queries.path)
    catalog, query = _found(path, name)
    give_way()
    with _Shown(name) as shown:
        past = asyncio.run(
            backfill_now(
                settings,
                catalog,
                query,
                file=path,
                share=share,
                wait_s=wait_s,
                on_progress=shown.show,
            )
        )
    _print_past(name, past)


def _found(path: Path, name: str) -> tuple[QueryCatalog, Query]:
    """Return the catalog and the query of it, or exit with what is wrong."""
    try:
        catalog = load_catalog(path)
    except CatalogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    query = next((one for one in catalog.queries if one.name == name), None)
    if query is None:
        near = did_you_mean(name, [one.name for one in catalog.queries])
        typer.echo(f"{path} has no query {name!r}{near}", err=True)
        raise typer.Exit(2)
    return catalog, query


class _Shown:
    """What a back-fill does and how far it is: a bar on a terminal, else a line each time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = ""
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=Console(stderr=True),
        )  # fmt: skip
        self._task = self._bar.add_task(f"{name}: {WAITING}", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, past: Past) -> None:
        """Show how far it is; where nobody knows how much there is, only what is done."""
        looked_at, total = past.total("looked_at"), past.total("total")
        is_known = past.doing == ADDING and total > 0
        self._bar.update(
            self._task, description=f"{self._name}: {past.doing}", completed=looked_at,
            total=total if is_known else None,
        )  # fmt: skip
        said = f"{self._name}: {past.doing}"
        if past.doing != READING:
            said += f", {looked_at} of {total} posts looked at"
        if not self._bar.console.is_terminal and said != self._said:
            self._said = said
            typer.echo(said, err=True)


def _print_past(name: str, past: Past) -> None:
    typer.echo(f"{name}: {past.total('added')} posts added, {past.total('looked_at')} looked at")
    if past.begin_s >= 0:
        since = datetime.fromtimestamp(past.begin_s, UTC).strftime(_WHEN)
        typer.echo(f"its past begins at {since} UTC: the topics reach no further back")
    if missing := past.total("missing") + past.unreadable:
        typer.echo(f"{missing} posts are left out: they cannot be read any more", err=True)
    if past.uncertain:
        typer.echo(
            f"{past.uncertain} edits or deletions came too late to be certain of them", err=True
        )
    if missing:
        raise typer.Exit(_NOT_DONE)


def show_preview(expression: str, last: str, window: str, posts: int) -> None:
    """Print what an expression would have counted in the last hours.

    Raises:
        typer.BadParameter: A duration is none, or the window no multiple of the pane.
        typer.Exit: 2 the expression is wrong, 3 nothing can be said yet.
    """
    settings = load_settings(find_stack=True)
    last_s, length_s, pane_s = duration_s(last), duration_s(window), settings.windows.pane_s
    if length_s % pane_s:
        raise typer.BadParameter(f"--window {window}: expected a multiple of the pane, {pane_s} s")
    query = _parsed(expression)
    now_ms = epoch_ms(SystemClock().now())
    with TopicAdmin(settings.kafka) as admin:
        (topic,) = admin.describe([POSTS])
    found = asyncio.run(preview_now(settings, query, topic.partitions, now_ms, last_s, posts))
    windows: dict[int, PaneSum] = {}
    for start_s, pane in sorted(found.panes.items()):
        whole = windows.setdefault(start_s // length_s * length_s, PaneSum())
        add_into(whole.counters, pane.counters)
        whole.authors += pane.authors
    rows = [_row(start_s, pane) for start_s, pane in windows.items()]
    since = datetime.fromtimestamp(found.begin_s, UTC).strftime(_WHEN)
    if found.begin_s * 1000 > now_ms:
        typer.echo(f"nothing can be said yet: windows are whole from {since} UTC on", err=True)
        raise typer.Exit(_NOT_DONE)
    matching = sum(row.summary.posts for row in rows)
    typer.echo(f"{matching} of {found.looked_at} posts since {since} UTC match")
    if rows:
        print_windows(expression, rows, length_s, "sentiment")


def _parsed(expression: str) -> Query:
    try:
        return Query("preview", parse(expression), written=expression)
    except QuerySyntaxError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _row(start_s: int, pane: PaneSum) -> WindowRow:
    counters = named(pane.counters)
    return WindowRow(start_s, counters, summarise(counters, pane.authors), "preview", "")
