"""Routes of `/api/v1` but for windows and alerts: health, queries, quality, keys."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from core.clock import from_epoch_ms
from core.release import release
from core.text import clean_text, readable_text
from services.console.access import Analyst, Operator, Viewer
from services.console.answers import answer
from services.console.problems import RETRY_AFTER_S, Problem
from services.console.shapes import (
    CheckFault,
    CheckHint,
    CheckRequest,
    CheckResult,
    Health,
    KeyList,
    KeyShape,
    Quality,
    QualityShape,
    QueryList,
    QueryShape,
    Thresholds,
)
from services.console.state import state_of
from stream.queries import QuerySyntaxError
from stream.queries.catalog import Query as CatalogQuery
from stream.queries.expression import Node
from stream.queries.grammar import parse
from stream.queries.hints import hints
from stream.queries.matcher import Matcher
from stream.queries.parts import names_of

router = APIRouter()
MOST_ROWS: Final = 5_000
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows of one page")]
Cursor = Annotated[
    str | None, Query(max_length=512, description="The next_cursor of the page before")
]


@router.get("/health", summary="Whether store and broker answer", response_model=Health)
async def health(request: Request, principal: Viewer) -> Response:
    """Say that store and broker answer, and until when windows are closed; 503 if not."""
    data = state_of(request).data
    away = await data.away()
    if away:
        said = f"{' and '.join(away)} away"
        raise Problem(503, said, away=away, retry_after_s=RETRY_AFTER_S)
    closed_s = (await data.bounds()).closed_s
    return answer(
        request,
        Health(
            status="ok",
            version=release(),
            closed_until=from_epoch_ms(closed_s * 1000) if closed_s >= 0 else None,
            role=principal.role,
        ),
    )


@router.get("/queries", summary="The queries that are watched", response_model=QueryList)
async def queries(
    request: Request, _principal: Viewer, limit: Limit = 1_000, cursor: Cursor = None
) -> Response:
    """List the queries of the catalog by name, and the evidence that a shift of them needs."""
    state = state_of(request)
    catalog = await state.data.catalog()
    after = "" if cursor is None else state.cursors.read(cursor, "queries", str)
    rest = [one for one in catalog.queries if one.name > after]
    page, more = rest[:limit], rest[limit:]
    shifts = state.settings.shifts
    return answer(
        request,
        QueryList(
            version=catalog.version,
            thresholds=Thresholds(
                opinion=shifts.opinion_threshold, mix=shifts.mix_threshold,
                volume=shifts.volume_threshold, brigading=shifts.brigading_threshold,
            ),
            queries=[_query(one) for one in page],
            next_cursor=state.cursors.make("queries", page[-1].name) if more else None,
        ),
    )  # fmt: skip


def _query(one: CatalogQuery) -> QueryShape:
    return QueryShape(
        name=one.name, title=one.title, expression=one.written or str(one.expression),
        labels=dict(one.labels), parts=list(names_of(one.parts)),
        thresholds=dict(one.alerts.thresholds), direction=one.alerts.direction,
        muted=sorted(one.alerts.muted),
    )  # fmt: skip


@router.post("/queries/check", summary="Look at an expression", response_model=CheckResult)
def check(request: Request, _principal: Analyst, asked: CheckRequest) -> Response:
    """Say whether an expression can be watched, where it is wrong, and if a post matches it."""
    return answer(request, check_expression(asked))


def check_expression(asked: CheckRequest) -> CheckResult:
    """Return what is to say of an expression, and of the post it is tried on."""
    try:
        tree = parse(asked.expression)
    except QuerySyntaxError as error:
        fault = CheckFault(line=error.line, column=error.column, problem=error.problem)
        return CheckResult(valid=False, error=fault, understood=None, hints=[], matches=None)
    # Here, for it knows every source and what they need.
    from services.ingest.sources import SOURCES

    found = [
        CheckHint(column=one.column, text=one.text)
        for one in hints(asked.expression, tree, SOURCES.names())
    ]
    return CheckResult(
        valid=True, error=None, understood=str(tree), hints=found, matches=_matches(tree, asked)
    )


def _matches(tree: Node, asked: CheckRequest) -> bool | None:
    """Return whether the post of a request matches; None if there is none."""
    if asked.text is None:
        return None
    text = clean_text(readable_text(asked.text))[0]
    matcher = Matcher((CatalogQuery("asked", tree),))
    (found,) = matcher.match_batch([text], [asked.author], [asked.lang], [asked.source], None)
    return any(matcher.names[index] == "asked" for index in found)


@router.get("/quality", summary="What forecasts were worth", response_model=Quality)
async def quality(request: Request, _principal: Viewer) -> Response:
    """Say what the last forecasts were worth, by source and by query.

    Skill is one less the error over that of the author's median of the last 32 posts; coverage is
    of the interval of 80 %.
    """
    found = await state_of(request).data.quality()
    rows = [
        QualityShape(
            kind="query" if row.kind == "query" else "source", name=row.name, target=row.target,
            outcomes=row.outcomes, skill=row.skill, coverage=row.coverage,
            rank_correlation=row.rank_correlation, greyed=row.greyed,
            not_judged=list(row.not_judged),
        )
        for row in found.rows
    ]  # fmt: skip
    return answer(request, Quality(forecasts=rows, notes=list(found.notes)))


@router.get("/keys", summary="Who has a key", response_model=KeyList)
def keys(request: Request, _principal: Operator) -> Response:
    """List the names that have keys, with their roles; never a key."""
    found = state_of(request).keys.all()
    rows = [KeyShape(name=one.name, role=one.role, created=one.created) for one in found]
    return answer(request, KeyList(keys=rows))
