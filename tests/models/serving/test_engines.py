import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving import engines
from models.serving.engines import TOKENS_PER_RUN, pad, padded_length, plan_runs

lengths = st.lists(st.integers(1, 128), max_size=300)


@given(lengths)
def test_every_text_is_in_exactly_one_run(counts: list[int]) -> None:
    runs = list(plan_runs([[7] * count for count in counts]))
    assert sorted(row for rows, _ in runs for row in rows) == list(range(len(counts)))


@given(lengths)
def test_padded_length_depends_on_the_text_alone(counts: list[int]) -> None:
    for rows, length in plan_runs([[7] * count for count in counts]):
        assert all(padded_length(counts[row]) == length for row in rows)
        assert len(rows) * length <= max(TOKENS_PER_RUN, length)


def test_padding_and_mask_mark_the_same_tokens() -> None:
    ids, mask = pad([[5, 6], [7], [8, 9, 10]], [2, 1], 4)
    np.testing.assert_array_equal(ids, [[8, 9, 10, 0], [7, 0, 0, 0]])
    np.testing.assert_array_equal(mask, (ids > 0).astype(int))


def test_runs_that_end_at_once_lose_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    both, make = threading.Barrier(2), np.empty

    def make_together(shape: tuple[int, int], dtype: type) -> np.ndarray:
        both.wait(60)
        return make(shape, dtype)

    monkeypatch.setattr(engines.np, "empty", make_together)
    gatherer = engines._Gatherer(2)
    runs = [
        threading.Thread(
            target=gatherer.add, args=("x", [row], np.full((1, 3), row + 1.0, np.float32))
        )
        for row in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    np.testing.assert_array_equal(gatherer.outputs["x"], [[1.0] * 3, [2.0] * 3])
