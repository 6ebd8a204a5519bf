"""The page *Pipeline*: how far each stage is, and what could not be used; for operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from core.errors import GroundswellError
from core.reasons import DEAD_REASONS
from services.console.access import Cookie, refuse_other_sites
from services.console.api_pipeline import OfReason, letter_shape, send, shape_of
from services.console.keys import Role
from services.console.pages.rendering import (
    ask_to_sign_in,
    form_of,
    page,
    signed_in,
    sorry,
)
from services.console.problems import Problem, away_problem
from services.console.sessions import Principal
from services.console.state import ConsoleState, state_of
from services.dead_letters import LOOKED_AT
from services.pipeline_view import RECENT_S

router = APIRouter(include_in_schema=False)
_ROWS: Final = 50
_OTHERS: Final = Problem(403, "for the role operator")


@router.get("/pipeline")
async def pipeline(
    request: Request, cookie: Cookie, reason: OfReason = "",
    after: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:  # fmt: skip
    """Show how far each stage is, and the last dead letters."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    if not who.role.covers(Role.OPERATOR):
        return sorry(who, _OTHERS)
    return await _shown(state_of(request), who, {}, reason=reason, after=after)


@router.post("/pipeline/replay")
async def replay(request: Request, cookie: Cookie) -> Response:
    """Send a dead letter again, and show what came of it."""
    refuse_other_sites(request)
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request, again="/pipeline")
    if not who.role.covers(Role.OPERATOR):
        return sorry(who, _OTHERS)
    fields = await form_of(request)
    place, repaired = fields.get("place", ""), fields.get("record", "").strip()
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        return sorry(who, Problem(422, "place: expected the number of a dead letter"))
    state = state_of(request)
    try:
        sent = await send(state, who, int(place), repaired.encode() or None)
    except Problem as problem:
        said = {"fault": f"Nothing was sent: {problem.detail}", "record": repaired, "place": place}
        return await _shown(state, who, said, status=problem.status_code)
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    said = {"done": f"Sent to {sent.topic}: {sent.post_id} of {sent.source}. It counts once; "
            "if it is still no good, a new dead letter says so."}  # fmt: skip
    return await _shown(state, who, said)


async def _shown(
    state: ConsoleState, who: Principal, said: Mapping[str, str], *, status: int = 200,
    reason: str = "", after: int = 0,
) -> Response:  # fmt: skip
    try:
        found = shape_of(await state.data.pipeline())
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    letters, note = None, ""
    try:
        letters = await state.data.dead_letters()
    except GroundswellError as error:
        note = f"Dead letters are not shown: {away_problem(error).detail}."
    rows = [one for one in letters.letters if reason in ("", one.letter.reason)] if letters else []
    shown = rows[after : after + _ROWS]
    return page(
        "pipeline.html", status, who=who, found=found, recent_s=RECENT_S,
        notes=[*found.notes, *(letters.notes if letters else ()), *([note] if note else ())],
        by_reason=letters.by_reason if letters else {}, meanings=DEAD_REASONS,
        is_all=letters is None or letters.is_all, looked_at=LOOKED_AT, reason=reason,
        letters=[letter_shape(one) for one in shown], total=len(rows), after=after,
        following=after + _ROWS if len(rows) > after + _ROWS else None,
        said={"done": "", "fault": "", "record": "", "place": ""} | dict(said),
    )  # fmt: skip
