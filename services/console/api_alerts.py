"""`/api/v1/alerts`: what has shifted, and the posts that show it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from core.clock import epoch_ms
from core.schemas import Alert, Interval
from services.alerting.alertmanager import evidence_parts
from services.alerting.showing import DELETED, THERE, ExampleText, PastAlert
from services.console.access import Viewer
from services.console.answers import Format, answer, format_of, stream
from services.console.api import Cursor, Limit
from services.console.keys import Role
from services.console.problems import Problem
from services.console.shapes import (
    AlertDetail,
    AlertPage,
    AlertShape,
    Estimate,
    ExampleShape,
    StratumShape,
    TermShape,
)
from services.console.state import ConsoleState, state_of
from stream.shifts.explanation.sentences import without_terms

router = APIRouter()
_ROWS_AT_ONCE: Final = 500
_COLUMNS: Final = (
    "alert_id", "query", "kind", "state", "direction", "severity", "started", "fired", "ended",
    "ended_as", "evidence", "threshold", "before", "before_low", "before_high", "after",
    "after_low", "after_high", "change", "change_low", "change_high", "posts", "sentence",
)  # fmt: skip
OfQuery = Annotated[str, Query(max_length=63, description="Only of this query")]
OfKind = Annotated[str, Query(max_length=32, description="Only of this kind, such as opinion")]


@router.get(
    "/alerts", summary="Past and present alerts", response_model=AlertPage,
    responses={200: {"content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/jsonl": {"schema": {"type": "string"}},
    }}},
)  # fmt: skip
async def alerts(
    request: Request, _principal: Viewer, query: OfQuery = "", kind: OfKind = "",
    firing: bool = False, limit: Limit = 100, cursor: Cursor = None,
    form: Annotated[Format | None, Query(alias="format")] = None,
) -> Response:  # fmt: skip
    """Return the alerts of the last 90 days, the newest first, each at its highest severity."""
    state = state_of(request)
    found = await state.data.alerts()
    rows = chosen_of(found.alerts, query, kind, firing=firing)
    list_name = f"alerts|{query}|{kind}|{firing}"
    if cursor is not None:
        after = state.cursors.read(cursor, list_name, tuple[int, str])
        rows = [one for one in rows if _place(one) > (-after[0], after[1])]
    chosen = format_of(request, form)
    if chosen != "json":
        return await stream(_rows(rows, flat=chosen == "csv"), _COLUMNS, chosen, state.metrics)
    page, more = rows[:limit], rows[limit:]
    following = None
    if more:
        last = page[-1].alert
        following = state.cursors.make(list_name, [epoch_ms(last.fired), last.alert_id])
    shapes = [AlertShape(**_fields(one)) for one in page]
    return answer(request, AlertPage(alerts=shapes, notes=found.notes, next_cursor=following))


def chosen_of(found: list[PastAlert], query: str, kind: str, *, firing: bool) -> list[PastAlert]:
    """Return the alerts of a query and kind, where these are given, in the order of pages."""
    return sorted(
        (
            one
            for one in found
            if query in ("", one.alert.query)
            and kind in ("", one.alert.kind)
            and not (firing and one.alert.state != "firing")
        ),
        key=_place,
    )


def _place(one: PastAlert) -> tuple[int, str]:
    """Return the place of an alert in a list: the newest first, then by id."""
    return -epoch_ms(one.alert.fired), one.alert.alert_id


@router.get(
    "/alerts/{alert_id}", summary="One alert and what is behind it", response_model=AlertDetail
)
async def alert(
    request: Request, principal: Viewer, alert_id: Annotated[str, Path(max_length=128)]
) -> Response:
    """Return an alert with its evidence, terms, and the posts that show it.

    Text is there as long as the topic `posts` keeps it, as edited last; a post that its author has
    deleted is left out. Viewers see posts only where `console.viewers_see_posts` says so.
    """
    state = state_of(request)
    past = await find_alert(state, alert_id)
    return answer(request, await detail_of(state, past, principal.role))


async def find_alert(state: ConsoleState, alert_id: str) -> PastAlert:
    """Return the alert of this id.

    Raises:
        Problem: There is none (status 404).
    """
    found = await state.data.alerts()
    for one in found.alerts:
        if one.alert.alert_id == alert_id:
            return one
    raise Problem(404, "no alert that is kept has this id", errors=[("alert_id", "unknown")])


async def detail_of(state: ConsoleState, past: PastAlert, role: Role) -> AlertDetail:
    """Return an alert with what is behind it, as a role may see it."""
    alert = past.alert
    may_see = role.covers(Role.ANALYST) or state.settings.console.viewers_see_posts
    texts = await state.data.examples(past)
    return AlertDetail(
        **_fields(past), mix=alert.mix, opinion=alert.opinion, figures=evidence_parts(alert),
        contributions=[
            StratumShape(
                stratum=one.stratum, posts=one.posts, share_before=one.share_before,
                share_after=one.share_after, mean_before=one.mean_before,
                mean_after=one.mean_after, mix=one.mix, opinion=one.opinion,
            )
            for one in alert.contributions
        ],
        # Terms are words of posts: counted, but of a few authors they may be anybody's.
        terms=[
            TermShape(term=one.term, weight=one.weight, before=one.before, after=one.after)
            for one in alert.terms
            if may_see
        ],
        examples=[example_of(one, may_see=may_see) for one in texts if one.state != DELETED],
        examples_withheld=not may_see,
    )  # fmt: skip


def range_of(alert: Alert) -> tuple[int, int]:
    """Return when a shift was: half-open, seconds since 1970; one that goes on has no end yet."""
    until = alert.ended or alert.decided_at
    return epoch_ms(alert.started) // 1000, epoch_ms(until) // 1000


def example_of(one: ExampleText, *, may_see: bool) -> ExampleShape:
    """Return a post as it is shown to who may see it, or as it is counted to who may not."""
    state = "there" if one.state == THERE else "gone"
    if not may_see:
        return ExampleShape(why=one.why, source=one.source, state=state)
    is_there = state == "there"
    return ExampleShape(
        why=one.why, source=one.source, state=state, post_id=one.post_id,
        text=one.text if is_there else None, url=one.url or None,
    )  # fmt: skip


def _fields(past: PastAlert) -> dict[str, Any]:
    """Return the fields of an `AlertShape`."""
    alert = past.alert
    return {
        "alert_id": alert.alert_id, "query": alert.query, "kind": alert.kind,
        "state": alert.state, "direction": alert.direction, "severity": past.severity,
        "started": alert.started, "fired": alert.fired, "ended": alert.ended,
        "ended_as": alert.ended_as, "evidence": alert.evidence, "threshold": alert.threshold,
        "before": _estimate(alert.before), "after": _estimate(alert.after),
        "change": _estimate(alert.change), "posts": alert.posts,
        "sentence": without_terms(alert.sentence),
    }  # fmt: skip


def _estimate(of: Interval) -> Estimate:
    return Estimate(value=of.value, low=of.low, high=of.high)


async def _rows(rows: list[PastAlert], *, flat: bool) -> AsyncIterator[list[dict[str, Any]]]:
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[at : at + _ROWS_AT_ONCE]
        shapes = [AlertShape(**_fields(one)).model_dump(mode="json") for one in some]
        yield [_flat(one) for one in shapes] if flat else shapes


def _flat(shape: dict[str, Any]) -> dict[str, Any]:
    for name in ("before", "after", "change"):
        of = shape[name]
        shape |= {name: of["value"], f"{name}_low": of["low"], f"{name}_high": of["high"]}
    return shape
