"""`/api/v1/queries/{name}/posts`: some of the posts behind a window."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from core.clock import epoch_ms, from_epoch_ms
from services.console.access import Viewer
from services.console.answers import answer
from services.console.api_alerts import example_of
from services.console.api_windows import Name, Step, known_query, step_of
from services.console.keys import Role
from services.console.problems import field_problem
from services.console.shapes import WindowPostsShape
from services.console.state import ConsoleState, state_of

router = APIRouter()
Start = Annotated[AwareDatetime, Query(description="Start of the window, RFC 3339")]
_LAST_S: Final = 253_402_300_800
"""The year 10000."""


@router.get(
    "/queries/{name}/posts", summary="Posts behind a window", response_model=WindowPostsShape
)
async def posts(
    request: Request, principal: Viewer, name: Name, start: Start, step: Step = None
) -> Response:
    """Return some of the posts that were counted in a window of a query.

    Those nearest to the mean, the most negative and the most positive, each author once; of posts
    without a rating the last. Text is there as long as `posts` keeps it, as edited last; what its
    author has deleted is left out. Viewers see none unless `console.viewers_see_posts` says so.
    """
    state = state_of(request)
    await known_query(state, name)
    step_s = step_of(step, state.settings.windows.pane_s)
    start_s = epoch_ms(start) // 1000
    return answer(request, await posts_of_window(state, name, (start_s, step_s), principal.role))


async def posts_of_window(
    state: ConsoleState, name: str, window: tuple[int, int], role: Role
) -> WindowPostsShape:
    """Return posts of a window, given by its start and its length (s), as a role may see them.

    Raises:
        Problem: No window begins there (status 422).
    """
    start_s, step_s = window
    end_s = start_s + step_s
    if start_s % state.settings.windows.pane_s or not 0 <= start_s < end_s < _LAST_S:
        raise field_problem("start", f"expected a multiple of {state.settings.windows.pane_s} s")
    may_see = role.covers(Role.ANALYST) or state.settings.console.viewers_see_posts
    found = await state.data.window_posts(name, start_s, end_s) if may_see else None
    return WindowPostsShape(
        query=name, start=from_epoch_ms(start_s * 1000), end=from_epoch_ms(end_s * 1000),
        found=found.found if found else 0, withheld=not may_see,
        posts=[example_of(one, may_see=True) for one in found.posts] if found else [],
    )  # fmt: skip
