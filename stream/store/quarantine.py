"""What of the stored state could not be read: found, set aside, and waiting for `windows repair`.

The store may hold anything: a stranger wrote to it, a disk lied, a defect of ours. A share of a
pane that cannot be read is set aside by the script that meets it, together with the cursors of that
moment, and counted on from zero. So what is lost is exactly what the topics held up to these
cursors, and a repair adds just that. Until then no reader is shown the window: it would be a wrong
number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from stream.windows.layout import STRATUM_WIDTH

STRATUM_BARS: Final = 2
"""A stratum is called `source|language|topic` (`stream.windows.strata`)."""
MOST: Final = 2**53 - 1
"""Greatest size of a stored number: from 2^53 on the store's Lua leaves integers out."""

Kind = Literal["pane", "authors", "kept", "ahead", "seen", "rebuild", "unknown"]
KINDS: Final[tuple[Kind, ...]] = (
    "pane", "authors", "kept", "ahead", "seen", "rebuild", "unknown",
)  # fmt: skip
_NO_TIME_S: Final = 100_000_000_000
"""The year 5138: far beyond it dates end."""
EVERY: Final = "*"
"""Stands for all queries of a pane."""

_OF_PANE: Final = re.compile(r"-?[0-9]{1,15}\|.*", re.DOTALL)
_OF_SHARD: Final = re.compile(r"[0-9]{1,15}\|[0-9]{1,5}")
_NAMES: Final[dict[str, re.Pattern[str]]] = {
    "pane": _OF_PANE,
    "authors": _OF_PANE,
    "kept": re.compile(rf"[0-9a-f]+|{_OF_SHARD.pattern}"),
    "ahead": re.compile(r"[0-9a-f]*|\*"),
    "seen": _OF_SHARD,
    "rebuild": re.compile(r"(?:posts|post-events)\|[0-9]{1,15}"),
}
"""Kind of an entry -> the rest of its name; a name that is none of these has another writer."""
_INTEGER: Final = re.compile(rb"-?\d{1,19}")
_ints: Final = msgspec.msgpack.Decoder(list[int])
_strata: Final = msgspec.msgpack.Decoder(dict[str, list[int]])


class _Noted(msgspec.Struct):
    """The value of a field of `{p}:quarantine`, as `partition.lua` writes it."""

    at: float
    posts: int
    events: int
    found: str
    expected: str
    raw: str = ""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An entry of a partition's quarantine.

    Attributes:
        partition: The partition.
        field: The name of the entry.
        value: The entry itself, as it is stored.
        kind: The kind of what could not be read.
        place: The rest of the name: start and query of a pane, hour and shard, or an id in hex.
        posts, events: The cursors up to which the rest had been counted.
        found, expected: What stood there, and what should.
    """

    partition: int
    field: bytes
    value: bytes
    kind: Kind
    place: tuple[str, ...]
    posts: int
    events: int
    found: str
    expected: str

    @property
    def start_s(self) -> int | None:
        """Start of the pane in seconds since 1970; None if it is of no one pane."""
        return int(self.place[0]) if self.kind in ("pane", "authors") else None

    @property
    def query(self) -> str:
        """The query of the pane, `EVERY` if all of it or more is meant."""
        return self.place[1] if self.kind in ("pane", "authors") else EVERY

    @property
    def withholds(self) -> bool:
        """Whether windows are not shown because of it."""
        return self.kind in ("pane", "authors", "rebuild", "unknown")

    def __str__(self) -> str:
        """Return what people read."""
        name = self.field.decode(errors="backslashreplace")
        return f"{{{self.partition}}}:quarantine {name}: {self.found}, expected {self.expected}"


def read_entry(partition: int, field: bytes, value: bytes) -> SetAside:
    """Return an entry; one that cannot be read is `unknown` and stands for all of the partition."""
    kind, _, rest = field.decode(errors="backslashreplace").partition("|")
    place = tuple(rest.split("|", 1))
    try:
        noted = msgspec.json.decode(value, type=_Noted)
        if kind not in KINDS or not _NAMES[kind].fullmatch(rest):
            raise ValueError(rest)
    except (msgspec.MsgspecError, ValueError, KeyError):
        return SetAside(partition, field, value, "unknown", (), -1, -1, "no entry", "an entry")
    return SetAside(
        partition, field, value, kind, place, noted.posts, noted.events, noted.found, noted.expected
    )


@dataclass(frozen=True, slots=True)
class Missing:
    """A window that is not shown, since the share of a partition is not known.

    Attributes:
        partition: The partition.
        start_s: Start of the pane in seconds since 1970; None if all panes are meant.
        query: The name of the query; `EVERY` if all are meant.
        why: What was found and what was expected.
        raw: Name of the query, counters and strata as they were read, of what was not set aside
            yet: a name that is no UTF-8 is another one in `query`.
    """

    partition: int
    start_s: int | None
    query: str
    why: str
    raw: tuple[bytes, bytes, bytes] | None = None

    def __str__(self) -> str:
        """Return what people read."""
        return f"{{{self.partition}}}:pane:{self.start_s} {self.query}: {self.why}"


def missing_of(entries: Iterable[SetAside]) -> list[Missing]:
    """Return the windows that entries keep from being shown."""
    return [
        Missing(one.partition, one.start_s, one.query, f"{one.found}, expected {one.expected}")
        for one in entries
        if one.withholds
    ]


def integer(raw: bytes) -> int:
    """Return a stored integer.

    Raises:
        ValueError: It is none, or beyond 2^53; the message has the beginning of what was found.
    """
    if not _INTEGER.fullmatch(raw) or abs(int(raw)) > MOST:
        raise ValueError(repr(raw[:64]))
    return int(raw)


def is_start(raw: bytes) -> bool:
    """Tell whether a stored value is the start of a pane, in seconds since 1970."""
    return is_integer(raw) and abs(int(raw)) < _NO_TIME_S


def is_integer(raw: bytes) -> bool:
    """Tell whether a stored value is an integer; members of an index are left out otherwise."""
    return _INTEGER.fullmatch(raw) is not None


def counters_of(packed: bytes) -> list[int]:
    """Return the counters of a share of a pane.

    Raises:
        ValueError: They are none; the message says what is wrong.
    """
    found: list[int] = _within(_decoded(_ints, packed))
    if not found:
        raise ValueError("no counters")
    return found


def strata_of(packed: bytes) -> dict[str, list[int]]:
    """Return the strata of a share of a pane.

    Raises:
        ValueError: They are none; the message says what is wrong.
    """
    found: dict[str, list[int]] = _decoded(_strata, packed)
    for name, values in found.items():
        if len(_within(values)) != STRATUM_WIDTH or name.count("|") != STRATUM_BARS:
            raise ValueError(f"a stratum {name[:64]!r} of {len(values)} numbers")
    return found


def _decoded(decoder: Any, packed: bytes) -> Any:
    try:
        return decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)[:200]) from error


def _within(values: list[int]) -> list[int]:
    if values and (max(values) > MOST or min(values) < -MOST):
        raise ValueError("a number beyond 2^53")
    return values
