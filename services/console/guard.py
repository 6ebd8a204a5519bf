"""What stands before the application: hosts, sizes, the deadline, headers, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Response

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from services.console.problems import PREFIX, RETRY_AFTER_S, Problem

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_log = get_logger(__name__)
MAX_BODY_BYTES: Final = 65_536
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: browsers say then of a form of our own that it is nobody's (`Origin: null`).
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NOWHERE: Final = "none"
"""The route of what no route answers: paths are anything, and labels a closed set."""


class Guard:
    """An ASGI application before another.

    Args:
        app: The application.
        hosts: The names by which it may be called; empty: by any. Another site's name that leads
            here (DNS rebinding) is none of them.
        deadline_s: A request whose answer has not begun by then is answered for it.
        metrics: Of this process.
        clock: Tells the time.
        respond: Makes the answer to a path, as the one who asks can read it.
    """

    def __init__(
        self, app: Any, hosts: Collection[str], deadline_s: float, metrics: Metrics, clock: Clock,
        respond: Callable[[str, Problem], Response],
    ) -> None:  # fmt: skip
        self._app: _App = app
        self._hosts = frozenset(hosts)
        self._deadline_s = deadline_s
        self._metrics = metrics
        self._clock = clock
        self._respond = respond

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = self._clock.monotonic(), 0

        async def sending(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not limit.expired():
                    limit.reschedule(None)  # a stream may take as long as it is long
                headers = list(message.get("headers", ()))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"private, no-cache"))
                message["headers"] = [*headers, *_HEADERS]
                self._metrics.console_seconds.observe(self._clock.monotonic() - began_s)
            await send(message)

        try:
            async with asyncio.timeout(self._deadline_s) as limit:
                refused = self._refused(scope)
                if refused is None:
                    await self._app(scope, _bounded(receive, self._metrics), sending)
                else:
                    await self._respond(scope["path"], refused)(scope, receive, sending)
        except TimeoutError:
            if status:
                raise
            late = Problem(
                503, f"no answer within {self._deadline_s:g} s", retry_after_s=RETRY_AFTER_S
            )
            _log.warning("a request took too long", route=_route(scope))
            await self._respond(scope["path"], late)(scope, receive, sending)
        finally:
            self._metrics.console_requests.labels(route=_route(scope), status=str(status)).inc()

    def _refused(self, scope: _Message) -> Problem | None:
        """Return why a request is not looked at, None if it is."""
        headers = dict(scope["headers"])
        if self._hosts and _host(headers.get(b"host", b"")) not in self._hosts:
            self._metrics.console_refused.labels(cause="host").inc()
            return Problem(400, "Host: expected the name by which this console is reached")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self._metrics.console_refused.labels(cause="size").inc()
            return _too_large()
        return None


def _too_large() -> Problem:
    return Problem(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")


def _bounded(receive: _Receive, metrics: Metrics) -> _Receive:
    """Return a `receive` that refuses a body that is larger than it said."""
    taken = 0

    async def receiving() -> _Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY_BYTES:
            metrics.console_refused.labels(cause="size").inc()
            raise _too_large()
        return message

    return receiving


def _host(header: bytes) -> str:
    """Return the name in a `Host` header, without its port; "" if it is none.

    Example:
        >>> _host(b"[::1]:8080"), _host(b"LocalHost:1"), _host(b"a b")
        ('::1', 'localhost', '')
    """
    try:
        found = urlsplit(f"//{header.decode('ascii')}").hostname or ""
    except ValueError:
        return ""
    return "" if " " in found else found


def _route(scope: _Message) -> str:
    """Return the route that answers, as it is written; never the path, which may be anything."""
    found = getattr(scope.get("route"), "path", None)
    if found is None:
        return _NOWHERE
    # A route of a router that was included knows its own part only.
    is_api = str(scope.get("path", "")).startswith(f"{PREFIX}/")
    return f"{PREFIX}{found}" if is_api and not found.startswith(PREFIX) else str(found)
