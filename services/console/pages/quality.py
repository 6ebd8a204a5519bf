"""The page *Quality*: what forecasts were worth."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from core.errors import GroundswellError
from services.console.access import Cookie
from services.console.pages.rendering import ask_to_sign_in, page, signed_in, sorry
from services.console.problems import away_problem
from services.console.state import state_of

LEAST_OUTCOMES: Final = 20
"""Of fewer nothing is said: a coverage of 80 % of 20 outcomes is known to within 18 points."""

router = APIRouter(include_in_schema=False)


@router.get("/quality")
async def quality(request: Request, cookie: Cookie) -> Response:
    """Show what the last forecasts were worth, by source and by query."""
    who = signed_in(request, cookie)
    if who is None:
        return ask_to_sign_in(request)
    try:
        found = await state_of(request).data.quality()
    except GroundswellError as error:
        return sorry(who, away_problem(error))
    return page("quality.html", who=who, rows=found.rows, notes=found.notes, least=LEAST_OUTCOMES)
