from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FatalError
from core.heads import HEADS
from core.ports import ScoreBatch
from stream.windows.increments import counter_matrix, group_increments, to_micro
from stream.windows.layout import COUNTERS, INDEX, MAX_STRATA, WIDTH, cap_strata

NAMES = ("all", "trains", "flood")


def _scores(size: int, seed: int, rated: list[bool] | None = None) -> ScoreBatch:
    chance = np.random.default_rng(seed)
    heads = {}
    for name, labels in HEADS.items():
        raw = chance.random((size, len(labels))) + 0.01
        heads[name] = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    flags = np.ones(size, dtype=bool) if rated is None else np.asarray(rated, dtype=bool)
    return ScoreBatch("fake-1", flags, heads)


def test_counters_are_integers_in_micro_units():
    scores = to_micro(_scores(1, 3))
    row = counter_matrix(scores)[0]
    negative, neutral, positive = scores.heads["sentiment"][0].tolist()
    assert row[INDEX["sentiment_sum"]] == positive - negative
    assert row[INDEX["sentiment_neutral"]] == neutral
    value = positive - negative
    assert row[INDEX["sentiment_square"]] == (value * value + 500_000) // 1_000_000
    assert row[INDEX["emotion_posts"]] == 1
    assert abs(sum(scores.heads["participation"][0].tolist()) - 1_000_000) <= 5


def test_a_post_that_is_not_rated_counts_as_a_post_and_nothing_else():
    row = counter_matrix(to_micro(_scores(1, 3, [False])))[0]
    assert row.tolist() == [1] + [0] * (WIDTH - 1)


def test_a_head_that_the_model_lacks_leaves_its_counters_at_zero():
    scores = _scores(2, 5)
    only = ScoreBatch("m", scores.rated, {"sentiment": scores.heads["sentiment"]})
    matrix = counter_matrix(to_micro(only))
    assert matrix[:, INDEX["emotion_posts"] :].sum() == 0
    assert to_micro(only).topics == ["none", "none"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30, -3.0, 1.0000001, -1e-7])
@pytest.mark.parametrize("is_rated", [True, False])
def test_a_number_that_is_no_probability_never_becomes_an_increment(head, number, is_rated):
    scores = _scores(3, 7, [True, is_rated, True])
    scores.heads[head][1, -1] = number
    with pytest.raises(FatalError, match=f"head {head} of fake-1 has 1 numbers outside"):
        to_micro(scores)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((3, 3), np.int64), "no floating-point"),
        (np.full((3, 3), 0.3, object), "no floating-point"),
        (np.full((2, 3), 0.3), r"shape \(2, 3\), expected \(3, 3\)"),
        (np.full((4, 3), 0.3), r"shape \(4, 3\)"),
        (np.full((3, 4), 0.3), r"shape \(3, 4\)"),
        ([[0.3] * 3] * 3, "no floating-point"),
    ],
)
def test_an_array_of_another_shape_or_type_never_becomes_an_increment(values, said):
    scores = _scores(3, 7)
    scores = ScoreBatch("m", scores.rated, {**scores.heads, "sentiment": values})
    with pytest.raises(FatalError, match=f"head sentiment of m .*{said}"):
        to_micro(scores)


@pytest.mark.parametrize(
    "rated",
    [np.ones(3), np.ones((3, 1), bool), [True] * 3, np.array([1, 7, 0], np.uint8).view(bool)],
)
def test_rated_that_is_no_column_of_truth_values_never_multiplies(rated):
    with pytest.raises(FatalError, match="`rated` of m"):
        to_micro(ScoreBatch("m", rated, _scores(3, 7).heads))


_rows = st.lists(
    st.tuples(
        st.sampled_from([0, 60, 120]),
        st.sets(st.sampled_from([1, 2])),
        st.sampled_from(["x|en|none", "x|de|none", "y|en|sports"]),
        st.sampled_from(["a", "b", "c"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(_rows, st.integers(0, 2**32 - 1))
def test_grouped_increments_equal_the_obvious_loop(rows: list, seed: int):
    scores = to_micro(_scores(len(rows), seed, [row[4] for row in rows]))
    matrix = counter_matrix(scores)
    matches = [(0, *sorted(row[1])) for row in rows]
    grouped = group_increments(
        matrix,
        [row[0] for row in rows],
        matches,
        NAMES,
        [row[2] for row in rows],
        [row[3] for row in rows],
    )
    expected: dict = defaultdict(lambda: [[0] * WIDTH, defaultdict(lambda: [0] * 4), set()])
    for i, row in enumerate(rows):
        for query in matches[i]:
            entry = expected[row[0], NAMES[query]]
            for at in range(WIDTH):
                entry[0][at] += int(matrix[i][at])
            for at in range(4):
                entry[1][row[2]][at] += int(matrix[i][at])
            entry[2].add(row[3])
    found = {
        (start, query): (counters, strata, authors)
        for start, increments in grouped.items()
        for query, counters, strata, authors in increments
    }
    assert set(found) == set(expected)
    for key, (counters, strata, authors) in found.items():
        assert counters == expected[key][0]
        assert strata == dict(expected[key][1])
        assert sorted(authors) == sorted(expected[key][2])


def test_strata_are_capped_by_size_and_nothing_is_lost():
    strata = {f"s{i:03d}": [i + 1, i, -i, i] for i in range(200)}
    capped = cap_strata(dict(reversed(strata.items())))
    assert capped == cap_strata(strata)
    assert len(capped) == MAX_STRATA
    for at in range(4):
        assert sum(v[at] for v in capped.values()) == sum(v[at] for v in strata.values())
    assert "s199" in capped
    assert "s000" not in capped


def test_every_counter_has_a_name_of_its_own():
    assert len(set(COUNTERS)) == len(COUNTERS)


def test_a_marked_copy_is_counted_as_one_rated_or_not():
    matrix = counter_matrix(to_micro(_scores(3, 3, [True, False, True])), [True, True, False])
    assert matrix[:, INDEX["near_duplicates"]].tolist() == [1, 1, 0]
    assert matrix[1].sum() == 2


def test_a_collective_problem_is_counted_as_an_expected_count():
    scores = to_micro(_scores(2, 3, [True, False]))
    matrix = counter_matrix(scores)
    assert matrix[:, INDEX["problem_posts"]].tolist() == [1, 0]
    expected = scores.heads["problem"][0, 0]
    assert matrix[:, INDEX["problem_collective_problem"]].tolist() == [expected, 0]
