import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import redis

from core.settings import RedisSettings
from services.cli import windows
from services.cli.main import run
from services.cli.windows import duration_s
from services.cli.windows_table import sparkline
from services.local import runfile
from services.local.redis_server import RedisServer
from services.windows_view import PaneView, snapshot
from stream.store.increments import ApplyBatch, Horizons
from stream.store.quarantine import Missing
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.layout import COUNTERS
from stream.windows.records import PaneSum, Published

pytestmark = pytest.mark.integration

DATABASE = 9
START = 1_772_366_400  # 2026-03-01 12:00 UTC


@pytest.fixture
def url(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with three panes of two partitions; the first is closed and published."""
    found = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(found) as client:
        client.flushdb()
    monkeypatch.setattr(runfile, "read_run", lambda: None)
    monkeypatch.setenv("GROUNDSWELL__REDIS__URL", found)
    asyncio.run(_fill(found))
    return found


async def _fill(url: str) -> None:
    store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    one = [1, 1, 500_000, 250_000, 100_000, 300_000, 600_000]
    row = {"synthetic|en|none": one[:4]}
    for partition in (0, 1):
        panes: dict[int, Any] = {
            START: [("all", one, row, [f"a{partition}"]), ("rail", one, row, [f"a{partition}"])],
            START + 60: [("all", one, row, [f"a{partition}"])],
            START + 120: [("all", [3], {}, [f"a{partition}"])],
        }
        watermark_ms = (START + 100) * 1000
        await store.apply(
            partition,
            ApplyBatch(POSTS, -1, 9, watermark_ms, panes, totals={"counted": 6, "dead:posts": 4}),
        )
    await store.close_through([0, 1], START + 60)
    epoch = await store.begin_closing()
    sent = {query: Published(2, "d", True) for query in ("all", "rail")}
    assert await store.set_revisions(epoch, {START: sent})
    await store.close()


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_dump_writes_every_window_with_every_counter(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["windows", "dump"]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    lines = _lines(captured.out)
    assert [(line["start"], line["query"]) for line in lines] == [
        ("2026-03-01T12:00:00Z", "all"),
        ("2026-03-01T12:00:00Z", "rail"),
        ("2026-03-01T12:01:00Z", "all"),
        ("2026-03-01T12:02:00Z", "all"),
    ]
    first = lines[0]
    assert first["end"] == "2026-03-01T12:01:00Z"
    assert (first["revision"], first["closed"]) == (2, True)
    assert [first[name] for name in COUNTERS[:7]] == [
        2, 2, 1_000_000, 500_000, 200_000, 600_000, 1_200_000,
    ]  # fmt: skip
    assert all(isinstance(first[name], int) for name in COUNTERS)
    assert first["authors"] == 2
    assert first["strata"] == {"synthetic|en|none": [2, 2, 1_000_000, 500_000]}
    assert [(line["revision"], line["closed"]) for line in lines[2:]] == [(-1, False)] * 2


def test_dump_of_one_query_into_a_file(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rail.jsonl"
    assert run(["windows", "dump", "--query", "rail", "--file", str(file)]) == 0
    assert capfd.readouterr().out == ""
    (line,) = _lines(file.read_text())
    assert line["query"] == "rail"


def test_window_that_cannot_be_read_is_left_out_and_said(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with redis.Redis.from_url(url) as client:
        client.delete(f"{{1}}:pane:{START + 60}")
        client.lpush(f"{{1}}:pane:{START + 60}", "x")
        client.hset(f"{{0}}:pane:{START}", "rail", b"\x91\xcb")
    assert run(["windows", "dump"]) == 0
    captured = capfd.readouterr()
    places = [(line["start"], line["query"]) for line in _lines(captured.out)]
    assert places == [("2026-03-01T12:00:00Z", "all"), ("2026-03-01T12:02:00Z", "all")]
    assert f"{{1}}:pane:{START + 60}" in captured.err
    assert "WRONGTYPE" in captured.err
    assert "2026-03-01 12:00:00 UTC, rail" in captured.err
    assert "groundswell windows repair" in captured.err
    assert run(["windows", "show", "all"]) == 0
    captured = capfd.readouterr()
    assert "12:01:00" not in captured.out
    assert "12:01:00" in captured.err


async def test_snapshot_goes_on_without_what_cannot_be_read(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.hset(f"{{0}}:pane:{START + 60}", "all", b"\xca")
        client.set("{1}:starts", "x")
        client.hset("{1}:cursor", "counted", "many")
    store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    try:
        view = await snapshot(store)
    finally:
        await store.close()
    assert [(pane.start_s - START, pane.query) for pane in view.panes] == [
        (0, "all"), (0, "rail"), (120, "all"),
    ]  # fmt: skip
    assert list(view.totals) == [0]
    assert [(one.partition, one.start_s, one.query) for one in view.missing] == [
        (0, START + 60, "all")
    ]


def test_address_of_no_redis_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runfile, "read_run", lambda: None)
    monkeypatch.setenv("GROUNDSWELL__REDIS__URL", "http://us:secret@127.0.0.1:6379/0")
    assert run(["windows", "dump"]) == 2
    said = capfd.readouterr().err
    assert "redis.url = 'http://(hidden)@127.0.0.1:6379/0'" in said
    assert "redis://" in said


def test_show_draws_the_windows_of_a_query(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert run(["windows", "show", "all"]) == 0
    shown = capfd.readouterr().out
    assert "2026-03-01 12:00 " in shown
    assert "+0.500" in shown
    assert "open" in shown
    assert "▆▆ " in shown  # the last pane has no rated post


def test_show_adds_panes_up_to_longer_windows(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert run(["windows", "show", "all", "--window", "5m", "--last", "1"]) == 0
    shown = capfd.readouterr().out
    assert "300 s" in shown
    assert shown.count("2026-03-01") == 1
    assert " 10 " in shown


@pytest.mark.parametrize("head", ["sentiment", "emotion", "participation", "mobilisation"])
@pytest.mark.parametrize("width", ["80", "40"])
def test_show_prints_a_window_on_one_line_of_80_columns_and_cuts_nothing_off(
    url: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    head: str,
    width: str,
) -> None:
    busy = {name: 99_999 if name in ("posts", "rated") else 20_000_000_000 for name in COUNTERS}

    async def panes(*_: Any) -> tuple[list[PaneView], list[Missing]]:
        sums = PaneSum([busy[name] for name in COUNTERS], authors=99_999)
        return [PaneView("all", START + n, START + n + 60, False, -1, sums) for n in (0, 60)], []

    monkeypatch.setattr(windows, "_read", panes)
    monkeypatch.setenv("COLUMNS", width)
    assert run(["windows", "show", "all", "--head", head]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 2 + 1 + 2
    assert all(len(line.rstrip()) <= 80 and "…" not in line for line in lines[2:])
    assert lines[2].split() == [
        "start", "(UTC)", "posts", "rated", "authors", "mean", "±", "err", "shares", "state",
    ]  # fmt: skip
    assert all("99,999" in line and line.rstrip().endswith("open") for line in lines[3:])


@pytest.mark.parametrize("head", ["participation", "mobilisation", "problem"])
def test_show_says_nothing_of_taking_part_in_groups_that_are_too_small(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    assert run(["windows", "show", "all", "--head", head]) == 0
    shown = capfd.readouterr().out
    assert "2026-03-01 12:00 " in shown
    assert "%" not in shown


def test_show_of_a_query_without_windows_says_no_and_names_the_nearest(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["windows", "show", "rial"]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "did you mean 'rail'?" in captured.err


@pytest.mark.parametrize("window", ["5x", "0m", "-60", "90s", "m"])
def test_window_that_is_no_multiple_of_the_pane_is_wrong_use(url: str, window: str) -> None:
    assert run(["windows", "show", "all", "--window", window]) == 2


async def test_snapshot_has_the_accounting_of_all_partitions(url: str) -> None:
    store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    try:
        view = await snapshot(store, last=2)
    finally:
        await store.close()
    assert view.totals == {p: {"counted": 6, "dead:posts": 4} for p in (0, 1)}
    assert view.total("counted") == 12
    assert view.closed_s == START + 60
    assert [pane.start_s - START for pane in view.panes] == [60, 120]
    assert view.by_query()["all"][0].summary().sentiment == 0.5
    assert view.watermarks_s == {0: START + 100, 1: START + 100}


def test_durations_are_read_with_their_unit() -> None:
    assert [duration_s(text) for text in ("90", "90s", "5m", "2h", "1d")] == [
        90, 90, 300, 7_200, 86_400,
    ]  # fmt: skip


def test_sparkline_has_a_bar_for_each_value_and_clamps() -> None:
    assert sparkline([-5.0, -1.0, 0.0, 1.0, 5.0, None]) == "▁▁▅██ "
