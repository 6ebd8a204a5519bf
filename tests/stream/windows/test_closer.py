from hypothesis import given
from hypothesis import strategies as st

from stream.windows.closer import closable_through, digest, publications
from stream.windows.records import PaneSum, Published


@given(st.integers(0, 10**13), st.sampled_from([1, 10, 60, 3600]))
def test_a_pane_may_close_when_and_only_when_the_watermark_passes_its_end(
    watermark_ms: int, pane_s: int
) -> None:
    through = closable_through(watermark_ms, pane_s)
    assert through % pane_s == 0
    last_closed_end, first_open_end = through, through + pane_s
    assert last_closed_end * 1000 <= watermark_ms < first_open_end * 1000


def test_nothing_closes_before_the_first_post() -> None:
    assert closable_through(-1, 60) == -1


def test_query_new_in_a_pane_gets_revision_zero() -> None:
    (made,) = publications({"all": PaneSum([3, 2])}, {})
    assert (made.query, made.revision) == ("all", 0)


def test_unchanged_window_is_not_published_again() -> None:
    pane = {"all": PaneSum([3, 2])}
    assert publications(pane, {"all": Published(0, digest(pane["all"]), True)}) == []


def test_changed_window_gets_the_next_revision() -> None:
    before = Published(4, digest(PaneSum([3, 2])), True)
    (made,) = publications({"all": PaneSum([4, 2])}, {"all": before})
    assert made.revision == 5
    assert made.content == PaneSum([4, 2])


def test_window_that_was_decided_and_not_acknowledged_is_published_under_the_same_revision() -> (
    None
):
    pane = {"all": PaneSum([3, 2])}
    (made,) = publications(pane, {"all": Published(2, digest(pane["all"]), False)})
    assert made.revision == 2


def test_content_that_moved_on_while_unacknowledged_never_shares_its_revision() -> None:
    before = Published(2, digest(PaneSum([3, 2])), False)
    (made,) = publications({"all": PaneSum([4, 2])}, {"all": before})
    assert made.revision == 3


def test_published_window_that_fell_to_zero_is_published_with_zeros() -> None:
    before = Published(0, digest(PaneSum([1, 1])), True)
    (made,) = publications({"all": PaneSum([0, 0])}, {"all": before})
    assert (made.revision, made.content) == (1, PaneSum([0, 0]))


def test_window_without_posts_that_was_never_published_stays_unpublished() -> None:
    assert publications({"all": PaneSum([0, 0])}, {}) == []


def test_windows_come_in_order_of_query() -> None:
    pane = {"b": PaneSum([1]), "all": PaneSum([2]), "c": PaneSum([1])}
    assert [made.query for made in publications(pane, {})] == ["all", "b", "c"]


counters = st.lists(st.integers(-(2**53), 2**53), max_size=6)
strata = st.dictionaries(
    st.text(max_size=5), st.lists(st.integers(0, 9), min_size=4, max_size=4), max_size=4
)


@given(counters, strata, st.integers(0, 99))
def test_digest_does_not_depend_on_the_order_in_which_strata_were_met(
    values: list[int], rows: dict[str, list[int]], authors: int
) -> None:
    turned = dict(reversed(rows.items()))
    assert digest(PaneSum(values, rows, authors)) == digest(PaneSum(values, turned, authors))


def test_digest_changes_with_each_part_of_the_content() -> None:
    base = PaneSum([1, 2], {"s": [1, 1, 0, 0]}, 5)
    others = [
        PaneSum([1, 3], {"s": [1, 1, 0, 0]}, 5),
        PaneSum([1, 2], {"s": [1, 1, 0, 1]}, 5),
        PaneSum([1, 2], {"t": [1, 1, 0, 0]}, 5),
        PaneSum([1, 2], {"s": [1, 1, 0, 0]}, 6),
    ]
    assert digest(base) not in {digest(other) for other in others}
    assert len({digest(other) for other in others}) == len(others)


def test_counter_that_a_later_version_appends_changes_no_digest() -> None:
    assert digest(PaneSum([1, 2])) == digest(PaneSum([1, 2, 0, 0]))
