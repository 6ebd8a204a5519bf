"""The page *Now*: every query in its last windows, what has shifted first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from core.clock import epoch_ms, from_epoch_ms
from core.errors import GroundswellError
from core.schemas import Alert
from services.console.access import Cookie
from services.console.api_windows import ALL, sentiment_of
from services.console.data import PanesFound
from services.console.drawing import SeriesChart, chart_of
from services.console.pages.rendering import ask_to_sign_in, page, signed_in, sorry
from services.console.problems import away_problem
from services.console.series import SeriesWindow, windows_of
from services.console.shapes import Sentiment
from services.console.state import ConsoleState, state_of
from services.windows_view import PaneBounds
from stream.queries import QueryCatalog

router = APIRouter(include_in_schema=False)
LAST: Final = 30
"""Windows of each small picture."""
_ROWS: Final = 50
_SMALL: Final = (180, 44)

Find = Annotated[str, Query(max_length=64, description="A part of a name or a title")]
After = Annotated[int, Query(ge=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class NowRow:
    """One query as it is listed.

    Attributes:
        name, title: Of the query.
        link: Where its page is.
        window: The last closed one that has posts; None if none of the last has.
        start: When it begins.
        sentiment: Of that window; None without a rated post.
        chart: The last windows; None if there are none.
        alerts: What has shifted and goes on.
    """

    name: str
    title: str
    link: str
    window: SeriesWindow | None
    start: datetime | None
    sentiment: Sentiment | None
    chart: SeriesChart | None
    alerts: tuple[Alert, ...]


@router.get("/now")
async def now(request: Request, cookie: Cookie, find: Find = "", after: After = 0) -> Response:
    """Show every query as it is now: those that have shifted first, then the busiest."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    state, note = state_of(request), ""
    try:
        bounds, posts = await state.data.busiest()
        catalog = await state.data.catalog()
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    try:
        firing = [one.alert for one in (await state.data.alerts()).alerts if is_on(one.alert)]
    except GroundswellError as error:
        # The numbers are there without Kafka; that shifts are not known is said.
        firing, note = [], f"Shifts are not shown: {away_problem(error).detail}."
    titles = in_order(catalog, posts, {one.query for one in firing}, find)
    shown = titles[after : after + _ROWS]
    try:
        found = await state.data.panes_of([name for name, _ in shown], LAST)
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    return page(
        "now.html", who=who, total=len(titles), find=find, note=note,
        rows=[_row(state, one, (bounds, found), firing) for one in shown],
        following=after + _ROWS if len(titles) > after + _ROWS else None,
        closed=from_epoch_ms(bounds.closed_s * 1000) if bounds.closed_s >= 0 else None,
    )  # fmt: skip


def is_on(alert: Alert) -> bool:
    """Tell whether a shift goes on."""
    return alert.state == "firing"


def in_order(
    catalog: QueryCatalog, posts: Mapping[str, int], shifted: Collection[str], find: str
) -> list[tuple[str, str]]:
    """Return name and title of the queries that have a part in either, in the order of the page."""
    titles = {ALL: "Every post"} | {one.name: one.title for one in catalog.queries}
    wanted = find.strip().casefold()
    named = [one for one in titles.items() if wanted in " ".join(one).casefold()]
    return sorted(named, key=lambda one: (one[0] not in shifted, -posts.get(one[0], 0), one[0]))


def _row(
    state: ConsoleState, named: tuple[str, str],
    seen: tuple[PaneBounds, Mapping[str, PanesFound]], firing: Sequence[Alert],
) -> NowRow:  # fmt: skip
    (name, title), (bounds, found) = named, seen
    pane_s = state.settings.windows.pane_s
    windows = windows_of(
        found.get(name, PanesFound()), bounds, bounds.forgotten_s, pane_s, pane_s
    )  # fmt: skip
    closed = [one for one in windows if one.closed]
    last = closed[-1] if closed else None
    alerts = tuple(one for one in firing if one.query == name)
    shifts = [(epoch_ms(one.started) // 1000, bounds.last_s + pane_s) for one in alerts]
    return NowRow(
        name, title or name, f"/queries/{quote(name, safe='')}", last,
        from_epoch_ms(last.start_s * 1000) if last else None,
        sentiment_of(last) if last else None, chart_of(closed, shifts, _SMALL), alerts,
    )  # fmt: skip
