"""The application: routes, problems, the guard before them, and the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from services.console import api, api_alerts, api_live, api_pipeline, api_posts, api_windows, pages
from services.console.guard import Guard
from services.console.pages.rendering import answer_to, problem_answer
from services.console.problems import MEDIA_TYPE, PREFIX, add_handlers
from services.console.shapes import FieldFault, ProblemShape
from services.console.state import ConsoleState

_HOSTS_OF_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_PROBLEMS: Final = {
    400: "The cursor is none of this list, or the host is another",
    401: "No key, or one that is nobody's",
    403: "Not for this role",
    404: "There is no such thing",
    413: "The body is too large",
    422: "A field is wrong; `errors` names it",
    429: "Too many requests; `Retry-After` says when",
    503: "What the answer comes from is away; `away` names it",
}


def make_application(state: ConsoleState) -> FastAPI:
    """Return the application without the guard: for its document."""
    app = FastAPI(
        title="Groundswell", version="1", openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None, redoc_url=None,  # their pages ask another site for scripts
        redirect_slashes=False, responses={s: {"description": d} for s, d in _PROBLEMS.items()},
        description="What Groundswell has counted, judged and forecast.",
    )  # fmt: skip
    app.state.console = state
    for one in (api, api_windows, api_live, api_posts, api_alerts, api_pipeline):
        app.include_router(one.router, prefix=PREFIX)
    for router in pages.ROUTERS:
        app.include_router(router)

    @app.get("/healthz", include_in_schema=False)
    async def is_alive() -> Response:
        return PlainTextResponse("alive\n")

    add_handlers(app, answer_to)
    app.openapi = lambda: _document(app)
    return app


def make_console(state: ConsoleState) -> Guard:
    """Return the console as it is served."""
    settings = state.settings.console
    hosts: tuple[str, ...] = ()
    if settings.is_local:
        hosts = _HOSTS_OF_LOOPBACK
        if settings.public_url:
            hosts += (urlsplit(settings.public_url).hostname or "",)
    return Guard(
        make_application(state), hosts, settings.deadline_s, state.metrics, state.clock,
        problem_answer,
    )  # fmt: skip


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with problems as they are answered."""
    if app.openapi_schema is None:
        app.openapi_schema = _with_problems(FastAPI.openapi(app))
    return app.openapi_schema


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    place = "#/components/schemas/{model}"
    schemas["Problem"] = ProblemShape.model_json_schema(ref_template=place)
    schemas["Problem"].pop("$defs", None)
    schemas["FieldFault"] = FieldFault.model_json_schema(ref_template=place)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, described in operation["responses"].items():
                if int(status) >= 400:
                    described["content"] = content
            if "parameters" in operation:
                operation["responses"]["200"].setdefault("headers", {})["ETag"] = {
                    "schema": {"type": "string"}
                }
    return document
