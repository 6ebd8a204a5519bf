"""``groundswell forecasts``: which posts will go far, and may one believe it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.report import write_report
from core.settings import Settings
from services.cli.settings import load_settings
from services.forecaster.showing import ForecastView, PostRow, QualityRow, read_view

app = typer.Typer(
    name="forecasts",
    help="Show how far posts are expected to go, and what forecasts were worth.",
    no_args_is_help=True,
)

_AUTHORS = {"known": "known authors", "strangers": "strangers"}

Json = Annotated[Path | None, typer.Option("--json", help="Also write it to this file.")]


@app.command()
def top(
    query: Annotated[str, typer.Argument(help="Name of the query.")],
    last: Annotated[int, typer.Option("--last", min=1, max=100, help="So many posts.")] = 20,
    json_file: Json = None,
) -> None:
    """Show the posts of a query that are expected to go furthest.

    Exit status: 0 shown, 1 nothing is ranked for this query, 2 wrong use.

    Example: groundswell forecasts top rail --last 10
    """
    settings = load_settings()
    view = _view(settings)
    rows = view.top(query)[:last]
    if json_file is not None:
        write_report(
            json_file, "forecasts top", {"posts": len(rows)},
            settings={"query": query, "last": last},
            tables={"posts": [row.fields() for row in rows]}, notes=view.notes,
        )  # fmt: skip
    _say(view.notes)
    if not rows:
        known = ", ".join(view.queries()) or "none yet"
        typer.echo(f"no post of the query {query!r} is ranked; ranked are those of: {known}")
        raise typer.Exit(1)
    typer.echo(f"{query}: {len(rows)} posts by expected likes, replies and reposts together")
    _print_posts(rows)


@app.command()
def quality(json_file: Json = None) -> None:
    """Show what forecasts were worth, of each source and each query.

    Skill is one less the error over that of the author's median of the last 32 posts; coverage is
    of the interval of 80 %. A source with a skill of zero or less is greyed. Below the table stands
    of whom nothing can be said to take off yet: too few outcomes of such forecasts are known.

    Exit status: 0 shown, 1 no outcome is known yet.

    Example: groundswell forecasts quality --json quality.json
    """
    view = _view(load_settings())
    rows = view.quality()
    if json_file is not None:
        write_report(
            json_file, "forecasts quality", view.figures(),
            settings={}, tables={"quality": [row.fields() for row in rows]}, notes=view.notes,
        )  # fmt: skip
    _say(view.notes)
    totals = view.totals
    typer.echo(
        f"tracked {totals['tracked']:,}: {totals['pending']:,} wait, {totals['settled']:,} settled,"
        f" {totals['gone']:,} deleted, {totals['lost']:,} lost"
    )
    known = [row for row in rows if row.outcomes]
    if known:
        _print_quality(known)
    for row in rows:
        if row.not_judged:
            typer.echo(f"not yet judged, nothing takes off: {_cut(row.name, 20)} ({_of(row)})")
    if not known:
        typer.echo("no outcome is known yet")
        raise typer.Exit(1)


def _view(settings: Settings) -> ForecastView:
    return asyncio.run(read_view(settings))


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(note, err=True)


def _print_posts(rows: Sequence[PostRow]) -> None:
    typer.echo(f"{'reach':>8} {'likes':>7} {'80 of 100':>15} {'normal':>7} {'seen':>7}  post")
    for row in rows:
        between = f"{_short(row.likes_low)}-{_short(row.likes_high)}"
        typer.echo(
            f"{_short(row.reach):>8} {_short(row.likes):>7} {between:>15} {_short(row.normal):>7} "
            f"{_short(row.seen_likes):>7}  {_cut(f'{row.source} {row.post_id}', 28)}"
        )


def _print_quality(rows: Sequence[QualityRow]) -> None:
    typer.echo(
        f"{'':6} {'name':20} {'of':8} {'outcomes':>8} {'skill':>7} {'covered':>8} {'rank':>6}  "
    )
    for row in rows:
        typer.echo(
            f"{row.kind:6} {_cut(row.name, 20):20} {row.target:8} {row.outcomes:>8,} "
            f"{_number(row.skill):>7} {_number(row.coverage):>8} {_number(row.rank_correlation):>6}"
            f"  {'greyed' if row.greyed else ''}".rstrip()
        )


def _of(row: QualityRow) -> str:
    return ", ".join(_AUTHORS[name] for name in row.not_judged)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _short(value: float | None) -> str:
    """Return a count in at most six characters."""
    if value is None:
        return "–"
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "")):
        if value >= unit and letter:
            return f"{value / unit:.1f}{letter}"
    return f"{value / 1e3:.1f}k" if value >= 1e4 else f"{value:.0f}"


def _cut(text: str, width: int) -> str:
    """Return a name on one line, cut to a width."""
    plain = "".join(c if c.isprintable() else "�" for c in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
