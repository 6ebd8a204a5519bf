"""Windows as a table of polars or pandas, whichever is asked for and installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from groundswell.client.errors import ClientError

KINDS: Final = ("polars", "pandas")


def flat(window: Mapping[str, Any]) -> dict[str, Any]:
    """Return a window as one row: times in UTC, the interval beside the mean, a column a counter.

    Example:
        >>> row = flat({"start": "2026-01-01T00:00:00Z", "sentiment": {"mean": 0.1, "low": 0.0},
        ...             "shares": {"emotion": {"joy": 0.5}}, "counters": {"posts": 4}})
        >>> row["start"].hour, row["sentiment"], row["sentiment_high"], row["share_emotion_joy"]
        (0, 0.1, None, 0.5)
    """
    row = {name: one for name, one in window.items() if not isinstance(one, dict)}
    for name in ("start", "end"):
        if name in row:
            row[name] = datetime.fromisoformat(row[name])
    sentiment = window.get("sentiment") or {}
    row["sentiment"], row["stderr"] = sentiment.get("mean"), sentiment.get("stderr")
    row |= {f"sentiment_{end}": sentiment.get(end) for end in ("low", "high")}
    for head, shares in (window.get("shares") or {}).items():
        row |= {f"share_{head}_{name}": one for name, one in shares.items()}
    row |= {f"mobilisation_{name}": one for name, one in (window.get("mobilisation") or {}).items()}
    row |= {f"counter_{name}": one for name, one in (window.get("counters") or {}).items()}
    return row


def frame_of(windows: Iterable[Mapping[str, Any]], kind: str) -> Any:
    """Return a frame of a row a window.

    Raises:
        ClientError: There is no such kind, or its package is not installed.
    """
    if kind not in KINDS:
        raise ClientError("Wrong kind of frame", f"kind: {kind!r} is not one of {', '.join(KINDS)}",
                          what_to_do="name one of them")  # fmt: skip
    try:
        package = import_module(kind)
    except ModuleNotFoundError:
        raise ClientError("No frames here", f"{kind} is not installed",
                          what_to_do=f"pip install {kind}") from None  # fmt: skip
    rows = [flat(one) for one in windows]
    if kind == "polars":
        # Of every row: a column that is empty at first has its type from a later one.
        return package.DataFrame(rows, infer_schema_length=None)
    return package.DataFrame(rows)
