"""How an answer is written: JSON with an ETag, or CSV and JSON lines as a stream without an end."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from core.errors import GroundswellError
from core.logs import get_logger
from core.metrics import Metrics

_log = get_logger(__name__)
Format = Literal["json", "csv", "jsonl"]
CSV: Final = "text/csv"
JSON_LINES: Final = "application/jsonl"
_BY_MEDIA_TYPE: Final[dict[str, Format]] = {
    "application/json": "json",
    "*/*": "json",
    CSV: "csv",
    JSON_LINES: "jsonl",
    "application/x-ndjson": "jsonl",
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet (OWASP: CSV injection)."""
VARY: Final = "Accept, Authorization, Cookie"


def format_of(request: Request, asked: Format | None) -> Format:
    """Return the format that is asked for: by name, else the first of `Accept` that is known.

    Whoever accepts nothing that is known is given JSON.
    """
    if asked is not None:
        return asked
    for one in request.headers.get("accept", "*/*").lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name in _BY_MEDIA_TYPE and "q=0" not in parameters:
            return _BY_MEDIA_TYPE[name]
    return "json"


def answer(request: Request, model: BaseModel) -> Response:
    """Return a model as JSON; status 304 if the one who asks has just this."""
    body = model.model_dump_json().encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Vary": VARY}
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _has(header: str, tag: str) -> bool:
    """Tell whether `If-None-Match` names a tag; compared weakly, as RFC 9110 asks for."""
    named = {one.strip().removeprefix("W/") for one in header.split(",")}
    return tag in named or header.strip() == "*"


async def stream(
    rows: AsyncIterator[Sequence[Mapping[str, Any]]],
    names: Sequence[str],
    form: Format,
    metrics: Metrics,
) -> Response:
    """Return rows as they come, a line each, however many there are.

    The first rows are read before the answer begins: so what is away is said. What goes away later
    breaks the answer off, and the connection with it; it never looks like the end.

    Args:
        rows: Some rows at a time.
        names: The names of the columns, for CSV.
        form: `csv` or `jsonl`.
        metrics: Of this process.
    """
    first = await anext(rows, None)

    async def lines() -> AsyncIterator[bytes]:
        if form == "csv":
            yield _csv([names])
        try:
            some = first
            while some is not None:
                if form == "csv":
                    yield _csv([_cell(row.get(name)) for name in names] for row in some)
                else:
                    yield b"".join(json.dumps(row).encode() + b"\n" for row in some)
                some = await anext(rows, None)
        except GroundswellError as error:
            metrics.console_streams_cut.inc()
            _log.error("an answer broke off", reason=str(error))
            raise

    media_type = f"{CSV}; charset=utf-8" if form == "csv" else JSON_LINES
    return StreamingResponse(lines(), media_type=media_type, headers={"Vary": VARY})


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)  # RFC 4180
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a value as a cell; text that a spreadsheet would run has an apostrophe before it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
