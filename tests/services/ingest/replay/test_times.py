"""Times: each way of writing one moment is that moment, and what means two days is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import ConfigError
from services.ingest.replay.times import TimeReader, day_order
from services.ingest.sources.replay.options import NeedsOption

MOMENT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
TEN = [
    "2026-03-01T10:00:00Z", "2026-03-01T10:00Z", "2026-03-01 10:00:00", "2026-03-01 10:00",
    "2026-03-01 10:00:00 UTC", "2026-03-01 10:00:00 +0000", "2026-03-01 10:00:00 +0000 UTC",
    "2026-03-01T11:00:00+01:00", "2026-03-01 05:00:00 EST", "2026-03-01 11:00 CET",
    "2026-03-01T10:00:00.000Z", "2026-3-1 10:00", "2026/03/01 10:00:00", "2026.03.01 10:00",
    "20260301T100000Z", "20260301100000",
    "1772359200", "1772359200.0", "1772359200000", "1772359200000000", "1772359200000000000",
    "Sun Mar 01 10:00:00 +0000 2026", "Sun Mar  1 10:00:00 2026", "Sun Mar 1 10:00:00 UTC 2026",
    "Sun, 01 Mar 2026 10:00:00 GMT", "Sun, 1 Mar 2026 11:00:00 +0100", "1 Mar 2026 10:00:00",
    "01.03.2026 10:00", "1.3.2026 10:00:00", "01.03.26 10:00", "01.03.2026, 10:00",
    "10:00 AM · Mar 1, 2026", "Mar 1, 2026 · 10:00 AM UTC", "March 1st, 2026 10:00 am",
    "1 March 2026 at 10:00", "01-Mar-2026 10:00", "2026-03-01 10:00:00 AM",
]  # fmt: skip
"""Ten o'clock on the first of March."""


@pytest.mark.parametrize("text", TEN)
def test_ways_to_write_a_moment_are_recognised(text: str) -> None:
    assert TimeReader("auto", "UTC")(text) == MOMENT


@pytest.mark.parametrize("text", TEN)
def test_column_of_such_times_is_counted_without_an_option(
    given: Callable[..., Any], text: str
) -> None:
    file = given(f'id;time;text\n1;"{text}";flood\n')
    assert [post.claimed_at for post in file.posts()] == [MOMENT]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2 hours ago", "5h", "10:00", "2026", "March 2026", "hello 5 2026", "12",
     "1.64457E+18",
     "2026-13-01", "2026-03-01 25:00", "32.03.2026 10:00", "13/13/2026", "99999999999", "", "now",
     "2026-03-01 13:00 PM", "Sun Mar 01 10:00:00 +0000", "2026-03-01 10:00:00 XYZ"],
)  # fmt: skip
def test_what_is_no_moment_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        TimeReader("auto", "UTC")(text)


def test_hours_of_half_a_day_turn_at_noon_and_midnight() -> None:
    read = TimeReader("auto", "UTC")
    hours = [read(f"13/03/2026 {text}").hour for text in ("12:05 AM", "12:05 PM", "1:05 pm")]
    assert hours == [0, 12, 13]


def test_time_zone_is_that_of_times_without_one_only() -> None:
    read = TimeReader("auto", "Europe/Berlin")
    assert read("2026-03-01 11:00") == read("2026-03-01T10:00Z") == read("1772359200") == MOMENT


def column(times: list[str]) -> str:
    return "id,created_at,text\n" + "".join(f"{n},{at},post\n" for n, at in enumerate(times))


@pytest.mark.parametrize("sign", ["/", "-"])
def test_one_day_above_twelve_tells_the_order_of_the_whole_column(
    given: Callable[..., Any], sign: str
) -> None:
    american = [f"03{sign}{day:02}{sign}2026 10:00:00 AM" for day in (1, 2, 13)]
    british = [f"{day:02}{sign}03{sign}2026 10:00:00 AM" for day in (1, 2, 13)]
    days = [MOMENT + timedelta(days=day - 1) for day in (1, 2, 13)]
    assert [p.claimed_at for p in given(column(american)).posts()] == days
    assert [p.claimed_at for p in given(column(british)).posts()] == days


def test_proof_may_stand_beyond_the_rows_that_are_looked_at_first(
    given: Callable[..., Any],
) -> None:
    times = ["03/01/2026 10:00"] * 1_500 + ["03/13/2026 10:00"]
    assert given(column(times)).posts()[0].claimed_at == MOMENT


def test_column_that_can_be_read_both_ways_is_refused_with_an_option_that_works(
    given: Callable[..., Any],
) -> None:
    file = given(column(["03/01/2026 10:00:00 AM", "03/02/2026 10:00:00 AM"]))
    with pytest.raises(NeedsOption, match=r"'03/01/2026 10:00:00 AM' \(row 1\)") as refused:
        file.preview()
    assert refused.value.remedies == ("time_format=day_first", "time_format=month_first")
    assert file.posts(time_format="month_first")[1].claimed_at == MOMENT + timedelta(days=1)
    assert file.posts(time_format="day_first")[0].claimed_at == datetime(2026, 1, 3, 10, tzinfo=UTC)
    with pytest.raises(NeedsOption, match="row 1"):
        file.items()


def test_column_that_says_both_is_refused(given: Callable[..., Any]) -> None:
    with pytest.raises(NeedsOption, match="rows say both"):
        given(column(["13/03/2026", "03/13/2026"])).preview()


def test_dates_that_read_the_same_both_ways_need_no_option(given: Callable[..., Any]) -> None:
    assert len(given(column(["03/03/2026 10:00", "04/04/2026 10:00"])).posts()) == 2
    assert day_order("03/03/2026") == ""


def test_value_that_is_no_time_is_shown_with_its_place(given: Callable[..., Any]) -> None:
    file = given(column(["2026-03-01T10:00Z", "yesterday"]))
    said = file.said()
    assert "1 row will not count: row 2: the time 'yesterday'" in said
    assert not file.preview().all_count
    with pytest.raises(ConfigError, match=r"row 1: the time 'yesterday'.*--set time_format="):
        given(column(["yesterday"] * 3)).preview()


def test_file_of_which_nothing_can_be_read_does_not_end_well(given: Callable[..., Any]) -> None:
    for order in ("auto", "file", "time"):
        with pytest.raises(ConfigError, match="none of its rows can be read"):
            given(column(["yesterday", "today"])).items(order=order)


@pytest.mark.parametrize(
    ("time_format", "message"),
    [
        ("epoch", "did you mean 'epoch_s'"),
        ("unix", "did you mean 'epoch_s'"),
        ("epoch_sec", "did you mean 'epoch_s'"),
        ("dayfirst", "did you mean 'day_first'"),
        ("%d.%m.%Q", "bad directive"),
    ],
)
def test_wrong_time_format_is_refused_with_the_nearest(
    given: Callable[..., Any], time_format: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"time_format = '{time_format}'.*{message}"):
        given(column(["1772359200"])).preview(time_format=time_format)


def test_seconds_read_as_milliseconds_are_told_by_all_dates_being_of_1970(
    given: Callable[..., Any],
) -> None:
    file = given(column(["1772359200", "1772359201"]))
    said = file.said(time_format="epoch_ms")
    assert "all dates are before 1971: did you mean epoch_s?" in said
    assert "--set time_format=epoch_s" in said
    assert "1971" not in file.said(time_format="epoch_s")


def test_day_and_hour_in_two_columns_are_one_time(given: Callable[..., Any]) -> None:
    content = "id,date,time,tweet\n1,2026-03-01,10:00:00,flood\n2,2026-03-01,10:00:20,kind\n"
    assert [p.claimed_at for p in given(content).posts()] == [
        MOMENT, MOMENT + timedelta(seconds=20)
    ]  # fmt: skip


def test_column_with_the_name_of_a_time_and_no_times_gives_way_to_one_that_has_them(
    given: Callable[..., Any],
) -> None:
    file = given("id,created,date,text\n1,5h,2026-03-01 10:00,one\n2,6h,2026-03-01 10:00,two\n")
    assert [post.claimed_at for post in file.posts()] == [MOMENT] * 2


def test_times_without_a_zone_are_told_to_be_taken_for_utc(given: Callable[..., Any]) -> None:
    assert "taken for UTC" in given(column(["2026-03-01 10:00"])).said()
    assert "taken for UTC" not in given(column(["2026-03-01T10:00Z"])).said()
    assert "taken for UTC" not in given(column(["1772359200"])).said()


def test_zone_that_a_browser_names_behind_its_offset_is_read_over(
    given: Callable[..., Any],
) -> None:
    said = "Sun Mar 01 2026 11:00:00 GMT+0100 (Central European Standard Time)"
    (post,) = given(f"id,created_at,text\n1,{said},x\n").posts()
    assert f"{post.claimed_at:%H:%M}" == "10:00"


@pytest.mark.parametrize(("given_format", "right"), [("epoch_s", "epoch_ms"), ("iso", "epoch_ms")])
def test_number_that_is_no_time_of_its_format_says_of_which(
    given: Callable[..., Any], given_format: str, right: str
) -> None:
    file = given("id,created_at,text\n1,1772359200000,x\n")
    with pytest.raises(ConfigError, match=f"did you mean --set time_format={right}"):
        file.items(time_format=given_format)
    assert len(file.posts(time_format=right)) == 1
