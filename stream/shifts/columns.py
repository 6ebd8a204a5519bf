"""Records of fixed size, a column an attribute: declared once, typed, laid out in that order."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""(Q,) records, one a query."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

A = TypeVar("A", bound=NDArray[Any])
Field = tuple[str, Any, tuple[int, ...]]


class RecordColumn(Generic[A]):
    """A field of a record.

    Args:
        code: The type of a cell: a code of numpy, or the type of a record within the record.
        shape: The shape of a cell.
        start: What a cell holds before anything is known.
        per_kind: A cell has a value, or a shape of them, for every kind of shift.
    """

    def __init__(
        self, code: Any, shape: tuple[int, ...] = (), start: Any = 0, *, per_kind: bool = False
    ) -> None:
        self.code: Final = code
        self.shape: Final = shape
        self.start: Final = start
        self.per_kind: Final = per_kind

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, records: None, owner: type) -> RecordColumn[A]: ...
    @overload
    def __get__(self, records: Records, owner: type) -> A: ...
    def __get__(self, records: Records | None, owner: type) -> Any:
        return self if records is None else records.rows[self.name]

    def __set__(self, records: Records, value: Any) -> None:
        records.rows[self.name] = value


class Records:
    """A view of rows by their columns; a subclass names them, in the order of their bytes."""

    __slots__ = ("rows",)

    def __init__(self, rows: Rows | np.void) -> None:
        self.rows: Any = rows

    @classmethod
    def columns(cls) -> list[RecordColumn[Any]]:
        """Return the columns in the order of their bytes."""
        return [one for one in vars(cls).values() if isinstance(one, RecordColumn)]

    @classmethod
    def fields(cls, kinds: int = 0) -> list[Field]:
        """Return the fields of the record, for so many kinds of shift."""
        return [
            (one.name, one.code, (kinds, *one.shape) if one.per_kind else one.shape)
            for one in cls.columns()
        ]

    @classmethod
    def dtype(cls, kinds: int = 0) -> np.dtype[np.void]:
        """Return the type of a record of these columns alone."""
        return np.dtype(cls.fields(kinds))

    @classmethod
    def begin(cls, rows: Rows) -> None:
        """Fill rows of zeros with what their cells hold before anything is known."""
        for one in cls.columns():
            if np.any(one.start):
                rows[one.name] = one.start
