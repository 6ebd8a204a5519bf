"""`/api/v1/queries/{name}/windows`: the series of a query."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime

from core.clock import epoch_ms, from_epoch_ms
from core.heads import COUNTED_HEADS
from services.console.access import Viewer
from services.console.answers import Format, answer, format_of, stream
from services.console.api import Cursor, Limit
from services.console.problems import Problem, field_problem
from services.console.series import SeriesWindow, series, up_to
from services.console.shapes import Sentiment, WindowPage, WindowShape
from services.console.state import ConsoleState, state_of
from services.durations import DURATION, seconds_of
from stream.windows.layout import COUNTERS
from stream.windows.summary import Z_95

router = APIRouter()
ALL: Final = "all"
_MOST_STEP_S: Final = 31 * 86_400
_FOREVER_S: Final = (0, 253_402_300_800)
"""From 1970 to the year 10000, seconds."""
_COLUMNS: Final = (
    "start", "end", "closed", "whole", "panes", "revision", "posts", "rated_share", "authors",
    "authors_exact", "sentiment", "stderr", "sentiment_low", "sentiment_high",
    *(f"counter_{name}" for name in COUNTERS),
)  # fmt: skip

Name = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="`all`: every post")]
Step = Annotated[str | None, Query(pattern=DURATION, description="60s, 5m, 1h, 1d; else a pane")]
From = Annotated[AwareDatetime | None, Query(alias="from", description="First start, RFC 3339")]
To = Annotated[AwareDatetime | None, Query(description="Starts before this, RFC 3339")]


@router.get(
    "/queries/{name}/windows", summary="The windows of a query", response_model=WindowPage,
    responses={200: {"content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/jsonl": {"schema": {"type": "string"}},
    }}},
)  # fmt: skip
async def windows(
    request: Request, _principal: Viewer, name: Name, since: From = None, to: To = None,
    step: Step = None, limit: Limit = 500, cursor: Cursor = None,
    form: Annotated[Format | None, Query(alias="format")] = None,
) -> Response:  # fmt: skip
    """Return the windows of a query that start in a range, the oldest first.

    Longer windows are sums of panes and start at multiples of their length; authors are then an
    upper bound. `format=csv` and `format=jsonl` have all of them, however many there are.
    """
    state = state_of(request)
    await known_query(state, name)
    step_s = step_of(step, state.settings.windows.pane_s)
    low_s = _FOREVER_S[0] if since is None else -(-epoch_ms(since) // 1000)
    high_s = _FOREVER_S[1] if to is None else -(-epoch_ms(to) // 1000)
    if since is not None and to is not None and since > to:
        raise field_problem("from", "expected a time before `to`")
    chosen = format_of(request, form)
    pane_s = state.settings.windows.pane_s
    list_name = f"windows|{name}|{low_s}|{high_s}|{step_s}"
    if cursor is not None:
        low_s = state.cursors.read(cursor, list_name, int)
    found = series(state.data, name, (low_s, high_s), step_s, pane_s)
    if chosen != "json":
        return await stream(_rows(found, pane_s, flat=chosen == "csv"), _COLUMNS, chosen,
                            state.metrics)  # fmt: skip
    page, next_s = await up_to(found, limit)
    return answer(
        request,
        WindowPage(
            query=name,
            step_s=step_s,
            windows=[shape_of(one, pane_s) for one in page],
            next_cursor=None if next_s is None else state.cursors.make(list_name, next_s),
        ),
    )


async def known_query(state: ConsoleState, name: str) -> None:
    """Refuse a query that is not watched: a name that is misspelt is no query without posts."""
    if name != ALL:
        catalog = await state.data.catalog()
        if name not in {one.name for one in catalog.queries}:
            raise Problem(404, f"no query is called {name}", errors=[("name", "not watched")])


def step_of(step: str | None, pane_s: int) -> int:
    """Return the length of windows that is asked for, in seconds; else that of a pane.

    Raises:
        Problem: It is no multiple of a pane, or very long (status 422).
    """
    try:
        found = pane_s if step is None else seconds_of(step)
    except ValueError as error:
        raise field_problem("step", str(error)) from None
    if found % pane_s or found > _MOST_STEP_S:
        raise field_problem(
            "step", f"expected a multiple of the pane, {pane_s} s, of at most {_MOST_STEP_S} s"
        )
    return found


def shape_of(window: SeriesWindow, pane_s: int) -> WindowShape:
    """Return a window as the API has it."""
    summary = window.summary
    return WindowShape(
        start=from_epoch_ms(window.start_s * 1000), end=from_epoch_ms(window.end_s * 1000),
        closed=window.closed, whole=window.whole, panes=window.panes, revision=window.revision,
        posts=summary.posts,
        rated_share=summary.rated / summary.posts if summary.posts > 0 else None,
        authors=summary.authors,
        authors_exact=window.end_s - window.start_s == pane_s,
        sentiment=sentiment_of(window),
        shares={head: dict(row) for head, row in summary.shares.items() if head in COUNTED_HEADS},
        mobilisation=dict(summary.mobilisation),
        counters=window.counters,
    )  # fmt: skip


def sentiment_of(window: SeriesWindow) -> Sentiment | None:
    """Return the mean with its interval, cut to what a mean can be; None without a rated post."""
    mean, stderr = window.summary.sentiment, window.summary.stderr
    if mean is None:
        return None
    half = None if stderr is None else Z_95 * stderr
    return Sentiment(
        mean=mean, stderr=stderr,
        low=None if half is None else max(-1.0, mean - half),
        high=None if half is None else min(1.0, mean + half),
    )  # fmt: skip


async def _rows(
    found: AsyncIterator[list[SeriesWindow]], pane_s: int, *, flat: bool
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield windows as rows: flat for a table, else as they stand in a page."""
    async for some in found:
        shapes = [shape_of(one, pane_s).model_dump(mode="json") for one in some]
        yield [_flat(one) for one in shapes] if flat else shapes


def _flat(shape: dict[str, Any]) -> dict[str, Any]:
    sentiment = shape.pop("sentiment") or {}
    counters = {f"counter_{name}": value for name, value in shape["counters"].items()}
    return shape | counters | {
        "sentiment": sentiment.get("mean"), "stderr": sentiment.get("stderr"),
        "sentiment_low": sentiment.get("low"), "sentiment_high": sentiment.get("high"),
    }  # fmt: skip
