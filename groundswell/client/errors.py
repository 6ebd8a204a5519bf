"""The one error of the client: what is wrong, in which field, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_MOST_SHOWN: Final = 300
_WHAT_TO_DO: Final = {
    None: "check the address, and that the console runs: `groundswell console link` prints it",
    400: "begin again without the cursor, and check the address",
    401: "give a key that is good: `groundswell console keys add NAME` makes one",
    403: "ask with a key of another role",
    404: "look at what there is: `queries()`, `alerts()`",
    409: "begin again",
    422: "correct the field that is named",
    429: "ask less often, or raise console.requests_per_minute",
    503: "try again later; `health()` says when what is away is back",
}
_ELSE: Final = "look into the console's log"


class ClientError(Exception):
    """A question that has no answer.

    Attributes:
        status: The HTTP status; None if nothing answered, or what answered is no console.
        title: What is wrong, in a word or two.
        detail: What was found and what was expected.
        errors: (field, what is wrong with it) of each field at fault.
        away: What does not answer behind the console: `store`, `broker`, `queries`.
        retry_after_s: When the console asks to be asked again, in seconds.
        what_to_do: What helps.
    """

    def __init__(
        self,
        title: str,
        detail: str = "",
        *,
        status: int | None = None,
        errors: Sequence[tuple[str, str]] = (),
        away: Sequence[str] = (),
        retry_after_s: float | None = None,
        what_to_do: str = "",
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.away = tuple(away)
        self.retry_after_s = retry_after_s
        self.what_to_do = what_to_do or _WHAT_TO_DO.get(status, _ELSE)
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return title, detail, the fields at fault and what to do, a sentence in one line."""
        head = self.title if self.status is None else f"{self.status} {self.title}"
        said = f"{head}: {self.detail}" if self.detail else head
        fields = "; ".join(f"{name}: {wrong}" for name, wrong in self.errors)
        if fields and fields != self.detail:
            said += f" ({fields})"
        return f"{said}. What to do: {self.what_to_do}"


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ClientError:
    """Return the error that an answer is, whether it is a problem (RFC 9457) or something else."""
    try:
        found: Any = json.loads(body)
    except ValueError:  # a proxy's page, perhaps
        found = None
    if not isinstance(found, dict) or "title" not in found:
        return ClientError(
            "No problem document", "the answer is no console's", status=status,
            retry_after_s=_seconds(headers.get("retry-after")),
        )  # fmt: skip
    faults = [one for one in _list(found.get("errors")) if isinstance(one, dict)]
    return ClientError(
        str(found["title"])[:_MOST_SHOWN],
        str(found.get("detail") or "")[:_MOST_SHOWN],
        status=status,
        errors=[(str(one.get("field")), str(one.get("detail"))[:_MOST_SHOWN]) for one in faults],
        away=[str(one) for one in _list(found.get("away"))],
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(text: str | None) -> float | None:
    """Return the seconds of `Retry-After`; a date, which no console sends, counts as none."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
