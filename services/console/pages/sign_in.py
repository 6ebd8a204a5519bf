"""How a browser comes in and goes: by the link of the local stack, or with a key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.console.access import (
    COOKIE,
    Cookie,
    address_of,
    find_by_key,
    note_failure,
    refuse_other_sites,
)
from services.console.keys import Role
from services.console.pages.rendering import ask_to_sign_in, form_of, own_path
from services.console.sessions import LOCAL, Principal
from services.console.state import ConsoleState, state_of

router = APIRouter(include_in_schema=False)


def _enter(state: ConsoleState, principal: Principal, again: str = "/") -> Response:
    """Return the way to a page, with a session."""
    answer = RedirectResponse(own_path(again), 303)
    answer.set_cookie(
        COOKIE, state.sessions.open(principal), max_age=state.settings.console.session_s, path="/",
        # Lax: a link in a mail or a chat leads to its alert; what changes something is a POST.
        secure=state.base.startswith("https://"), httponly=True, samesite="lax",
    )  # fmt: skip
    return answer


@router.get("/enter")
def enter(request: Request, token: Annotated[str, Query(max_length=128)] = "") -> Response:
    """Let a browser in that has the link of the local stack."""
    state = state_of(request)
    if state.link is not None and state.link.redeem(token):
        return _enter(state, Principal(LOCAL, Role.OPERATOR))
    note_failure(state, f"link|{address_of(request)}", "too many links that are none")
    return ask_to_sign_in(request, "This link was used already, or is of another start.", 403)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Let a browser in that has a key."""
    refuse_other_sites(request)
    state = state_of(request)
    fields = await form_of(request)
    again = fields.get("again", "/")
    found = find_by_key(state, address_of(request), fields.get("key", "").strip())
    if found is None:
        return ask_to_sign_in(request, "This is not a key of this console.", 403, again)
    return _enter(state, found, again)


@router.post("/sign-out")
def sign_out(request: Request, cookie: Cookie) -> Response:
    """End a session."""
    refuse_other_sites(request)
    state_of(request).sessions.close(cookie or "")
    answer = RedirectResponse("/alerts", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return answer
