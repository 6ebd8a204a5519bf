import io
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from core.colours import CLASSES
from services.local.live_view import one_line, render, save_picture, sparkline
from services.local.snapshot import PartLine, QueryLine, Snapshot, StageFlow, WindowLine

NAMES = ("all", "flood", "energy prices", "a query with a rather long name", "rail", "vaccines")
SNAPSHOT = Snapshot(
    elapsed_s=3723.4,
    source="synthetic → kafka → 2 workers → triton",
    flows=(
        StageFlow("ingest", 1234.4, 70_500),
        StageFlow("scored", 1010.0, 69_000),
        StageFlow("counted", 998.6, 68_750),
    ),
    lag_posts=1750,
    lag_s=1.752,
    latency_p50_s=0.081,
    latency_p95_s=2.34,
    dead_letters=(("duplicate", 310), ("not_json", 7)),
    windows_closed=42,
    corrections=3,
    queries=tuple(
        QueryLine(name, 900 - 100 * i, 0.213 - 0.1 * i, (None, 0.1, 0.15, 0.213 - 0.1 * i))
        for i, name in enumerate(NAMES)
    ),
    windows=tuple(
        WindowLine(
            1_767_225_600.0 + 10 * i, 1_767_225_610.0 + 10 * i, NAMES[i % 6], 80, 77, -0.04, i
        )
        for i in range(30)
    ),
    parts=(
        PartLine("kafka", "ready", 0),
        PartLine("worker-1", "waiting", 2),
        PartLine("ingest", "ended", 0),
    ),
    message="worker-1 ended with status -9; again in 0.3 s\nand its last words",
)


def drawn(snapshot: Snapshot, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(render(snapshot, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 40), (200, 24)])
def test_the_key_figures_are_there_and_nothing_is_wider_or_higher_than_the_terminal(
    width: int, height: int
) -> None:
    lines = drawn(SNAPSHOT, width, height)
    text = "\n".join(lines)
    for figure in (
        "1:02:03", "1,234 posts/s", "1,010 posts/s", "999 posts/s", "70,500", "1,750 (1.8 s)",
        "81 ms / 2.3 s", "42 +3", "317", "energy prices", "+0.213", "00:00:00-00:00:10",
        "worker-1 ×2", "ended with status -9",
    ):  # fmt: skip
        assert figure in text
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


@pytest.mark.parametrize("width", [80, 140])
def test_a_stack_that_has_counted_nothing_yet_can_be_drawn(width: int) -> None:
    text = "\n".join(drawn(Snapshot(0.0, "synthetic"), width, 24))
    assert "no window has closed yet" in text
    assert "– / –" in text


def test_a_higher_terminal_shows_more_windows() -> None:
    low, high = drawn(SNAPSHOT, 140, 24), drawn(SNAPSHOT, 140, 40)
    assert sum("-00:" in line for line in high) > sum("-00:" in line for line in low)


def test_without_a_terminal_the_moment_is_one_plain_line() -> None:
    line = one_line(SNAPSHOT)
    assert line == (
        "1:02:03  ingest 1,234/s  scored 1,010/s  counted 999/s  lag 1,750  p95 2.3 s"
        "  windows 42 (+3 corrected)  all +0.213"
    )
    assert "all" not in one_line(replace(SNAPSHOT, queries=()))


def test_a_sparkline_keeps_its_scale_for_small_noise_and_shows_gaps() -> None:
    assert sparkline([0.10, 0.11, 0.10]) == "▄▄▄" or len(set(sparkline([0.10, 0.11, 0.10]))) <= 2
    assert sparkline([-1.0, None, 1.0]) == "▁ █"
    assert sparkline([]) == ""


def test_a_picture_shows_the_same_figures(tmp_path: Path) -> None:
    save_picture(SNAPSHOT, tmp_path / "demo.svg")
    picture = (tmp_path / "demo.svg").read_text()
    assert picture.startswith("<svg")
    assert "1,234" in picture
    assert "flood" in picture


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40)])
def test_the_link_of_the_console_is_shown_in_whole_and_kept_in_no_picture(
    tmp_path: Path, width: int, height: int
) -> None:
    link = f"http://127.0.0.1:43210/enter?token={secrets.token_urlsafe(16)}"
    shown = replace(SNAPSHOT, link=link)
    lines = drawn(shown, width, height)
    assert any(line.rstrip().endswith(link) for line in lines)
    assert len(lines) <= height
    save_picture(shown, tmp_path / "demo.svg")
    assert "token" not in (tmp_path / "demo.svg").read_text()


def test_a_mood_has_the_colour_of_its_side() -> None:
    console = Console(record=True, width=140, file=io.StringIO(), color_system="truecolor")
    console.print(render(SNAPSHOT, 140, 40))
    drawn = console.export_html(inline_styles=True)
    for colour in (CLASSES["sentiment"]["positive"], CLASSES["sentiment"]["negative"]):
        assert f"color: {colour}" in drawn
