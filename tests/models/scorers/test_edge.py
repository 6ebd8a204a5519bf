"""The edge: what is no answer is refused, what is no row is named, the rest passes bit by bit."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from core.errors import InvalidAnswer
from core.heads import HEADS, INDEPENDENT
from core.ports import ScoreBatch, Scorer
from core.routes import AUDITED, READ, SENT, Routes, agreed_bit
from models.scorers.edge import (
    MAX_VERSION_CHARS,
    RANGE_TOLERANCE,
    SUM_TOLERANCE,
    Asked,
    checked,
    joined,
    routes_of,
)
from testkit.models import Answering, NonsenseCheck, nonsense_checks
from testkit.scorers.fake import FakeScorer, Faults

POSTS = 4
NAMES = tuple(HEADS)
ASKED = Asked("the model", POSTS, NAMES)


def _heads(posts: int = POSTS, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """Probabilities that a model could have answered."""
    return {
        name: np.full((posts, len(labels)), 1 / len(labels), dtype)
        for name, labels in HEADS.items()
    }


def _check(
    heads: dict[str, np.ndarray], rated: object = None, versions: object = "m-1"
) -> ScoreBatch:
    return checked(ASKED, versions, np.ones(POSTS, bool) if rated is None else rated, heads)


def _versions(*rows: bytes) -> np.ndarray:
    column = np.empty((POSTS, 1), object)
    column[:, 0] = rows * (POSTS // len(rows))
    return column


def test_a_right_answer_passes_with_its_bits():
    heads = _heads()
    batch = _check(heads, np.array([[True], [False], [True], [True]]), _versions(b"m-1"))
    assert batch.model_version == "m-1"
    assert batch.rated.tolist() == [True, False, True, True]
    assert batch.wrong == {}
    for name, values in heads.items():
        assert batch.heads[name].tobytes() == values.tobytes()


@pytest.mark.parametrize(("check", "kind"), nonsense_checks(), ids=lambda value: str(value)[:20])
async def test_fake_keeps_nonsense_out(check: NonsenseCheck, kind: str):
    def answering(spoil) -> Scorer:
        return FakeScorer(faults=Faults(spoil=spoil))

    made: Answering = answering
    await check(kind, made)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_any_floating_point_type_passes_and_becomes_float32(dtype: type):
    batch = _check(_heads(dtype=dtype))
    assert batch.wrong == {}
    assert {values.dtype for values in batch.heads.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((POSTS, 3), np.int64), "int64"),
        (np.ones((POSTS, 3), np.uint8), "uint8"),
        (np.ones((POSTS, 3), bool), "bool"),
        (np.ones((POSTS, 3), complex), "complex128"),
        (np.full((POSTS, 3), 1 / 3).astype(object), "object"),
        (np.full((POSTS, 3), "0.3"), "<U3"),
        (np.full((POSTS, 3), b"0.3", object), "object"),
        ([[1 / 3] * 3] * POSTS, "list"),
        (None, "NoneType"),
        (np.full((POSTS, 4), 0.25), "(4, 4), expected (4, 3)"),
        (np.full((POSTS, 2), 0.5), "(4, 2), expected (4, 3)"),
        (np.full((POSTS + 1, 3), 1 / 3), "(5, 3), expected (4, 3)"),
        (np.full((1, 3), 1 / 3), "(1, 3), expected (4, 3)"),
        (np.full((POSTS, 1), 1 / 3), "(4, 1), expected (4, 3)"),
        (np.full(POSTS * 3, 1 / 3), "(12,), expected (4, 3)"),
        (np.full((POSTS, 3, 1), 1 / 3), "(4, 3, 1), expected (4, 3)"),
        (np.empty((0, 3)), "(0, 3), expected (4, 3)"),
        (np.float32(0.5), "float32"),
    ],
)
def test_numbers_of_another_shape_or_type_name_the_head_and_what_came(values: object, said: str):
    with pytest.raises(InvalidAnswer, match="sentiment") as refused:
        _check({**_heads(), "sentiment": values})  # type: ignore[dict-item]
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "rated",
    [
        np.ones(POSTS, np.int8),
        np.ones(POSTS, np.float32),
        np.full(POSTS, True, object),
        np.ones(POSTS + 1, bool),
        np.ones((POSTS, 2), bool),
        np.ones((1, POSTS), bool),
        [True] * POSTS,
        None,
    ],
    ids=repr,
)
def test_rated_of_another_shape_or_type_is_no_answer(rated: object):
    with pytest.raises(InvalidAnswer, match="RATED"):
        checked(ASKED, "m-1", rated, _heads())


@pytest.mark.parametrize(
    "versions",
    [
        "",
        " m-1",
        "m\n1",
        "m\x001",
        "m" * (MAX_VERSION_CHARS + 1),
        b"\xff\xfe",
        b"x" * 10_000,
        None,
        7,
        _versions(b"m-1", b"m-2"),
        _versions(b""),
        _versions(b"\xff"),
        _versions(b"x" * 10_000),
        np.empty((0, 1), object),
        np.full((POSTS + 1, 1), b"m-1", object),
        np.full((POSTS, 1), 3),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_version_that_can_be_no_label_is_no_answer(versions: object):
    with pytest.raises(InvalidAnswer, match="MODEL_VERSION") as refused:
        _check(_heads(), versions=versions)
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_the_version_asked_for_must_have_answered():
    asked = Asked("the model", POSTS, NAMES, "m-1")
    flags = np.ones(POSTS, bool)
    assert checked(asked, b"m-1", flags, _heads()).model_version == "m-1"
    # Of one build, by whichever engine.
    by_engine = checked(asked, b"m-1.openvino-int8", flags, _heads())
    assert by_engine.model_version == "m-1.openvino-int8"
    with pytest.raises(InvalidAnswer, match="m-11, expected m-1"):
        checked(asked, b"m-11", flags, _heads())
    with pytest.raises(InvalidAnswer, match="m-2, expected m-1"):
        checked(asked, b"m-2", flags, _heads())


def test_heads_are_those_that_the_model_has():
    fewer = {name: values for name, values in _heads().items() if name != "emotion"}
    with pytest.raises(InvalidAnswer, match="heads"):
        _check(fewer)
    with pytest.raises(InvalidAnswer, match="heads"):
        checked(Asked("the model", POSTS, tuple(fewer)), "m-1", np.ones(POSTS, bool), _heads())
    with pytest.raises(InvalidAnswer, match="at least one"):
        checked(Asked("the model", POSTS, ()), "m-1", np.ones(POSTS, bool), {})


@pytest.mark.parametrize("head", NAMES)
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (np.nan, "NaN"),
        (np.inf, "+inf"),
        (-np.inf, "-inf"),
        (1e30, "a number above 1"),
        (1.00001, "a number above 1"),
        (-3, "a number below 0"),
        (-0.00001, "a number below 0"),
    ],
)
@pytest.mark.parametrize("is_rated", [True, False])
def test_one_number_spoils_its_row_and_no_other(
    head: str, number: float, kind: str, is_rated: bool
):
    heads, rated = _heads(), np.ones(POSTS, bool)
    heads[head][2, -1], rated[2] = number, is_rated
    batch = _check(heads, rated)
    assert batch.wrong == {2: f"{head}: {kind}, expected numbers in [0, 1]"}
    assert batch.rated.tolist() == [True, True, False, True]
    for values in batch.heads.values():
        assert not values[2].any()
        assert values[[0, 1, 3]].all()


def test_what_rounding_does_is_set_right():
    heads = _heads()
    heads["sentiment"][0] = [1.0000001, -1e-7, -0.0]
    batch = _check(heads)
    assert batch.wrong == {}
    assert batch.heads["sentiment"][0].tobytes() == np.array([1, 0, 0], np.float32).tobytes()


def test_only_the_sum_of_an_exclusive_head_of_a_rated_row_matters():
    heads, rated = _heads(), np.array([True, True, True, False])
    for name in NAMES:
        heads[name][3] = 0  # of a row that is not rated
        if name in INDEPENDENT:
            heads[name][0] = 1
    heads["emotion"][1] *= 1 + 0.9 * SUM_TOLERANCE
    heads["participation"][2] *= 0.9
    found = _check(heads, rated)
    assert found.wrong == {2: "participation: probabilities that sum to 0.9000, expected 1"}


def test_a_truth_value_that_is_neither_is_a_wrong_row():
    rated = np.frombuffer(bytes([1, 7, 0, 255]), bool)
    batch = _check(_heads(), rated)
    assert list(batch.wrong) == [1, 3]
    assert batch.rated.tolist() == [True, False, False, False]
    assert batch.rated.view(np.uint8).max() == 1


_numbers = st.one_of(
    st.floats(0, 1), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1 + 5e-7, 1 + 2e-6, -5e-7])
)


@given(
    st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
        lambda dtype: st.tuples(
            st.just(dtype),
            st.fixed_dictionaries(
                {
                    name: nps.arrays(
                        np.float64, (POSTS, len(labels)), elements=_numbers, fill=st.nothing()
                    )
                    for name, labels in HEADS.items()
                }
            ),
        )
    ),
    nps.arrays(np.uint8, POSTS, elements=st.integers(0, 3)),
    st.lists(st.booleans(), min_size=POSTS, max_size=POSTS),
)
def test_whatever_comes_only_probabilities_leave(nonsense, flags, right_rows):
    dtype, heads = nonsense
    with np.errstate(over="ignore"):
        heads = {name: values.astype(dtype) for name, values in heads.items()}
    for name, values in heads.items():
        for row, is_right in enumerate(right_rows):
            if is_right:
                values[row] = 1 / len(HEADS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = _check(heads, flags.view(bool))
    for row in range(POSTS):
        is_wrong = flags[row] > 1
        for name, values in heads.items():
            numbers = [float(number) for number in values[row]]
            inside = all(-RANGE_TOLERANCE <= n <= 1 + RANGE_TOLERANCE for n in numbers)
            is_wrong |= not inside
            if inside and flags[row] and name not in INDEPENDENT:
                is_wrong |= abs(sum(numbers) - 1) > SUM_TOLERANCE
            out = batch.heads[name][row]
            assert np.isfinite(out).all()
            assert ((out >= 0) & (out <= 1)).all()
            assert out.dtype == np.float32
        assert (row in batch.wrong) == is_wrong
        assert batch.rated[row] == (bool(flags[row]) and not is_wrong)


def test_parts_of_a_batch_are_joined_with_their_wrong_rows():
    first, second = _heads(), _heads()
    first["emotion"][3, 0] = second["topics"][1, 5] = np.nan
    found = joined("the model", [_check(first), _check(second)])
    assert list(found.wrong) == [3, POSTS + 1]
    assert len(found.rated) == 2 * POSTS
    with pytest.raises(InvalidAnswer, match="changed within a batch"):
        joined("the model", [_check(_heads()), _check(_heads(), versions="m-2")])


def _routes(bits: list[int]) -> np.ndarray:
    return np.array(bits, np.uint16)[:, None]


SECONDS = np.tile(np.array([0.25, 0.5], np.float32), (POSTS, 1))


def test_routes_pass_and_their_seconds_are_added():
    bits = [0, READ, READ | SENT, READ | SENT | AUDITED | agreed_bit("sentiment")]
    found = routes_of(ASKED, _routes(bits), SECONDS)
    assert found.bits.tolist() == bits
    assert (found.student_s, found.encoder_s) == (1.0, 2.0)
    assert (found.count(SENT), found.count(AUDITED)) == (2, 1)
    assert found.count(agreed_bit("emotion")) == 0


@pytest.mark.parametrize(
    ("bits", "seconds", "said"),
    [
        (_routes([SENT, 0, 0, 0]), SECONDS, "ROUTE"),
        (_routes([READ | 1 << 15, 0, 0, 0]), SECONDS, "ROUTE"),
        (_routes([READ] * 3), SECONDS, "ROUTE of shape"),
        (_routes([READ] * POSTS).astype(np.int64), SECONDS, "ROUTE of type"),
        (None, SECONDS, "ROUTE of type"),
        (_routes([READ] * POSTS), SECONDS.astype(np.float64), "COST of type"),
        (_routes([READ] * POSTS), SECONDS[:2], "COST of shape"),
        (_routes([READ] * POSTS), -SECONDS, "COST"),
        (_routes([READ] * POSTS), SECONDS * np.float32(np.nan), "COST"),
        (_routes([READ] * POSTS), SECONDS * np.float32(np.inf), "COST"),
    ],
)
def test_routes_that_cannot_be_are_refused(bits: object, seconds: object, said: str):
    with pytest.raises(InvalidAnswer, match=said):
        routes_of(ASKED, bits, seconds)


def test_routes_of_parts_are_joined_or_there_are_none():
    first = checked(ASKED, "m", np.ones(POSTS, bool), _heads(), Routes(_routes([1, 3, 1, 1])[:, 0]))
    whole = joined("the model", [first, first])
    assert whole.routes is not None
    assert whole.routes.bits.tolist() == [1, 3, 1, 1] * 2
    without = checked(ASKED, "m", np.ones(POSTS, bool), _heads())
    assert joined("the model", [first, without]).routes is None
