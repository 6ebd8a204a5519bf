"""The states of all queries, column by column, and the bytes of one."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.shifts.columns import Rows
from stream.shifts.cores import PUBLISHED, core_type, new_cores, published_type, widened
from stream.shifts.intake import fold_slot
from stream.shifts.kinds import KINDS
from stream.shifts.layout import OTHER, PANE, PaneCounts, new_panes

_VERSION: Final = 1
MAX_STATE_BYTES: Final = 131_072
"""No state is longer: two cores, the panes between them, and at most 23 names of strata."""


class _State(msgspec.Struct, array_like=True):
    """What is kept of a query."""

    version: int
    layout: int
    at: int
    strata: dict[str, int]
    arrays: bytes


def _layout(kinds: int) -> int:
    """Return a number that stands for the types of a state with the first `kinds` kinds."""
    types = (core_type(kinds).descr, PANE.descr, published_type(kinds).descr)
    return zlib.crc32(repr(types).encode())


_LAYOUTS: Final = {_layout(kinds): kinds for kinds in range(1, len(KINDS) + 1)}
"""Layout of a state -> kinds that it was written with: today's, and those before the last came."""
_LAYOUT: Final = _layout(len(KINDS))
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_State)


class Memory:
    """Rows of every query that was seen; grows by doubling, rows of forgotten ones are reused.

    Args:
        panes: The panes between the base and the present.

    Attributes:
        now: (N,) The cores at the last pane.
        base: (N,) The cores `panes` panes before.
        ring: (N, panes) What came in between, by number of the pane modulo `panes`.
        published: (N,) What was published.
        at: (N,) The start (s) of the last pane; -1 before the first.
        strata: stratum -> slot of each row.
    """

    def __init__(self, panes: int) -> None:
        self.panes = panes
        self._row_of: dict[str, int] = {}
        self._names: list[str] = []
        self._free: list[int] = []
        self.strata: list[dict[str, int]] = []
        self.now: Rows = new_cores(0)
        self.base: Rows = new_cores(0)
        self.ring: Rows = new_panes(0).reshape(0, panes)
        self.published: Rows = np.zeros(0, dtype=PUBLISHED)
        self.at: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def names(self) -> list[str]:
        """Return the queries, in order of name."""
        return sorted(self._row_of)

    def name(self, row: int) -> str:
        """Return the query of a row."""
        return self._names[row]

    def rows(self) -> NDArray[np.int64]:
        """Return the rows in use."""
        return np.array(sorted(self._row_of.values()), dtype=np.int64)

    def find(self, query: str) -> int | None:
        """Return the row of a query, if it has one."""
        return self._row_of.get(query)

    def row(self, query: str) -> int:
        """Return the row of a query, a new one if it has none."""
        row = self._row_of.get(query)
        if row is not None:
            return row
        row = self._free.pop() if self._free else self._grow()
        self._row_of[query] = row
        self._names[row] = query
        self.strata[row] = {}
        return row

    def remove(self, query: str) -> None:
        """Forget a query."""
        row = self._row_of.pop(query, None)
        if row is None:
            return
        self._names[row] = ""
        self._clear(row)
        self._free.append(row)

    def fold(self, row: int, slot: int) -> None:
        """Count a stratum's slot as `other` in everything that is remembered of a row."""
        fold_slot(self.now[row], slot)
        fold_slot(self.base[row], slot)
        ring = PaneCounts(self.ring[row])
        for values in (ring.rated, ring.sentiment):
            values[:, OTHER] += values[:, slot]
            values[:, slot] = 0

    def _grow(self) -> int:
        used = len(self._names)
        if used == len(self.at):
            more = max(1, used)
            self.now = np.concatenate([self.now, new_cores(more)])
            self.base = np.concatenate([self.base, new_cores(more)])
            rings = new_panes(more * self.panes).reshape(more, self.panes)
            self.ring = np.concatenate([self.ring, rings])
            self.published = np.concatenate([self.published, np.zeros(more, dtype=PUBLISHED)])
            self.at = np.concatenate([self.at, np.full(more, -1, dtype=np.int64)])
        self._names.append("")
        self.strata.append({})
        return used

    def _clear(self, row: int) -> None:
        self.now[row] = self.base[row] = new_cores(1)[0]
        self.ring[row] = new_panes(self.panes)
        self.published[row] = 0
        self.at[row] = -1
        self.strata[row] = {}


def dump(memory: Memory, query: str) -> bytes:
    """Return the state of a query, b"" if it has none."""
    row = memory.find(query)
    if row is None:
        return b""
    parts = (memory.now[row], memory.base[row], memory.ring[row], memory.published[row])
    raw = b"".join(part.tobytes() for part in parts)
    state = _State(
        _VERSION,
        _LAYOUT + memory.panes,
        int(memory.at[row]),
        dict(memory.strata[row]),
        zlib.compress(raw, 1),
    )
    return _encoder.encode(state)


def load(memory: Memory, query: str, state: bytes) -> bool:
    """Bring back a state, also one of before a kind was appended, of which it then knows nothing.

    Returns:
        False, and nothing is changed, if it cannot be used.
    """
    try:
        found = _decoder.decode(state)
        raw = zlib.decompress(found.arrays)
    except (msgspec.MsgspecError, zlib.error):
        return False
    kinds = _LAYOUTS.get(found.layout - memory.panes)
    if found.version != _VERSION or kinds is None:
        return False
    core, published = core_type(kinds), published_type(kinds)
    ring = memory.panes * PANE.itemsize
    starts = np.cumsum([0, core.itemsize, core.itemsize, ring, published.itemsize]).tolist()
    if len(raw) != starts[-1]:
        return False
    row = memory.row(query)
    one = slice(row, row + 1)
    for cores, start in ((memory.now, starts[0]), (memory.base, starts[1])):
        cores[one] = widened(np.frombuffer(raw, core, 1, start), new_cores(1))
    memory.ring[row] = np.frombuffer(raw, PANE, memory.panes, starts[2])
    blank = np.zeros(1, dtype=PUBLISHED)
    memory.published[one] = widened(np.frombuffer(raw, published, 1, starts[3]), blank)
    memory.at[row] = found.at
    memory.strata[row] = dict(found.strata)
    return True
