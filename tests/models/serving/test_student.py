"""The student gives a text the same bits in any batch, and learned what its twin in torch did."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from models.encoder.config import uncalibrated
from models.serving.student import StudentEngine, windows
from models.student.config import check_beside
from models.student.weights import TABLE, TABLE_SCALE, TRAINED_TABLE, packed
from testkit.scorers.made_student import SMALL, made_config, made_weights

HEADS = tuple(uncalibrated(name) for name in ("sentiment", "topics", "participation"))
_rng = np.random.default_rng(5)
POSTS = [_rng.integers(0, SMALL.pieces, n).tolist() for n in (1, 2, 7, 8, 9, 16, 17, 40, 128) * 6]
ENGINE = StudentEngine(SMALL, made_weights(SMALL, HEADS), threads=2)


def _bits(post: int, posts: list[int]) -> list[bytes]:
    outputs = ENGINE.infer([POSTS[number] for number in posts])
    return [outputs[f"logits_{head.name}"][post].tobytes() for head in HEADS]


ALONE = [_bits(0, [number]) for number in range(len(POSTS))]


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 100), seed=st.integers(0, 2**32 - 1))
def test_any_batch_gives_a_post_the_bits_it_has_alone(size: int, seed: int) -> None:
    chooser = random.Random(seed)
    chosen = [chooser.randrange(len(POSTS)) for _ in range(size)]
    outputs = ENGINE.infer([POSTS[number] for number in chosen])
    for row, number in enumerate(chosen):
        found = [outputs[f"logits_{head.name}"][row].tobytes() for head in HEADS]
        assert found == ALONE[number]


def test_one_thread_gives_the_bits_of_several() -> None:
    single = StudentEngine(SMALL, made_weights(SMALL, HEADS), threads=1).infer(POSTS)
    for name, values in ENGINE.infer(POSTS).items():
        assert single[name].tobytes() == values.tobytes(), name


def test_padding_says_nothing() -> None:
    # 8 pieces fill their length, 9 are padded to 16: what is beyond must not be heard.
    for pieces in ([5] * 8, [5] * 9):
        ids = np.array([pieces + [0] * 23])[:, :24]
        mask = (np.arange(24) < len(pieces)).astype(np.int64)[None]
        noisy = np.where(mask == 1, ids, 77)
        assert np.array_equal(ENGINE.forward(ids, mask), ENGINE.forward(noisy, mask))


def test_windows_have_the_neighbours_of_each_place() -> None:
    values = np.array([[[1.0], [2.0], [3.0]]], np.float32)
    assert windows(values, 3).tolist() == [[[0, 1, 2], [1, 2, 3], [2, 3, 0]]]
    assert windows(values[:, :1], 5).tolist() == [[[0, 0, 1, 0, 0]]]


def test_a_table_of_eight_bits_is_near_the_whole_one() -> None:
    table = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    table[7] = 0
    found = packed({TRAINED_TABLE: table})
    assert found[TABLE].dtype == np.int8
    restored = found[TABLE].astype(np.float32) * found[TABLE_SCALE]
    assert np.abs(restored - table).max() <= np.abs(table).max() / 127
    assert not restored[7].any()


@pytest.mark.parametrize("version", ["post-encoder-1+other.int8.0", "post-encoder-1+abc2"])
def test_a_student_stands_beside_its_own_teacher_only(version: str) -> None:
    from tests.models.serving.test_cascade import encoder_config

    student = made_config("post-encoder-1+abc", HEADS, 0.5)
    check_beside(student, encoder_config("post-encoder-1+abc.int8.123", HEADS))
    with pytest.raises(ConfigError, match="cannot stand beside"):
        check_beside(student, encoder_config(version, HEADS))
    with pytest.raises(ConfigError, match="heads"):
        check_beside(student, encoder_config("post-encoder-1+abc", HEADS[:2]))
