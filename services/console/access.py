"""Who asks, what they may see, and how often: what stands before every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from services.console.keys import Role
from services.console.problems import Problem
from services.console.sessions import Principal
from services.console.state import ConsoleState, state_of

COOKIE: Final = "groundswell_session"
FAILURES_PER_MINUTE: Final = 20
"""Keys and links that are none, of one address, before it is told to wait."""
_SAFE: Final = ("GET", "HEAD", "OPTIONS")

_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="`gw_…`, from `groundswell console keys add`"
)
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="Of a browser signed in"
)

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]


def address_of(request: Request) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"


def find_by_key(state: ConsoleState, address: str, key: str) -> Principal | None:
    """Return whose key this is; None if it is nobody's.

    It is looked at first, and counted then: a key that is right is never refused for the wrong ones
    of others, who may share its address.

    Raises:
        Problem: It is nobody's, and its address has tried too often (status 429).
    """
    stored = state.keys.find(key)
    if stored is None:
        state.metrics.console_refused.labels(cause="key").inc()
        note_failure(state, address, "too many keys that are none")
        return None
    return Principal(stored.name, stored.role, stored.key_id)


def note_failure(state: ConsoleState, address: str, said: str) -> None:
    """Count a try that was none.

    Raises:
        Problem: There have been too many of this address (status 429).
    """
    if waits_s := state.failures.wait_s(address):
        state.metrics.console_refused.labels(cause="rate").inc()
        raise Problem(429, said, retry_after_s=waits_s)


async def principal_of(request: Request, bearer: Bearer, cookie: Cookie) -> Principal:
    """Return who asks.

    Raises:
        Problem: Nobody who is known (401), from another site (403), or too often (429).
    """
    state, found = state_of(request), None
    if bearer is not None:
        found = find_by_key(state, address_of(request), bearer.credentials)
    elif cookie:
        found = state.sessions.find(cookie)
        if found is not None:
            refuse_other_sites(request)
    if found is None:
        raise Problem(
            401,
            "expected a key: Authorization: Bearer gw_…",
            headers={"WWW-Authenticate": "Bearer"},
        )
    waits_s = state.requests.wait_s(f"{found.name}|{found.key_id}")
    if waits_s:
        state.metrics.console_refused.labels(cause="rate").inc()
        limit = state.settings.console.requests_per_minute
        raise Problem(429, f"more than {limit} requests a minute", retry_after_s=waits_s)
    return found


def refuse_other_sites(request: Request) -> None:
    """Refuse what changes something, or costs something, on behalf of another site's page.

    Raises:
        Problem: The browser says that another page asks (status 403).
    """
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None:
        return
    state = state_of(request)
    host = request.headers.get("host", "")
    if origin not in (state.base, f"http://{host}", f"https://{host}"):
        state.metrics.console_refused.labels(cause="origin").inc()
        raise Problem(403, "asked by a page of another site")


Asking = Annotated[Principal, Depends(principal_of)]


def needs(role: Role) -> Callable[[Request, Principal], Awaitable[Principal]]:
    """Return the dependency of a route that is for a role and those above it."""

    async def check(request: Request, principal: Asking) -> Principal:
        if not principal.role.covers(role):
            state_of(request).metrics.console_refused.labels(cause="role").inc()
            raise Problem(403, f"for the role {role.value}; this is a {principal.role.value}")
        return principal

    return check


Viewer = Annotated[Principal, Depends(needs(Role.VIEWER))]
Analyst = Annotated[Principal, Depends(needs(Role.ANALYST))]
Operator = Annotated[Principal, Depends(needs(Role.OPERATOR))]
