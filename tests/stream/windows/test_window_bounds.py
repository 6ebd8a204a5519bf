"""Windows at their bounds: groups of just twenty, sixty-four strata, a topic of just one half."""

import numpy as np
import pytest

from core.heads import HEADS, TOPICS
from core.ports import ScoreBatch
from core.schemas import MICRO
from stream.windows.closer import closable_through, digest, publications
from stream.windows.increments import counter_matrix, group_increments, to_micro
from stream.windows.layout import (
    COUNTERS,
    INDEX,
    MAX_STRATA,
    OTHER_STRATUM,
    WIDTH,
    add_into,
    cap_strata,
    named,
)
from stream.windows.records import PaneSum, Published
from stream.windows.summary import curve, is_shown, sliding, summarise


@pytest.mark.parametrize("head", ["participation", "problem"])
@pytest.mark.parametrize(
    ("posts", "scored", "shown"),
    [(20, 20, True), (19, 19, False), (20, 19, False), (19, 20, False), (500, 20, True)],
)
def test_what_is_about_groups_is_shown_of_twenty_and_not_of_nineteen(
    head: str, posts: int, scored: int, shown: bool
) -> None:
    counters = {"posts": posts, f"{head}_posts": scored}
    assert is_shown(counters, head) is shown
    assert not is_shown({}, head)
    assert is_shown({}, "sentiment")


def test_numbers_of_a_window_are_exact() -> None:
    made = summarise(
        {
            "posts": 5, "rated": 2, "sentiment_sum": -500_000, "sentiment_square": 1_250_000,
            "sentiment_negative": 3_000_000, "sentiment_positive": 1_000_000,
            "near_duplicates": 3, "emotion_joy": 0,
        },
        authors=4,
    )  # fmt: skip
    assert (made.posts, made.rated, made.authors, made.near_duplicates) == (5, 2, 4, 3)
    assert made.sentiment == -0.25
    # Two posts of -1 and 0.5: the sample standard deviation over the root of two is 0.75.
    assert made.stderr == 0.75
    assert made.shares == {"sentiment": {"negative": 0.75, "neutral": 0.0, "positive": 0.25}}
    assert made.mobilisation == {}
    assert summarise({}).stderr is None
    assert summarise({"rated": 1}).sentiment == 0.0


def test_a_level_counts_with_all_beyond_it_and_none_is_no_level() -> None:
    shares = {
        "none": 0.5, "problem_solution": 0.25, "call_to_action": 0.125, "intention": 0.0625,
        "execution": 0.0625,
    }  # fmt: skip
    assert curve(shares) == {
        "problem_solution": 0.5, "call_to_action": 0.25, "intention": 0.125, "execution": 0.0625,
    }  # fmt: skip
    assert curve({}) == {}


def test_counters_that_are_missing_are_zero_and_those_of_later_versions_left_out() -> None:
    full = list(range(1, WIDTH + 1))
    assert named(full) == dict(zip(COUNTERS, full, strict=True))
    assert named([*full, 99]) == named(full)
    assert named(full[:-1])[COUNTERS[-1]] == 0
    assert named([]) == dict.fromkeys(COUNTERS, 0)


def test_sums_grow_where_what_is_added_is_longer_and_stay_where_it_is_shorter() -> None:
    total = [1, 2]
    add_into(total, [10, 20, 30])
    assert total == [11, 22, 30]
    add_into(total, [1])
    assert total == [12, 22, 30]
    add_into(total, [0, 0, 1])
    assert total == [12, 22, 31]


def test_sixty_four_strata_stay_and_of_sixty_five_the_least_are_summed() -> None:
    strata = {f"s{n:02}": [100 - n, n, -n, 1] for n in range(MAX_STRATA)}
    assert cap_strata(strata) is strata
    more = strata | {"t": [100 - MAX_STRATA, 7, 7, 1]}
    capped = cap_strata(more)
    assert len(capped) == MAX_STRATA
    assert capped[OTHER_STRATUM] == [37 + 36, 63 + 7, -63 + 7, 2]
    assert "s62" in capped
    assert "s63" not in capped


def test_of_strata_with_as_many_posts_the_first_by_name_stay() -> None:
    capped = cap_strata({f"s{n:03}": [1, 1, 1, 1] for n in reversed(range(70))})
    assert sorted(capped) == [OTHER_STRATUM, *(f"s{n:03}" for n in range(MAX_STRATA - 1))]
    assert capped[OTHER_STRATUM] == [7, 7, 7, 7]


def test_what_was_summed_before_is_summed_again_however_large_it_is() -> None:
    strata = {f"s{n:02}": [2, 0, 0, 0] for n in range(MAX_STRATA)}
    capped = cap_strata(strata | {OTHER_STRATUM: [500, 1, 1, 1]})
    assert len(capped) == MAX_STRATA - 1
    assert capped[OTHER_STRATUM] == [500 + 2 * 2, 1, 1, 1]


def _scores(topic: list[float], rated: list[bool]) -> ScoreBatch:
    size = len(topic)
    heads = {name: np.zeros((size, len(labels)), np.float32) for name, labels in HEADS.items()}
    heads["topics"][:, 1] = topic
    return ScoreBatch("m-1", np.array(rated), heads)


def test_a_post_has_the_topic_that_the_model_gives_one_half_and_not_less() -> None:
    micro = to_micro(_scores([0.5, 0.499999, 1.0, 1.0], [True, True, True, False]))
    assert micro.topics == [TOPICS[1], "none", TOPICS[1], "none"]


def test_probabilities_are_rounded_to_the_nearest_micro_unit() -> None:
    scores = _scores([0.0], [True])
    scores.heads["sentiment"][0] = [0.25, 0.1234567, 0.75]
    micro = to_micro(scores)
    assert micro.heads["sentiment"].tolist() == [[250_000, 123_457, 750_000]]
    row = counter_matrix(micro)[0]
    assert row[INDEX["sentiment_sum"]] == 500_000
    assert row[INDEX["sentiment_square"]] == 250_000
    assert row[INDEX["sentiment_negative"] : INDEX["sentiment_negative"] + 3].tolist() == [
        250_000, 123_457, 750_000,
    ]  # fmt: skip


def test_a_square_is_rounded_half_up() -> None:
    scores = _scores([0.0, 0.0], [True, True])
    scores.heads["sentiment"][:, 2] = [0.000_707, 0.000_708]  # squared: 0.4998 and 0.5013 micro
    row = counter_matrix(to_micro(scores))
    assert row[:, INDEX["sentiment_square"]].tolist() == [0, 1]


def test_posts_that_match_nothing_add_nothing() -> None:
    matrix = np.ones((2, WIDTH), np.int64)
    assert group_increments(matrix, [0, 60], [(), ()], ("all",), ["s", "s"], ["a", "b"]) == {}
    grouped = group_increments(matrix, [0, 60], [(), (0,)], ("all",), ["s", "t"], ["a", "b"])
    assert grouped == {60: [("all", [1] * WIDTH, {"t": [1] * 4}, ["b"])]}


def test_each_author_of_a_group_is_named_once_in_the_order_they_spoke() -> None:
    matrix = np.full((4, WIDTH), MICRO, np.int64)
    ((query, sums, strata, authors),) = group_increments(
        matrix, [0] * 4, [(1,)] * 4, ("all", "rail"), ["s"] * 4, ["b", "a", "b", "c"]
    )[0]
    assert (query, sums, strata) == ("rail", [4 * MICRO] * WIDTH, {"s": [4 * MICRO] * 4})
    assert authors == ["b", "a", "c"]


def test_a_pane_closes_in_the_millisecond_in_which_the_watermark_reaches_its_end() -> None:
    assert closable_through(0, 60) == 0
    assert closable_through(59_999, 60) == 0
    assert closable_through(60_000, 60) == 60


def test_trailing_zeros_change_no_digest_and_zeros_inside_do() -> None:
    assert digest(PaneSum([])) == digest(PaneSum([0, 0]))
    assert digest(PaneSum([1, 0, 2])) != digest(PaneSum([1, 2]))
    assert len(digest(PaneSum([1]))) == 16


def test_a_query_without_posts_does_not_hide_those_after_it() -> None:
    pane = {"a": PaneSum([0]), "b": PaneSum([1]), "c": PaneSum([2])}
    known = {"c": Published(4, digest(pane["c"]), False)}
    assert [(made.query, made.revision) for made in publications(pane, known)] == [
        ("b", 0), ("c", 4),
    ]  # fmt: skip


def test_windows_slide_over_the_panes_at_their_very_edges() -> None:
    panes = {0: PaneSum([1]), 120: PaneSum([2])}
    assert [(start, window.counters) for start, window in sliding(panes, 60, 60)] == [
        (0, [1]), (120, [2]),
    ]  # fmt: skip
    assert [(start, window.counters) for start, window in sliding(panes, 60, 180, 120)] == [
        (-120, [1]), (0, [3]), (120, [2]),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="length_s = -60"):
        sliding(panes, 60, -60)
    with pytest.raises(ValueError, match="hop_s = 0"):
        sliding(panes, 60, 60, 0)
