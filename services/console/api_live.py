"""`/api/v1/queries/{name}/live`: windows as they close, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from services.console.access import Viewer
from services.console.api_windows import Name, known_query, shape_of
from services.console.live import MOST_LISTENERS
from services.console.problems import RETRY_AFTER_S, Problem
from services.console.sessions import Principal
from services.console.state import ConsoleState, state_of

router = APIRouter()
EVENTS: Final = "text/event-stream"
LastEvent = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=253_402_300_800, description="Go on after this one"),
]


@router.get(
    "/queries/{name}/live", summary="Windows as they close", response_class=StreamingResponse,
    responses={200: {"content": {EVENTS: {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def live(request: Request, principal: Viewer, name: Name, last: LastEvent = None) -> Response:
    """Send each window of a query when it closes, the last closed one at once.

    Events are named `window`; their id is the start in seconds since 1970, and a browser that comes
    back goes on after it. A later correction is no event. The stream ends when the key or the
    session is no longer good.
    """
    state = state_of(request)
    await known_query(state, name)
    if state.live.listeners >= MOST_LISTENERS:
        raise Problem(503, f"{MOST_LISTENERS} listen already", retry_after_s=RETRY_AFTER_S)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(state, principal, name, last)
    return StreamingResponse(events, media_type=EVENTS, headers=headers)


async def _events(
    state: ConsoleState, principal: Principal, name: str, last: int | None
) -> AsyncIterator[bytes]:
    pane_s = state.settings.windows.pane_s
    yield b": live\n\n"  # the answer begins before anything closes

    def may_go_on() -> bool:
        return not state.stopping.is_set() and state.sessions.is_still_good(principal)

    async for some in state.live.follow(name, last, may_go_on):
        if not some:
            yield b": all is well\n\n"
        for one in some:
            body = shape_of(one, pane_s).model_dump_json()
            yield f"event: window\nid: {one.start_s}\ndata: {body}\n\n".encode()
