"""The pages of queries: the list, the check of an expression, and one query with its series."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from core.clock import epoch_ms, from_epoch_ms
from core.errors import GroundswellError
from services.console.access import Cookie, refuse_other_sites
from services.console.api import check_expression
from services.console.api_alerts import range_of
from services.console.api_posts import posts_of_window
from services.console.api_windows import ALL, known_query, sentiment_of, step_of
from services.console.drawing import chart_of
from services.console.keys import Role
from services.console.pages.alerts import row_of
from services.console.pages.now import After, Find
from services.console.pages.rendering import (
    ask_to_sign_in,
    form_of,
    page,
    signed_in,
    sorry,
)
from services.console.problems import Problem, away_problem
from services.console.report.axes import axes_of
from services.console.report.wording import Times
from services.console.series import SeriesWindow, series
from services.console.sessions import Principal
from services.console.shapes import CheckRequest
from services.console.state import ConsoleState, state_of
from services.durations import said_length
from stream.queries.catalog import Query as CatalogQuery

router = APIRouter(include_in_schema=False)
_ROWS: Final = 100
_SPANS_S: Final = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "7d": 604_800}
_MOST_WINDOWS: Final = 360
_STEPS_S: Final = (60, 300, 900, 3_600, 10_800, 21_600)
_AHEAD_S: Final = 60
"""A claimed time may be ahead by so much; more is a clock that is wrong."""
Span = Annotated[str, Query(pattern="^(1h|6h|1d|7d)$")]


@router.get("/queries")
async def queries(request: Request, cookie: Cookie, find: Find = "", after: After = 0) -> Response:
    """List the queries, and offer the check of an expression to those who may."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    return await _list(state_of(request), who, find, after)


@router.post("/queries")
async def check(request: Request, cookie: Cookie) -> Response:
    """Say whether an expression can be watched, and where it is wrong."""
    refuse_other_sites(request)
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    if not who.role.covers(Role.ANALYST):
        state_of(request).metrics.console_refused.labels(cause="role").inc()
        return sorry(who, Problem(403, f"for analysts; this is a {who.role.value}"))
    fields = await form_of(request)
    given = {name: fields.get(name, "") for name in ("expression", "text")}
    try:
        asked = CheckRequest(expression=given["expression"], text=given["text"] or None)
    except ValidationError:
        return sorry(who, Problem(422, "expression or text: too long"))
    checked = check_expression(asked)
    return await _list(state_of(request), who, "", 0, given | {"checked": checked})


async def _list(
    state: ConsoleState, who: Principal, find: str, after: int, asked: dict[str, Any] | None = None
) -> Response:
    try:
        catalog = await state.data.catalog()
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    wanted = find.strip().casefold()
    rows = [one for one in catalog.queries if wanted in f"{one.name} {one.title}".casefold()]
    return page(
        "queries.html", who=who, rows=rows[after : after + _ROWS], total=len(rows), find=find,
        following=after + _ROWS if len(rows) > after + _ROWS else None,
        may_check=who.role.covers(Role.ANALYST),
        asked=asked or {"expression": "", "text": "", "checked": None},
    )  # fmt: skip


@router.get("/queries/{name}")
async def query(request: Request, cookie: Cookie, name: str, span: Span = "6h") -> Response:
    """Show one query: its series with the band of the mean, its shifts, and the numbers."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    state = state_of(request)
    try:
        await known_query(state, name)
        catalog = await state.data.catalog()
        windows, ahead = await _windows(state, name, _SPANS_S[span])
    except Problem as problem:
        return sorry(who, problem)
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    alerts, note = [], ""
    try:
        alerts = [one for one in (await state.data.alerts()).alerts if one.alert.query == name]
    except GroundswellError as error:
        note = f"Shifts are not shown: {away_problem(error).detail}."
    chart = chart_of(windows, [range_of(one.alert) for one in alerts])
    watched = next((one for one in catalog.queries if one.name == name), None)
    return page(
        "query.html", who=who, name=name, query=_shown(watched, name), span=span,
        notes=[one for one in (note, ahead) if one],
        spans=tuple(_SPANS_S), grafana=state.settings.console.grafana_url.rstrip("/"),
        windows=[_row(one) for one in reversed(windows)],
        chart=chart, axes=axes_of(chart, windows, Times()) if chart else None,
        start=from_epoch_ms(windows[0].start_s * 1000) if windows else None,
        end=from_epoch_ms(windows[-1].end_s * 1000) if windows else None,
        rows=[row_of(one.alert, one.severity) for one in alerts[:10]],
    )  # fmt: skip


@router.get("/queries/{name}/posts")
async def posts(
    request: Request, cookie: Cookie, name: str,
    start: Annotated[int, Query(ge=0, le=253_402_300_000, description="Seconds since 1970")],
    length: Annotated[int, Query(ge=1, le=31 * 86_400, description="Seconds")],
) -> Response:  # fmt: skip
    """Show some of the posts behind a window of a query."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    state = state_of(request)
    try:
        await known_query(state, name)
        step_s = step_of(str(length), state.settings.windows.pane_s)
        found = await posts_of_window(state, name, (start, step_s), who.role)
    except Problem as problem:
        return sorry(who, problem)
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    return page("posts.html", who=who, found=found)


def _shown(watched: CatalogQuery | None, name: str) -> dict[str, str]:
    if watched is None:
        return {"title": "Every post" if name == ALL else name, "expression": ""}
    written = watched.written or str(watched.expression)
    return {"title": watched.title or name, "expression": written.strip()}


async def _windows(state: ConsoleState, name: str, span_s: int) -> tuple[list[SeriesWindow], str]:
    """Return the windows of the last `span_s`, of a length that a picture can show, and a note.

    What is ahead of the clock is not shown: it would stand before what is now.
    """
    pane_s = state.settings.windows.pane_s
    last_s, now_s = (await state.data.bounds()).last_s, epoch_ms(state.clock.now()) // 1000
    note = ""
    if last_s > now_s:
        if last_s > now_s + _AHEAD_S:
            until = f"{from_epoch_ms(last_s * 1000):%Y-%m-%d %H:%M} UTC"
            note = f"Windows ahead of the clock, until {until}, are not shown."
        last_s = now_s - now_s % pane_s
    steps = (pane_s, *(step for step in _STEPS_S if step > pane_s and step % pane_s == 0))
    step_s = next((step for step in steps if span_s // step <= _MOST_WINDOWS), steps[-1])
    range_s = (last_s + pane_s - span_s, last_s + 1)
    found = series(state.data, name, range_s, step_s, pane_s)
    return [one async for some in found for one in some], note


def _row(one: SeriesWindow) -> dict[str, Any]:
    return {
        "start": from_epoch_ms(one.start_s * 1000), "start_s": one.start_s,
        "length_s": one.end_s - one.start_s,
        "length": said_length(one.end_s - one.start_s),
        "posts": one.summary.posts, "rated": one.summary.rated, "authors": one.summary.authors,
        "sentiment": sentiment_of(one), "closed": one.closed, "whole": one.whole,
    }  # fmt: skip
