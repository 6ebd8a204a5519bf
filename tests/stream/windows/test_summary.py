from datetime import UTC, datetime
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codec import encode, window_decoder
from core.schemas import MICRO
from stream.windows.layout import COUNTERS, MAX_STRATA, OTHER_STRATUM, named
from stream.windows.records import PaneSum
from stream.windows.summary import merge, sliding, summarise, to_window

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _counted(sentiments: list[int]) -> dict[str, int]:
    """Count as the pipeline does: sums in micro-units, squares rounded to micro-units."""
    return {
        "posts": len(sentiments),
        "rated": len(sentiments),
        "sentiment_sum": sum(sentiments),
        "sentiment_square": sum((s * s + MICRO // 2) // MICRO for s in sentiments),
    }


@given(st.lists(st.integers(-MICRO, MICRO), min_size=2, max_size=200))
def test_mean_and_standard_error_are_those_of_the_posts(sentiments: list[int]) -> None:
    made = summarise(_counted(sentiments))
    exact = [s / MICRO for s in sentiments]
    assert made.sentiment == pytest.approx(fmean(exact), abs=1e-9)
    # Rounding a square to a micro-unit moves the standard deviation by up to its root.
    assert made.stderr == pytest.approx(stdev(exact) / len(exact) ** 0.5, abs=1.1e-3)


def test_standard_error_keeps_its_digits_in_a_large_window_of_equal_posts() -> None:
    made = summarise(_counted([900_000] * 1_000_000))
    assert made.sentiment == pytest.approx(0.9)
    assert made.stderr == 0.0


def test_window_without_rated_posts_has_no_mean() -> None:
    made = summarise({"posts": 5, "rated": 0})
    assert (made.posts, made.sentiment, made.stderr, made.shares) == (5, None, None, {})


def test_one_rated_post_has_a_mean_and_no_standard_error() -> None:
    made = summarise(_counted([250_000]))
    assert (made.sentiment, made.stderr) == (0.25, None)


def test_shares_of_a_head_add_up_to_one_and_a_head_that_scored_nothing_is_absent() -> None:
    counters = {"posts": 2, "rated": 2, "sentiment_negative": 500_001, "sentiment_neutral": 0,
                "sentiment_positive": 1_500_000}  # fmt: skip
    made = summarise(counters)
    assert set(made.shares) == {"sentiment"}
    assert sum(made.shares["sentiment"].values()) == pytest.approx(1.0)
    assert made.shares["sentiment"]["positive"] == pytest.approx(0.75, abs=1e-5)


def test_window_names_every_counter_and_survives_the_wire() -> None:
    content = PaneSum([3, 2, -100, 90], {"s|en|none": [3, 2, -100, 90]}, authors=3)
    made = to_window("all", 1_772_366_400, 60, 2, content, AT)
    assert tuple(made.counters) == COUNTERS
    assert made.counters["sentiment_sum"] == -100
    assert (made.end - made.start).total_seconds() == 60
    assert window_decoder.decode(encode(made)) == made


def test_window_keeps_the_largest_strata_and_sums_the_rest_as_other() -> None:
    strata = {f"s{i:03}": [i + 1, 1, 10, 1] for i in range(100)}
    made = to_window("all", 0, 60, 0, PaneSum([5050], strata, 9), AT)
    assert len(made.strata) == MAX_STRATA
    assert sum(row.posts for row in made.strata.values()) == 5050
    assert made.strata[OTHER_STRATUM].rated == 100 - (MAX_STRATA - 1)


panes = st.builds(
    PaneSum,
    st.lists(st.integers(0, 99), min_size=3, max_size=3),
    st.dictionaries(
        st.sampled_from("ab"), st.lists(st.integers(0, 9), min_size=4, max_size=4), max_size=2
    ),
    st.integers(0, 99),
)


@given(st.lists(panes, max_size=6), st.integers(0, 6))
def test_merging_parts_and_then_the_parts_sums_equals_merging_all(
    all_panes: list[PaneSum], cut: int
) -> None:
    parts = merge([merge(all_panes[:cut]), merge(all_panes[cut:])])
    assert parts == merge(all_panes)
    assert merge(reversed(all_panes)) == merge(all_panes)


def test_merging_leaves_the_panes_as_they_were() -> None:
    pane = PaneSum([1, 2], {"a": [1, 1, 1, 1]}, 1)
    merge([pane, pane])
    assert pane == PaneSum([1, 2], {"a": [1, 1, 1, 1]}, 1)


def test_longer_windows_follow_each_other_and_hold_each_pane_once() -> None:
    found = sliding({0: PaneSum([1]), 60: PaneSum([2]), 300: PaneSum([4])}, 60, 300)
    assert [(start, window.counters) for start, window in found] == [(0, [3]), (300, [4])]


def test_sliding_windows_overlap() -> None:
    found = sliding({60: PaneSum([1]), 120: PaneSum([2])}, 60, 120, hop_s=60)
    assert [(start, window.counters) for start, window in found] == [
        (0, [1]),
        (60, [3]),
        (120, [2]),
    ]


@given(
    st.dictionaries(st.integers(0, 30).map(lambda n: n * 60), panes, max_size=8),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_each_pane_is_in_as_many_windows_as_start_over_it(
    by_start: dict[int, PaneSum], length: int, hop: int
) -> None:
    found = dict(sliding(by_start, 60, length * 60, hop * 60))
    for start, window in found.items():
        inside = [p for at, p in by_start.items() if start <= at < start + length * 60]
        assert inside
        assert window == merge(inside)
        assert start % (hop * 60) == 0
    for at in by_start:
        over = [s for s in range(-3600, 3600, hop * 60) if s <= at < s + length * 60]
        assert set(over) <= set(found)


@pytest.mark.parametrize(("length_s", "hop_s"), [(90, None), (0, None), (120, 50)])
def test_length_that_is_no_multiple_of_the_pane_is_refused(
    length_s: int, hop_s: int | None
) -> None:
    with pytest.raises(ValueError, match="expected a multiple of the pane"):
        sliding({}, 60, length_s, hop_s)


def test_counters_of_a_later_version_are_left_out() -> None:
    assert named([1] * (len(COUNTERS) + 2)) == dict.fromkeys(COUNTERS, 1)


def test_named_reads_a_shorter_stored_array_as_zeros() -> None:
    assert named([1])[COUNTERS[-1]] == 0


def _taking_part(posts: int, scored: int) -> dict[str, int]:
    levels = {"none": 0.6, "problem_solution": 0.2, "call_to_action": 0.1, "intention": 0.06}
    counters = {"posts": posts, "participation_posts": scored, "problem_posts": scored}
    counters |= {f"participation_{k}": round(v * scored * MICRO) for k, v in levels.items()}
    counters["participation_execution"] = round(0.04 * scored * MICRO)
    return counters | {"problem_collective_problem": scored * MICRO // 4}


def test_the_mobilisation_curve_falls_from_level_to_level() -> None:
    made = summarise(_taking_part(50, 40))
    assert list(made.mobilisation) == [
        "problem_solution", "call_to_action", "intention", "execution",
    ]  # fmt: skip
    assert list(made.mobilisation.values()) == pytest.approx([0.4, 0.2, 0.1, 0.04])


def test_a_head_whose_classes_are_independent_is_a_share_of_the_posts_it_scored() -> None:
    shares = summarise(_taking_part(50, 40)).shares["problem"]
    assert shares == {"collective_problem": pytest.approx(0.25)}


@pytest.mark.parametrize(
    ("posts", "scored", "is_shown"), [(20, 20, True), (19, 19, False), (500, 19, False)]
)
def test_nothing_is_said_of_taking_part_in_small_groups(
    posts: int, scored: int, is_shown: bool
) -> None:
    made = summarise(_taking_part(posts, scored))
    assert bool(made.mobilisation) == is_shown
    assert ({"participation", "problem"} <= set(made.shares)) == is_shown
    assert is_shown or not {"participation", "problem"} & set(made.shares)
