"""``groundswell windows``: panes for people (table, sparkline) and for programs (JSON lines)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
import typer

from core.clock import epoch_ms, from_epoch_ms
from core.errors import StoreUnavailable
from core.heads import COUNTED_HEADS
from core.settings import Settings
from core.suggest import did_you_mean
from services.bootstrap import make_store
from services.cli.settings import load_settings
from services.cli.windows_table import print_corrected, print_windows, row_of
from services.corrected_shares import ShareCorrector
from services.durations import seconds_of
from services.local import runfile
from services.repair.run import Wanted, repair_now
from services.windows_view import PaneView, all_panes
from stream.store.quarantine import EVERY, Missing
from stream.windows.layout import cap_strata
from stream.windows.summary import sliding

app = typer.Typer(name="windows", help="Show, dump and repair windows.", no_args_is_help=True)

SHARES: Final = (*COUNTED_HEADS, "mobilisation")


def _known_head(name: str) -> str:
    """Return the name of a head that panes count, or `mobilisation`."""
    if name not in SHARES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(SHARES)}")
    return name


def duration_s(text: str) -> int:
    """Return the seconds of "90", "90s", "5m", "2h" or "1d".

    Raises:
        typer.BadParameter: anything else, or zero.

    Example:
        >>> duration_s("5m"), duration_s("90")
        (300, 90)
    """
    try:
        return seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def show(
    query: Annotated[str, typer.Argument(help="Name of the query; `all` is every post.")],
    last: Annotated[int, typer.Option(help="How many windows, counted from the latest.")] = 20,
    window: Annotated[
        str, typer.Option(help="Length of a window: 90s, 5m, 2h; a multiple of the pane.")
    ] = "",
    head: Annotated[
        str,
        typer.Option(callback=_known_head, help=f"Whose shares are shown: {', '.join(SHARES)}."),
    ] = "sentiment",
) -> None:
    """Show the last windows of a query: posts, authors, mean sentiment with its standard error.

    Longer windows are sums of panes; authors are then an upper bound. A window with an open pane
    has no revision yet. Mobilisation is the share of posts at a level of participation or beyond,
    shown like participation for groups of 20 posts or more. With `windows.corrected_shares` the
    shares follow as corrected for what the model confuses, with an interval. Exit status 1 if the
    query has no windows.

    Example: groundswell windows show all --last 10 --window 5m

    Example: groundswell windows show climate --window 1h --head mobilisation
    """
    settings = load_settings(find_stack=True)
    pane_s = settings.windows.pane_s
    length_s = duration_s(window) if window else pane_s
    if length_s % pane_s:
        raise typer.BadParameter(f"--window {window}: expected a multiple of the pane, {pane_s} s")
    panes, missing = asyncio.run(_read(settings))
    _say_missing(missing, query)
    mine = {pane.start_s: pane for pane in panes if pane.query == query}
    if not mine:
        known = sorted({pane.query for pane in panes})
        typer.echo(f"no windows of {query!r}{did_you_mean(query, known)}", err=True)
        raise typer.Exit(1)
    windows = sliding({s: pane.content for s, pane in mine.items()}, pane_s, length_s)[-last:]
    rows = [row_of(start_s, length_s, content, mine) for start_s, content in windows]
    print_windows(query, rows, length_s, head)
    print_corrected(rows, head, ShareCorrector.of(settings))


async def _panes(settings: Settings, missing: list[Missing]) -> AsyncGenerator[PaneView]:
    """Yield every pane in the store; what is left out goes to `missing`.

    Raises:
        StoreUnavailable: Redis does not answer; also says how to start a stack, if none runs.
    """
    store = make_store(settings)
    try:
        async for pane in all_panes(store, settings.windows.pane_s, missing):
            yield pane
    except StoreUnavailable as error:
        if runfile.read_run() is not None:
            raise
        raise StoreUnavailable(
            f"{error}\nno stack runs here: `groundswell up --detach --source ''` starts it with "
            "what it has counted"
        ) from error
    finally:
        await store.close()


async def _read(settings: Settings) -> tuple[list[PaneView], list[Missing]]:
    missing = list[Missing]()
    return [pane async for pane in _panes(settings, missing)], missing


def _say_missing(missing: Sequence[Missing], query: str | None) -> None:
    """Say on standard error which windows are left out, and why."""
    for one in missing:
        if query is None or one.query in (query, EVERY):
            at = "every pane"
            if one.start_s is not None:
                at = from_epoch_ms(one.start_s * 1000).strftime("%Y-%m-%d %H:%M:%S UTC")
            of = "every query" if one.query == EVERY else one.query
            typer.echo(f"groundswell: left out: {at}, {of}: {one}", err=True)
    if missing:
        typer.echo("groundswell: `groundswell windows repair` rebuilds what is left out", err=True)


@app.command()
def dump(
    query: Annotated[str | None, typer.Option(help="Only this query.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Write here instead of to standard output.")
    ] = None,
) -> None:
    """Write every window in the store as JSON lines, ordered by start, then query.

    Each line has query, start and end (RFC 3339, UTC), revision (-1: not published yet), closed,
    every counter as its integer under its own name, authors, and strata (name to posts, rated, sum
    and sum of squares of sentiment). Scores are in micro-units. With `windows.corrected_shares`,
    corrected_shares has head to class to share and the ends of its 95 % interval, and
    uncorrected_shares why other heads have none. Panes that retention has begun to take are left
    out.

    This is the raw content of the store, for programs that check or re-use it, with the counters of
    participation in groups however small: not for showing to people, see docs/gotchas.md.

    Example: groundswell windows dump --query all --file all.jsonl
    """
    settings = load_settings(find_stack=True)
    with file.open("wb") if file is not None else nullcontext(sys.stdout.buffer) as out:
        asyncio.run(_dump(settings, query, out))
        out.flush()


async def _dump(settings: Settings, query: str | None, out: IO[bytes]) -> None:
    encoder, corrector = msgspec.json.Encoder(), ShareCorrector.of(settings)
    missing = list[Missing]()
    async for pane in _panes(settings, missing):
        if query is None or pane.query == query:
            out.write(encoder.encode(line_of(pane, corrector)) + b"\n")
    _say_missing(missing, query)


@app.command()
def repair(
    partition: Annotated[
        int | None,
        typer.Option(min=0, help="Only this; counted again if its cursor cannot be read."),
    ] = None,
    start: Annotated[str, typer.Option(help="Only the pane that starts then (RFC 3339).")] = "",
    query: Annotated[str | None, typer.Option(help="Only windows of this query.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is wrong.")] = False,
) -> None:
    """Rebuild from the topics what cannot be read in the store; the stack may run meanwhile.

    What stands in the place of a share of a pane, of a contribution or of ids is set aside and made
    anew from `scored-posts` and `post-events`, to the last integer; revisions come from `windows`.
    A partition whose cursor cannot be read is forgotten and counted again by its worker, if it is
    named. Exit status 1 if something is left.

    Example: groundswell windows repair --dry-run

    Example: groundswell windows repair --partition 2
    """
    settings = load_settings(find_stack=True)
    wanted = Wanted(partition, _start_s(start), query, dry_run)
    found = repair_now(settings, wanted)
    for sentence in found.done:
        typer.echo(f"repaired: {sentence}")
    for sentence in found.left:
        typer.echo(f"left: {sentence}")
    if not found.done and not found.left:
        typer.echo("everything can be read")
    raise typer.Exit(1 if found.left else 0)


def _start_s(text: str) -> int | None:
    """Return the seconds since 1970 of a time.

    Raises:
        typer.BadParameter: it is none, or has no offset from UTC.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(f"--start {text}: expected a time such as 2026-03-01T12:00:00Z")
    return epoch_ms(at) // 1000


def line_of(pane: PaneView, corrector: ShareCorrector) -> dict[str, object]:
    """Return a line of `windows dump`; strata are capped as on the wire."""
    line: dict[str, object] = {
        "query": pane.query,
        "start": from_epoch_ms(pane.start_s * 1000),
        "end": from_epoch_ms(pane.end_s * 1000),
        "revision": pane.revision,
        "closed": pane.closed,
        **pane.counters,
        "authors": pane.content.authors,
        "strata": dict(sorted(cap_strata(pane.content.strata).items())),
    }
    if corrector.is_asked:
        shares = corrector.shares(pane.counters, pane.scored_by)
        line["corrected_shares"] = shares
        line["uncorrected_shares"] = {
            head: why
            for head in COUNTED_HEADS
            if (why := corrector.missing(head, pane.scored_by)) and head not in shares
        }
    return line
