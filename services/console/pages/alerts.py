"""The pages *Alerts* and *Shift*: what has shifted, and what is behind each."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from core.clock import epoch_ms, from_epoch_ms
from core.errors import GroundswellError
from core.schemas import Alert
from core.text import printable
from services.alerting.alertmanager import evidence
from services.console.access import Cookie
from services.console.api_alerts import OfKind, OfQuery, chosen_of, detail_of, find_alert
from services.console.api_windows import sentiment_of
from services.console.pages.rendering import ask_to_sign_in, page, signed_in, sorry
from services.console.problems import Problem, away_problem
from services.console.series import SeriesWindow, series
from services.console.state import ConsoleState, state_of
from services.durations import said_length
from stream.shifts.explanation.sentences import without_terms

router = APIRouter(include_in_schema=False)
_ROWS: Final = 50
_WINDOWS: Final = 48
"""Rows of the table around a shift, at most."""
_TABLE_STEPS_S: Final = (60, 300, 900, 3_600, 10_800, 86_400)


@router.get("/alerts")
async def alerts(
    request: Request, cookie: Cookie, query: OfQuery = "", kind: OfKind = "", firing: bool = False,
    after: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:  # fmt: skip
    """Show the alerts, the newest first."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    try:
        found = await state_of(request).data.alerts()
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    rows = chosen_of(found.alerts, query, kind, firing=firing)
    shown = rows[after : after + _ROWS]
    return page(
        "alerts.html", who=who, rows=[row_of(one.alert, one.severity) for one in shown],
        notes=found.notes, query=query, kind=kind, firing=firing, after=after, total=len(rows),
        queries=sorted({one.alert.query for one in found.alerts}),
        kinds=sorted({one.alert.kind for one in found.alerts}),
        following=after + _ROWS if len(rows) > after + _ROWS else None,
    )  # fmt: skip


@router.get("/alerts/{alert_id}")
async def shift(request: Request, cookie: Cookie, alert_id: str) -> Response:
    """Show one alert: what moved, the terms, the posts that show it, and the windows around it."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    state = state_of(request)
    try:
        past = await find_alert(state, alert_id)
        detail = await detail_of(state, past, who.role)
        windows = await _around(state, past.alert)
    except Problem as problem:
        return sorry(who, problem)
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    return page(
        "shift.html", who=who, alert=detail, row=row_of(past.alert, past.severity), windows=windows,
        name=quote(past.alert.query, safe=""),
    )  # fmt: skip


def row_of(alert: Alert, severity: int) -> dict[str, Any]:
    """Return an alert as it is listed."""
    sentence = printable(without_terms(alert.sentence)) or evidence(alert)
    return {"alert": alert, "severity": severity, "sentence": sentence}


async def _around(state: ConsoleState, alert: Alert) -> list[dict[str, Any]]:
    """Return the windows from before a shift to after it, of a length that makes a short table."""
    pane_s = state.settings.windows.pane_s
    started_s, until_s = epoch_ms(alert.started) // 1000, epoch_ms(alert.decided_at) // 1000
    if alert.ended is not None:
        until_s = epoch_ms(alert.ended) // 1000
    margin_s = max(10 * pane_s, (until_s - started_s) // 2)
    low_s, high_s = started_s - margin_s, until_s + margin_s
    steps = (pane_s, *(step for step in _TABLE_STEPS_S if step > pane_s and step % pane_s == 0))
    step_s = next((s for s in steps if (high_s - low_s) // s <= _WINDOWS), steps[-1])
    rows: list[dict[str, Any]] = []
    async for some in series(state.data, alert.query, (low_s, high_s), step_s, pane_s):
        rows += [_window(one, (started_s, until_s)) for one in some]
    return rows


def _window(one: SeriesWindow, shift_s: tuple[int, int]) -> dict[str, Any]:
    return {
        "start": from_epoch_ms(one.start_s * 1000),
        "length": said_length(one.end_s - one.start_s),
        "posts": one.summary.posts, "rated": one.summary.rated, "authors": one.summary.authors,
        "sentiment": sentiment_of(one), "closed": one.closed, "whole": one.whole,
        "inside": one.end_s > shift_s[0] and one.start_s < shift_s[1],
    }  # fmt: skip
