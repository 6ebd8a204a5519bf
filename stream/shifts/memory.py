"""The states of all queries, column by column, and the bytes of one."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.shifts.intake import fold_slot
from stream.shifts.layout import CORE, KIND_COUNT, OTHER, PANE, Rows, new_cores, new_panes

_VERSION: Final = 1
MAX_STATE_BYTES: Final = 131_072
"""No state is longer: two cores, the panes between them, and at most 23 names of strata."""

SAID: Final = np.dtype(
    [
        ("firing", "u1", (KIND_COUNT,)),
        ("severity", "u1", (KIND_COUNT,)),
        ("number", "i4", (KIND_COUNT,)),
        ("count", "i4"),
    ]
)
"""What was said last, apart from the cores: a correction compares with it."""


class _State(msgspec.Struct, array_like=True):
    """What is kept of a query."""

    version: int
    layout: int
    at: int
    strata: dict[str, int]
    arrays: bytes


_LAYOUT: Final = zlib.crc32(repr((CORE.descr, PANE.descr, SAID.descr)).encode())
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_State)


class Memory:
    """Rows of every query that was seen; grows by doubling, rows of forgotten ones are reused.

    Args:
        panes: panes between the base and the present.

    Attributes:
        now: (N,) cores at the last pane.
        base: (N,) cores `panes` panes before.
        ring: (N, panes) what came in between, by number of the pane modulo `panes`.
        said: (N,) what was said.
        at: (N,) start (s) of the last pane; -1 before the first.
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
        self.said: NDArray[np.void] = np.zeros(0, dtype=SAID)
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
        for name in ("rated", "sentiment"):
            values = self.ring[row][name]
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
            self.said = np.concatenate([self.said, np.zeros(more, dtype=SAID)])
            self.at = np.concatenate([self.at, np.full(more, -1, dtype=np.int64)])
        self._names.append("")
        self.strata.append({})
        return used

    def _clear(self, row: int) -> None:
        self.now[row] = self.base[row] = new_cores(1)[0]
        self.ring[row] = new_panes(self.panes)
        self.said[row] = 0
        self.at[row] = -1
        self.strata[row] = {}


def dump(memory: Memory, query: str) -> bytes:
    """Return the state of a query, b"" if it has none."""
    row = memory.find(query)
    if row is None:
        return b""
    parts = (memory.now[row], memory.base[row], memory.ring[row], memory.said[row])
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
    """Bring back a state; False, and nothing changed, if it cannot be used."""
    try:
        found = _decoder.decode(state)
        raw = zlib.decompress(found.arrays)
    except (msgspec.MsgspecError, zlib.error):
        return False
    ring = memory.panes * PANE.itemsize
    sizes = (CORE.itemsize, CORE.itemsize, ring, SAID.itemsize)
    if (found.version, found.layout, len(raw)) != (_VERSION, _LAYOUT + memory.panes, sum(sizes)):
        return False
    row = memory.row(query)
    now, base, panes, said = np.cumsum([0, *sizes[:3]]).tolist()
    memory.now[row] = np.frombuffer(raw, CORE, 1, now)[0]
    memory.base[row] = np.frombuffer(raw, CORE, 1, base)[0]
    memory.ring[row] = np.frombuffer(raw, PANE, memory.panes, panes)
    memory.said[row] = np.frombuffer(raw, SAID, 1, said)[0]
    memory.at[row] = found.at
    memory.strata[row] = dict(found.strata)
    return True
