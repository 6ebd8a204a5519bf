"""What pages are made of besides words; browsers keep a file as long as it is the same."""

from __future__ import annotations

import hashlib
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.console.colours import class_colours
from services.console.pages.rendering import CONSOLE
from services.console.problems import Problem

router = APIRouter(include_in_schema=False)
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _read() -> dict[str, tuple[bytes, str, str]]:
    """Return name -> content, tag and media type of every asset."""
    found: dict[str, tuple[bytes, str, str]] = {}
    for path in sorted((CONSOLE / "assets").iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            if path.suffix == ".css":
                content += class_colours().encode()
            tag = hashlib.sha256(content).hexdigest()[:32]
            found[path.name] = content, f'"{tag}"', _TYPES[path.suffix]
    return found


_ASSETS: Final = _read()


@router.get("/")
def home() -> Response:
    """Lead to what is now."""
    return RedirectResponse("/now", 303)


@router.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    """Return one file; status 304 to whoever has just this."""
    if name not in _ASSETS:
        raise Problem(404, "there is no such file")
    content, tag, media_type = _ASSETS[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
