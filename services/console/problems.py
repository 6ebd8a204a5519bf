"""What goes wrong, as `application/problem+json` (RFC 9457): what, why, and the field at fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from core.errors import BrokerUnavailable, GroundswellError, StoreUnavailable
from core.logs import get_logger
from stream.queries import CatalogError

_log = get_logger(__name__)
MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "/api/v1"
RETRY_AFTER_S: Final = 5
_AWAY: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (StoreUnavailable, "store", "Redis does not answer"),
    (BrokerUnavailable, "broker", "Kafka does not answer"),
    (CatalogError, "queries", "the catalog of queries cannot be used"),
)
"""What is away -> its name in `away`, and how that is said."""
_MOST_SHOWN: Final = 300


class Problem(HTTPException):
    """An answer that says what is wrong.

    Args:
        status: The HTTP status.
        detail: What was found and what was expected; never text of a post, never a secret.
        errors: (field, what is wrong with it) of each field at fault.
        away: What does not answer.
        retry_after_s: When to try again.
        headers: Further headers.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        away: Sequence[str] = (),
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        found = dict(headers or {})
        if retry_after_s is not None:
            found["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        super().__init__(status, detail, found)
        self.errors = tuple(errors)
        self.away = tuple(away)

    def body(self) -> dict[str, Any]:
        """Return the members of the problem."""
        return problem_body(self.status_code, str(self.detail), self.errors, self.away)


def problem_body(
    status: int,
    detail: str,
    errors: Sequence[tuple[str, str]] = (),
    away: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the members of a problem; `errors` and `away` only where there are any."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_MOST_SHOWN],
    }
    if errors:
        body["errors"] = [{"field": field, "detail": said[:_MOST_SHOWN]} for field, said in errors]
    if away:
        body["away"] = list(away)
    return body


def problem_response(problem: Problem) -> Response:
    """Return the answer."""
    return Response(
        msgspec.json.encode(problem.body()),
        problem.status_code,
        dict(problem.headers or {}) | {"Cache-Control": "no-store"},
        MEDIA_TYPE,
    )


def field_problem(field: str, detail: str, status: int = 422) -> Problem:
    """Return the problem of one field."""
    return Problem(status, f"{field}: {detail}", errors=[(field, detail)])


def away_problem(error: Exception) -> Problem:
    """Return the problem of something that does not answer; its own words are for the log."""
    for kind, name, said in _AWAY:
        if isinstance(error, kind):
            return Problem(503, said, away=[name], retry_after_s=RETRY_AFTER_S)
    return Problem(503, "something does not answer for now", retry_after_s=RETRY_AFTER_S)


def add_handlers(app: FastAPI, respond: Callable[[Request, Problem], Response]) -> None:
    """Let everything that goes wrong be answered with a problem.

    Args:
        app: The application.
        respond: Makes the answer, as the one who asks can read it.
    """

    async def on_http(request: Request, error: Exception) -> Response:
        if isinstance(error, Problem):
            return respond(request, error)
        assert isinstance(error, AnyHTTPException)  # noqa: S101  (registered for no other)
        return respond(request, Problem(error.status_code, error.detail, headers=error.headers))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        found = [(field_of(one["loc"]), str(one["msg"])) for one in error.errors()]
        named = ", ".join(dict.fromkeys(name for name, _ in found))
        return respond(request, Problem(422, f"wrong: {named}", errors=found))

    async def on_away(request: Request, error: Exception) -> Response:
        _log.warning("a request is answered with what is away", reason=str(error))
        return respond(request, away_problem(error))

    async def on_failure(request: Request, _error: Exception) -> Response:
        return respond(request, Problem(500, "a defect of the console; its log has more"))

    app.add_exception_handler(AnyHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(GroundswellError, on_away)
    app.add_exception_handler(Exception, on_failure)


def field_of(location: Sequence[Any]) -> str:
    """Return the name of a field as the one who asked knows it.

    Example:
        >>> field_of(("query", "limit")), field_of(("body", "expression")), field_of(("body", 3))
        ('limit', 'expression', 'body')
    """
    names = [str(part) for part in location[1:] if isinstance(part, str)]
    return ".".join(names) or str(location[0] if location else "request")
