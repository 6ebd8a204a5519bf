"""How the oracle reads a record: slow and obvious, by itself but for counters that came later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.heads import INDEPENDENT
from stream.windows.layout import COUNTERS
from testkit.counters import further

_KNOWN: Final = (
    "posts",
    "rated",
    "sentiment_sum",
    "sentiment_square",
    "sentiment_negative",
    "sentiment_neutral",
    "sentiment_positive",
    "emotion_posts",
    "emotion_anger",
    "emotion_joy",
    "emotion_optimism",
    "emotion_sadness",
    "participation_posts",
    "participation_none",
    "participation_problem_solution",
    "participation_call_to_action",
    "participation_intention",
    "participation_execution",
    "near_duplicates",
    "problem_posts",
    "problem_collective_problem",
)
"""In the order in which the store holds them; written down here a second time on purpose."""
COUNTER_NAMES: Final = (*_KNOWN, *COUNTERS[len(_KNOWN) :])
"""With those that came later, which are worked out post by post as their rows say."""

_DAY: Final = timedelta(hours=24)
_MINUTE: Final = timedelta(seconds=60)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCE_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True, slots=True)
class Post:
    """What matters of a post that was produced."""

    source: str
    id: str
    ingested_at: datetime
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Scoring:
    """What matters of a record of `scored-posts`."""

    source: str
    id: str
    pane_start_s: int | None
    is_edit: bool
    queries: tuple[str, ...]
    stratum: str
    counters: tuple[int, ...]


def read_json(value: bytes) -> Any:
    """Return the JSON value in the bytes, None if there is none."""
    try:
        return json.loads(value.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def read_post(value: bytes) -> Post | None:
    """Return the post in the bytes, None if they are no post.

    Example:
        >>> read_post(b"[]") is None
        True
    """
    found = read_json(value)
    if not isinstance(found, dict) or found.get("v", 1) != 1 or found.get("v") is True:
        return None
    source, post_id, author = found.get("source"), found.get("id"), found.get("author")
    if not (_is_text(post_id, 1, 512) and _is_text(author, 1, 256) and _is_source(source)):
        return None
    if not (_is_text(found.get("text"), 0, None) and _is_text(found.get("lang", ""), 0, 35)):
        return None
    for name in ("reply_to", "repost_of"):
        if found.get(name) is not None and not _is_text(found[name], 1, 512):
            return None
    ingested_at = _read_time(found.get("ingested_at"))
    claimed_at = _read_time(found.get("claimed_at"))
    if ingested_at is None or (claimed_at is None and found.get("claimed_at") is not None):
        return None
    return Post(str(source), str(post_id), ingested_at, claimed_at)


def read_event(value: bytes) -> tuple[str, tuple[str, str]] | None:
    """Return kind and (source, post id) of an event, None if the bytes are no event."""
    found = read_json(value)
    if not isinstance(found, dict) or not _is_text(found.get("post_id"), 1, 512):
        return None
    return str(found.get("kind")), (str(found.get("source")), found["post_id"])


def pane_of(post: Post, pane_s: int) -> int:
    """Return the start of the post's pane in seconds: its claimed time clamped, or ingest time.

    Example:
        >>> at = datetime(1970, 1, 3, tzinfo=UTC)
        >>> pane_of(Post("s", "1", at, datetime(1970, 1, 1, tzinfo=UTC)), 60)
        86400
    """
    at = post.claimed_at or post.ingested_at
    at = min(max(at, post.ingested_at - _DAY), post.ingested_at + _MINUTE)
    return int((at - _EPOCH) // timedelta(seconds=pane_s)) * pane_s


def read_scoring(value: bytes) -> Scoring:
    """Return what a scoring adds; the sums are worked out here, not taken over."""
    found = json.loads(value)
    return Scoring(
        source=found["source"],
        id=found["id"],
        pane_start_s=number_of_ms(found["pane_start"]) // 1000 if found.get("pane_start") else None,
        is_edit=found.get("edit", False),
        queries=tuple(found["queries"]),
        stratum=found["stratum"],
        counters=_counters(
            found["rated"], found["scores"], int(found.get("near_duplicate", False))
        ),
    )


def _counters(rated: bool, scores: dict[str, list[int]], copies: int) -> tuple[int, ...]:
    row = [1] + [0] * (len(COUNTER_NAMES) - 1)
    row[COUNTER_NAMES.index("near_duplicates")] = copies
    for name, number in further(_KNOWN, rated, scores, bool(copies)).items():
        row[COUNTER_NAMES.index(name)] = number
    if not rated:
        return tuple(row)
    negative, neutral, positive = scores["sentiment"]
    opinion = positive - negative
    row[1:7] = 1, opinion, (opinion * opinion + 500_000) // 1_000_000, negative, neutral, positive
    for head in ("emotion", "participation", "problem"):
        if head in scores:
            at = COUNTER_NAMES.index(f"{head}_posts")
            row[at : at + 1 + len(scores[head])] = 1, *scores[head]
    return tuple(row)


def is_probable(value: bytes) -> bool:
    """Tell whether the scores of a scoring are micro-units of probabilities.

    Example:
        >>> is_probable(b'{"rated": true, "scores": {"sentiment": [0, 500000, 500000]}}')
        True
        >>> is_probable(b'{"rated": true, "scores": {"sentiment": [0, 500000, -3000000]}}')
        False
    """
    found = json.loads(value)
    for head, numbers in found["scores"].items():
        if not all(type(number) is int and 0 <= number <= 1_000_000 for number in numbers):
            return False
        if found["rated"] and head not in INDEPENDENT and abs(sum(numbers) - 1_000_000) > 1_010:
            return False
    return True


def read_text(value: bytes) -> bytes:
    r"""Return the text that the scorer is given of a post or an edit, as UTF-8.

    Example:
        >>> read_text(b'{"text": "two\\u0007words"}'), read_text(b'{"text": " \\n"}')
        (b'two words', b'')
    """
    text = (read_json(value) or {}).get("text") or ""
    kept = "".join(" " if is_control(char) else char for char in text)
    return kept.encode("utf-8", "replace") if kept.strip() else b""


def is_control(char: str) -> bool:
    """Tell whether it is a C0 or C1 control character other than tab and line ends."""
    number = ord(char)
    return (number < 32 or 127 <= number < 160) and char not in "\t\n\r"


def number_of_ms(text: str) -> int:
    """Return milliseconds since 1970 of an RFC 3339 time."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _read_time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _is_text(value: object, least: int, most: int | None) -> bool:
    return isinstance(value, str) and least <= len(value) and (most is None or len(value) <= most)


def _is_source(value: object) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 32
        and value[0].isalpha()
        and set(value) <= _SOURCE_LETTERS
    )
