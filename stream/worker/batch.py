"""One micro-batch as named columns: what a step reads, what it adds, and what it drops.

A row is a post (of `posts`) or the new text of an edited one (of `post-events`). Beside its columns
a batch carries what is to be done when its turn has come: dead records, and one apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np

from stream.store.increments import ApplyBatch
from stream.windows.watermark import PartitionWatermark

T = TypeVar("T")


class FetchedRecord(Protocol):
    """What Kafka carries, as far as decoding needs it; aiokafka's record satisfies it."""

    @property
    def offset(self) -> int:
        """The offset in its partition."""
        ...

    @property
    def value(self) -> bytes | None:
        """The message, None for a tombstone."""
        ...


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A record that cannot be used, with its bytes."""

    offset: int
    reason: str
    detail: str
    value: bytes


class Column(Generic[T]):
    """The name of a column, and by its type what the column holds.

    A column is known by itself and not by its name alone, so that two steps cannot mean two things.

    Attributes:
        name: The name that errors say.
        per_row: The column has one value a row; else it says one thing of the whole batch.
    """

    __slots__ = ("name", "per_row")

    def __init__(self, name: str, *, per_row: bool = True) -> None:
        self.name = name
        self.per_row = per_row

    def __repr__(self) -> str:
        """Return the name as errors show it."""
        return f"`{self.name}`"


@dataclass(slots=True)
class PartitionPosition:
    """Where one topic of one partition stands, as its flow believes; made anew from the store.

    Attributes:
        topic: The topic.
        partition: The number of the partition.
        cursor: The last applied offset, -1 before the first.
        watermark: The watermark after the last batch that was placed in time.
        ids_in_flight: The id hashes of posts that are accepted and not yet applied. Batches that
            were thrown away keep those of an older position, and take nothing out of a newer one's.
    """

    topic: str
    partition: int
    cursor: int
    watermark: PartitionWatermark
    ids_in_flight: set[bytes] = field(default_factory=set[bytes])


class PostBatch:
    """The columns of one micro-batch, and what it does to the world.

    Attributes:
        position: Where its partition stands.
        records: The records as they were fetched; there is at least one.
        apply: The change of the partition's state; its cursor is that of the last record.
        dead: What could not be used, in no particular order.
        repairs: Repair code -> how often.
        size: The number of rows; 0 until a step has added the first column.
    """

    __slots__ = ("_columns", "_has_rows", "apply", "dead", "position", "records", "repairs", "size")

    def __init__(self, position: PartitionPosition, records: Sequence[FetchedRecord]) -> None:
        self.position = position
        self.records = records
        self.apply = ApplyBatch(position.topic, records[0].offset - 1, records[-1].offset)
        self.dead: list[DeadRecord] = []
        self.repairs: Counter[str] = Counter()
        self.size: int = 0
        self._has_rows = False
        self._columns: dict[Column[Any], Any] = {}

    def __contains__(self, column: Column[Any]) -> bool:
        """Tell whether a column is there."""
        return column in self._columns

    def has(self, columns: frozenset[Column[Any]]) -> bool:
        """Tell whether all of these columns are there."""
        return self._columns.keys() >= columns

    def __getitem__(self, column: Column[T]) -> T:
        """Return a column that is there, as a chain has made sure of what a step needs."""
        return self._columns[column]

    def get(self, column: Column[T]) -> T | None:
        """Return a column, None if no step has added it."""
        return self._columns.get(column)

    def __setitem__(self, column: Column[T], values: T) -> None:
        """Add a column, or put another in its place.

        Raises:
            ValueError: It has another number of rows than the columns that are there.
        """
        if column.per_row:
            rows = len(cast("Sequence[Any]", values))
            if self._has_rows and rows != self.size:
                raise ValueError(f"column {column} has {rows} rows, the batch has {self.size}")
            self.size = rows
            self._has_rows = True
        self._columns[column] = values

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows of every column, in order; `dead` and `repairs` stay."""
        if len(rows) == self.size:
            return
        for column, values in self._columns.items():
            if column.per_row:
                is_array = isinstance(values, np.ndarray)
                self._columns[column] = values[rows] if is_array else [values[row] for row in rows]
        self.size = len(rows)

    def beside(self) -> PostBatch:
        """Return a batch with the same columns, in which adding one shows to nobody else."""
        other = PostBatch(self.position, self.records)
        other.size = self.size
        other._has_rows = self._has_rows
        other._columns = dict(self._columns)
        return other

    def take(self, other: PostBatch, columns: Sequence[Column[Any]]) -> None:
        """Take columns over that were added to a batch made by `beside`."""
        for column in columns:
            self[column] = other[column]
