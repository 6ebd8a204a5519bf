"""The columns of a batch: what is kept, refused, and added beside."""

import numpy as np
import pytest

from stream.worker.batch import Column
from testkit.stream import batch_of

WORDS = Column[list[str]]("words")
NUMBERS = Column[np.ndarray]("numbers")
NAMES = Column[tuple[str, ...]]("names", per_row=False)


def test_columns_of_rows_are_kept_together_and_those_of_the_whole_batch_stay() -> None:
    batch = batch_of(b"")
    batch[NAMES], batch[WORDS], batch[NUMBERS] = ("x",), ["a", "b", "c"], np.arange(6).reshape(3, 2)
    batch.keep([0, 2])
    assert (batch.size, batch[NAMES], batch[WORDS]) == (2, ("x",), ["a", "c"])
    assert batch[NUMBERS].tolist() == [[0, 1], [4, 5]]


def test_a_column_of_another_number_of_rows_is_refused_by_its_name() -> None:
    batch = batch_of(b"")
    batch[WORDS] = ["a", "b"]
    with pytest.raises(ValueError, match=r"column `numbers` has 3 rows, the batch has 2"):
        batch[NUMBERS] = np.arange(3)
    assert NUMBERS not in batch


def test_a_batch_without_rows_takes_no_column_that_has_some() -> None:
    batch = batch_of(b"")
    batch[WORDS] = []
    with pytest.raises(ValueError, match="has 1 rows, the batch has 0"):
        batch[NUMBERS] = np.arange(1)


def test_two_columns_of_one_name_are_two_columns() -> None:
    batch = batch_of(b"")
    batch[WORDS] = ["a"]
    assert Column[list[str]]("words") not in batch


def test_what_is_added_beside_a_batch_shows_in_it_only_once_it_is_taken() -> None:
    batch = batch_of(b"")
    batch[WORDS] = ["a", "b"]
    other = batch.beside()
    other[NUMBERS] = np.arange(2)
    assert batch.get(NUMBERS) is None
    batch.take(other, (NUMBERS,))
    assert batch[NUMBERS].tolist() == [0, 1]
