"""Counts of rows: what is one, what is unknown, what is refused by name; the post stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st

from core.schemas import Post, PostEvent
from services.ingest.replay.counts import NoCount, read_count

HEADER = "id,author,created_at,text,likes,replies,reposts,quotes\n"


def row(likes: str = "", replies: str = "", reposts: str = "", quotes: str = "") -> str:
    return f"1,ana,2026-03-01T10:00:00Z,flood here,{likes},{replies},{reposts},{quotes}\n"


def events_of(file: Any, **options: Any) -> list[PostEvent]:
    return [i.record for i in file.items(**options) if isinstance(i.record, PostEvent)]


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0), ("0", 0), ("17", 17), (12.0, 12), ("12.0", 12), ("12.", 12), (" 7 ", 7),
        ("1,204", 1204), ("1.204.117", 1_204_117), ("1 204", 1204), ("1'204", 1204),
        ("12\u202f204", 12_204), (2**53 - 1, 2**53 - 1), ("٣", 3),
        ({"count": 4}, 4), ({"totalItems": 0}, 0), ({"summary": {"total_count": 5}}, 5),
        ({"type": "Collection"}, None), ({"count": {"count": {"count": 3}}}, None),
        ([{"id": 1}], None),
        ("", None), (None, None), ("nan", None), ("N/A", None), ("-", None), ("None", None),
    ],
)  # fmt: skip
def test_count_is_a_whole_number_in_any_dress_and_nothing_is_unknown(
    value: Any, count: int | None
) -> None:
    assert read_count(value) == (count, False)


@pytest.mark.parametrize(
    ("value", "count"),
    [("19.4K", 19_400), ("19,4k", 19_400), ("2M", 2_000_000), ("1.25 m", 1_250_000),
     ("1.2万", 12_000), ("3b", 3_000_000_000)],
)  # fmt: skip
def test_rounded_count_is_taken_and_told(value: str, count: int) -> None:
    assert read_count(value) == (count, True)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-3, "below 0"), ("-3", "below 0"), (-0.5, "below 0"), (1.5, "no whole number"),
        ("1.5", "no whole number"), ("1.204", "no whole number"), (True, "a truth value"),
        ("inf", "no whole number"), ("many", "no count"), ("10K+", "no count"), ("<10", "no count"),
        ("1.234K", "no count"), ("12,34", "no count"), ("0x10", "no count"), ("²", "no count"),
        (2**53, "larger than any count"), ("9" * 30, "larger than any count"),
        ("9" * 40, "no count"), ({"count": -1}, "below 0"),
    ],
)  # fmt: skip
def test_what_is_no_count_is_refused_with_the_reason(value: Any, why: str) -> None:
    with pytest.raises(NoCount, match=f"^{why}$"):
        read_count(value)


def test_empty_count_is_unknown_and_zero_is_zero(given: Callable[..., Any]) -> None:
    (event,) = events_of(given(HEADER + row("0", "", "nan", "3")))
    assert (event.likes, event.replies, event.reposts, event.quotes) == (0, None, None, 3)


def test_post_without_a_count_has_no_event(given: Callable[..., Any]) -> None:
    items = given(HEADER + row() + row("nan", "-").replace("1,ana", "2,ana")).items()
    assert [type(item.record) for item in items] == [Post, Post]


def test_wrong_count_is_kept_by_name_and_neither_its_post_nor_the_other_counts_are_lost(
    given: Callable[..., Any],
) -> None:
    good = [row(*"1111").replace("1,ana", f"{n},ana") for n in (2, 3)]
    file = given(HEADER + row("-3", "7", "many", "1.5") + "".join(good))
    post, refused, _, _, event, *_ = (item.record for item in file.items())
    assert isinstance(post, Post)
    assert refused.detail == "row 1: the likes: below 0; its post counts"
    assert refused.raw == b"-3\x1f7\x1fmany\x1f1.5\x1f"
    assert (event.likes, event.replies, event.reposts, event.quotes) == (None, 7, None, None)
    said = file.said()
    assert "1 counts will not be sent, but their posts: row 1: the likes '-3': below 0" in said
    assert "3: 3 will count" in said


def test_rounded_counts_are_a_repair_that_is_counted(given: Callable[..., Any]) -> None:
    file = given(HEADER + row("19.4K", "2") + row("1M", "1.1K").replace("1,ana", "2,ana"))
    source = file.source()
    source.open(None)
    sent = [item.record for item in source.poll(100, 1.0)]
    assert {(e.likes, e.replies) for e in sent if isinstance(e, PostEvent)} == {
        (19_400, 2), (1_000_000, 1_100),
    }  # fmt: skip
    assert source.context.metrics.registry.get_sample_value(
        "groundswell_posts_repaired_total", {"repair": "rounded_count"}
    ) == 3  # fmt: skip
    assert "3 times a count that is written rounded" in file.said()


def test_counts_of_a_repost_are_those_of_another_post(given: Callable[..., Any]) -> None:
    file = given(
        "id,author,created_at,text,likes,retweeted_status_id\n"
        "1,ana,2026-03-01T10:00:00Z,RT flood,900,77\n"
        "2,ben,2026-03-01T10:00:01Z,so kind,9,\n"
    )
    source = file.source()
    source.open(None)
    events = [i.record for i in source.poll(100, 1.0) if isinstance(i.record, PostEvent)]
    assert [(event.post_id, event.likes) for event in events] == [("2", 9)]
    assert source.context.metrics.registry.get_sample_value(
        "groundswell_source_counts_withheld_total", {"source": "replay", "reason": "repost"}
    ) == 1  # fmt: skip
    assert "counts of 1 posts will not be sent: they repeat another post" in file.said()


@given_values(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["count", "x"]), inner),
        max_leaves=5,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_value_is_a_count_unknown_or_refused(value: Any) -> None:
    try:
        count, _ = read_count(value)
    except NoCount:
        return
    assert count is None or (isinstance(count, int) and 0 <= count < 2**53)


def test_time_of_counts_may_have_another_form_than_that_of_posts(
    given: Callable[..., Any],
) -> None:
    line = '{"id": 1, "author": "ana", "at": 1772359200, "text": "flood", "likes": 3, %s}\n'
    for seen in (
        '"scraped_at": {"$date": "2026-03-01T12:00:00Z"}', '"scraped_at": 1772366400000',
        '"scraped_at": "1 Mar 2026 12:00 UTC"',
    ):  # fmt: skip
        file = given(line % seen, "posts.jsonl")
        (event,) = events_of(file, columns={"time": "at"}, time_format="epoch_s")
        assert event.claimed_at is not None
        assert event.claimed_at.timestamp() == 1_772_366_400


def test_time_of_counts_before_the_post_is_refused(given: Callable[..., Any]) -> None:
    file = given(
        "id,author,created_at,text,likes,scraped_at\n"
        "1,ana,2026-03-01T10:00:00Z,flood,9,2026-03-01T09:59:59Z\n"
        "2,ben,2026-03-01T10:00:00Z,kind,8,soon\n"
        "3,ben,2026-03-01T10:00:00Z,late,7,1772445600\n"
    )
    assert [(e.post_id, e.likes, e.claimed_at.timestamp()) for e in events_of(file)] == [
        ("3", 7, 1_772_445_600)
    ]
    assert file.faults() == [
        "row 1: the counts_at: before the post; its post counts",
        "row 2: the counts_at: no time that can be read; its post counts",
    ]
    assert len(file.posts()) == 3
