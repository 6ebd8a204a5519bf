"""How a page is made: templates, who looks at it, and what is said when something is away."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.text import printable
from services.console.access import COOKIE
from services.console.problems import PREFIX, Problem, problem_response
from services.console.sessions import Principal
from services.console.state import state_of

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 8
_API: Final = PREFIX.removesuffix("/v1")
CONSOLE: Final = Path(__file__).resolve().parents[1]
"""The folder of templates and assets."""


def safe_link(url: str | None) -> str:
    """Return an address that a page may lead to; "" for any that is not http or https.

    Example:
        >>> safe_link("https://a.example/1"), safe_link("javascript:alert(1)"), safe_link("//x")
        ('https://a.example/1', '', '')
    """
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return url or "" if parts.scheme in ("http", "https") and parts.netloc else ""


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(CONSOLE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["utc"] = lambda at: f"{at:%Y-%m-%d %H:%M} UTC"
    found.filters["iso"] = datetime.isoformat
    found.filters["signed"] = lambda value, digits=2: f"{value:+.{digits}f}"
    found.filters["printable"] = lambda text: printable(unescape(text))
    found.filters["safe_link"] = safe_link
    return found


_PAGES: Final = _environment()


def render(template: str, **values: Any) -> str:
    """Return the text that a template and values make; values are escaped."""
    return _PAGES.get_template(template).render(**values)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, the first of each name.

    Raises:
        Problem: It has more fields than any form of ours (status 422), or is of another kind (415).
    """
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if kind != _FORM:
        raise Problem(415, f"expected a form ({_FORM})")
    body = (await request.body()).decode(errors="replace")
    try:
        found = parse_qs(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # what is no form at all is a form of one odd field to the parser
        said = f"expected a form of at most {_MOST_FIELDS} fields"
        raise Problem(422, said, errors=[("body", said)]) from None
    return {name: values[0] for name, values in found.items()}


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page made of a template."""
    return HTMLResponse(render(template, **values), status)


def signed_in(request: Request, cookie: str | None) -> Principal | None:
    """Return who looks at the page, None if nobody is signed in.

    Raises:
        Problem: They ask too often (status 429).
    """
    state = state_of(request)
    found = state.sessions.find(cookie) if cookie else None
    if found is not None and (waits_s := state.requests.wait_s(f"{found.name}|{found.key_id}")):
        state.metrics.console_refused.labels(cause="rate").inc()
        raise Problem(429, "too many requests", retry_after_s=waits_s)
    return found


def own_path(asked: str) -> str:
    """Return the page of this console that somebody wanted to see; the first page if it is none.

    Example:
        >>> own_path("/alerts/a1"), own_path("//evil.example"), own_path("https://evil.example")
        ('/alerts/a1', '/', '/')
    """
    is_own = re.fullmatch(r"/(?:[A-Za-z0-9._~?&=%:+-][A-Za-z0-9._~?&=%:/+-]{0,500})?", asked)
    return asked if is_own else "/"


def ask_to_sign_in(
    request: Request, said: str = "", status: int = 401, again: str = ""
) -> Response:
    """Return the page that asks for a key, and leads to the page that was asked for."""
    if not again and request.url.path != "/enter":
        again = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    has_link = state_of(request).link is not None
    return page(
        "sign_in.html", status, said=said, again=own_path(again), has_link=has_link, who=None
    )  # fmt: skip


def sorry(who: Principal | None, problem: Problem) -> Response:
    """Return the page that says what is wrong."""
    answer = page("problem.html", problem.status_code, who=who, problem=problem.body())
    answer.headers.update(problem.headers or {})
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def problem_answer(path: str, problem: Problem, who: Principal | None = None) -> Response:
    """Return what is wrong as the one who asks can read it: data of the API, else a page."""
    return problem_response(problem) if path.startswith(f"{_API}/") else sorry(who, problem)


def answer_to(request: Request, problem: Problem) -> Response:
    """Return what is wrong with a request; a page shows who is signed in."""
    cookie = request.cookies.get(COOKIE)
    who = state_of(request).sessions.find(cookie) if cookie else None
    return problem_answer(request.url.path, problem, who)
