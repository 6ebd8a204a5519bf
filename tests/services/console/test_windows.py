"""The series of a query: pages, files, roll-ups, and what small groups do not show."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from services.console.keys import Role
from stream.windows.summary import MIN_PARTICIPATION_POSTS
from testkit.console import PANE_S, START_S, ConsoleRig, MemoryData, console_rig, pane

WINDOWS = "/queries/trains/windows"


async def all_pages(rig: ConsoleRig, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    """Follow `next_cursor` to the end."""
    found: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"limit": limit}
    for _ in range(1_000):
        page = (await rig.ask(path, params=parameters)).json()
        assert len(page[name]) <= limit
        found += page[name]
        if page["next_cursor"] is None:
            return found
        parameters["cursor"] = page["next_cursor"]
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("limit", [1, 7, 120, 121])
async def test_pages_hold_every_window_once_in_order(rig: ConsoleRig, limit: int) -> None:
    found = await all_pages(rig, WINDOWS, "windows", limit)
    assert [one["start"] for one in found] == sorted({one["start"] for one in found})
    assert len(found) == 120


async def test_a_file_holds_what_the_pages_hold_without_a_cap(tmp_path: Path) -> None:
    many = 6_000  # more than the most that a page may have
    data = MemoryData(kept=[pane(START_S + n * PANE_S, posts=n) for n in range(many)])
    async with console_rig(tmp_path, data) as rig:
        pages = await all_pages(rig, WINDOWS, "windows", 5_000)
        lines = (await rig.ask(WINDOWS, params={"format": "jsonl"})).text.splitlines()
        assert [json.loads(line) for line in lines] == pages
        table = await rig.ask(WINDOWS, headers={"Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [int(row["posts"]) for row in rows] == list(range(many))


async def test_longer_windows_are_sums_and_say_whether_they_are_whole(rig: ConsoleRig) -> None:
    hours = (await rig.ask(WINDOWS, params={"step": "1h"})).json()["windows"]
    assert [one["posts"] for one in hours] == [120, 120]
    assert [one["counters"]["sentiment_sum"] for one in hours] == [30_000_000] * 2
    assert [one["closed"] for one in hours] == [True, False]
    assert hours[0]["sentiment"]["mean"] == 0.25
    assert hours[0]["revision"] is None


async def test_a_range_is_half_open(rig: ConsoleRig) -> None:
    asked = {"from": "2026-03-01T12:10:00Z", "to": "2026-03-01T12:12:00Z"}
    found = (await rig.ask(WINDOWS, params=asked)).json()["windows"]
    assert [one["start"] for one in found] == ["2026-03-01T12:10:00Z", "2026-03-01T12:11:00Z"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"step": "90s"}, "step"),
        ({"step": "40d"}, "step"),
        ({"step": "soon"}, "step"),
        ({"step": "0s"}, "step"),
        ({"limit": "0"}, "limit"),
        ({"from": "2026-03-01T12:10:00"}, "from"),  # of no time zone
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "from"),
        ({"format": "xlsx"}, "format"),
    ],
)
async def test_what_is_wrong_is_named(rig: ConsoleRig, asked: dict[str, str], field: str) -> None:
    answer = await rig.ask(WINDOWS, params=asked)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_a_query_that_is_not_watched_is_no_query_without_posts(rig: ConsoleRig) -> None:
    for name in ("tranis", "heartbeat"):
        answer = await rig.ask(f"/queries/{name}/windows")
        assert answer.status_code == 404
        assert answer.json()["errors"] == [{"field": "name", "detail": "not watched"}]
    assert (await rig.ask("/queries/weather/windows")).json()["windows"] == []


async def test_whoever_has_just_this_is_not_sent_it_again(rig: ConsoleRig) -> None:
    first = await rig.ask(WINDOWS)
    tag = {"If-None-Match": first.headers["etag"]}
    again = await rig.ask(WINDOWS, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    rig.data.kept[0] = pane(START_S, posts=3)
    changed = await rig.ask(WINDOWS, headers=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


async def test_participation_is_shown_of_groups_alone(tmp_path: Path) -> None:
    def of(start_s: int, posts: int) -> Any:
        return pane(
            start_s, posts=posts, participation_posts=posts,
            participation_none=posts * 1_000_000,
        )  # fmt: skip

    least = MIN_PARTICIPATION_POSTS
    data = MemoryData(kept=[of(START_S, least - 1), of(START_S + PANE_S, least)])
    async with console_rig(tmp_path, data) as rig:
        for form in ("json", "jsonl", "csv"):
            answer = await rig.ask(WINDOWS, Role.OPERATOR, params={"format": form})
            rows = _rows(answer.text, form)
            few, enough = rows
            told = [(name, value) for name, value in few.items() if "participation" in name]
            assert all(value == "" for _, value in told), form
            assert any("participation" in name and value for name, value in enough.items()), form


def _rows(text: str, form: str) -> list[dict[str, Any]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    rows = json.loads(text)["windows"] if form == "json" else map(json.loads, text.splitlines())
    return [one["counters"] | one["shares"] | one["mobilisation"] for one in rows]


async def test_what_is_away_is_named_and_its_own_words_are_not_told(rig: ConsoleRig) -> None:
    rig.data.away_now = ("store",)
    answer = await rig.ask(WINDOWS)
    assert answer.status_code == 503
    assert answer.json()["away"] == ["store"]
    assert int(answer.headers["retry-after"]) >= 1
    assert "secret" not in answer.text
    health = await rig.ask("/health")
    assert (health.status_code, health.json()["away"]) == (503, ["store"])


async def test_a_file_that_breaks_off_does_not_look_like_its_end(tmp_path: Path) -> None:
    data = MemoryData(kept=[pane(START_S + n * PANE_S) for n in range(1_000)])
    async with console_rig(tmp_path, data) as rig:
        asked = data.panes

        async def breaks(query: str, start_s: int, end_s: int) -> Any:
            if data.looks >= 2:
                data.away_now = ("store",)
            return await asked(query, start_s, end_s)

        data.panes = breaks  # type: ignore[method-assign]
        with pytest.raises(Exception, match="already started"):
            await rig.ask(WINDOWS, params={"format": "jsonl"})
        page = rig.state.metrics.registry
        assert page.get_sample_value("groundswell_console_streams_cut_total") == 1
