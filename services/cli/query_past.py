"""``groundswell queries backfill`` and ``preview``: what a query says of the past.

What they do is imported when they do it: it brings the clients of the broker and of the store,
which take longer to load than `queries check`, of the same group, takes to answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def backfill(
    name: Annotated[str, typer.Argument(help="A query of the catalog.")],
    file: Annotated[
        Path | None, typer.Option(help="The catalog that the workers read.", dir_okay=False)
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the time that it works.")
    ] = 0.5,
    wait_s: Annotated[
        float, typer.Option(min=0, help="Wait so long for the workers to take the query up.")
    ] = 120.0,
) -> None:
    """Give a query its past: count in the windows that are kept what it would have counted.

    Takes scores from `scored-posts` and texts from `posts`, beside the running stream. May be
    killed and run again at any time: nothing is counted twice.

    Exit status: 0 done, 2 no such query or wrong use, 3 some posts cannot be read any more; else
    not done: the message says why, and it may be run again.

    Example: groundswell queries backfill flood-relief
    """
    from services.cli.past_of_query import give_its_past

    give_its_past(name, file, share, wait_s)


def preview(
    expression: Annotated[str, typer.Argument(help="In the query language.")],
    last: Annotated[str, typer.Option(help="How far back: 30m, 6h.")] = "6h",
    window: Annotated[str, typer.Option(help="Length of a window: 5m, 1h.")] = "30m",
    posts: Annotated[int, typer.Option(min=1, help="Look at so many posts, at most.")] = 200_000,
) -> None:
    """Say what a query would have counted in the last hours, without watching it.

    Exit status: 0 said, 2 the expression is wrong, or wrong use, 3 nothing can be said yet.

    Example: groundswell queries preview "flood* (relief OR #help)" --last 2h
    """
    from services.cli.past_of_query import show_preview

    show_preview(expression, last, window, posts)
