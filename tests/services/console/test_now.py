"""*Now* and the pages of queries: their numbers are those of the API, and pictures have tables."""

import re
from html import unescape
from pathlib import Path

import pytest

from core.clock import epoch_ms
from services.console.data import QualityFound
from services.console.drawing import chart_of
from services.console.keys import Role
from services.console.series import series
from services.forecaster.showing import QualityRow
from testkit.console import (
    LATER,
    PANE_S,
    START_S,
    ConsoleRig,
    MemoryData,
    console_rig,
    pane,
    past_alert,
)


async def test_what_has_shifted_comes_first_then_the_busiest(tmp_path: Path) -> None:
    posts = {"trains": 3, "weather": 9, "all": 7}
    data = MemoryData(
        kept=[pane(START_S, name, posts=count) for name, count in posts.items()],
        past=[past_alert(1), past_alert(2, query="weather", state="resolved")],
    )  # fmt: skip
    async with console_rig(tmp_path, data) as rig:
        await rig.sign_in(Role.VIEWER)
        text = (await rig.client.get("/now")).text
        assert re.findall(r'<a href="/queries/([a-z]+)">', text) == ["trains", "weather", "all"]
        assert re.findall(r'<a href="(/alerts/[^"?]+)">', text) == ["/alerts/a1"]
        assert re.findall(r"</th>\s*<td>(\d+)</td>", text) == ["3", "9", "7"]


async def test_the_open_window_is_not_shown_as_if_it_were_whole(tmp_path: Path) -> None:
    data = MemoryData(kept=[pane(START_S, posts=5), pane(START_S + PANE_S, posts=1, closed=False)])
    data.kept[1] = pane(START_S + PANE_S, closed=False, posts=1)
    async with console_rig(tmp_path, data) as rig:
        await rig.sign_in(Role.VIEWER)
        assert "<td>5</td>" in (await rig.client.get("/now")).text


async def test_numbers_are_there_when_only_kafka_is_away(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.VIEWER)
    rig.data.away_now = ("broker",)
    for path in ("/now", "/queries/trains"):
        answer = await rig.client.get(path)
        assert answer.status_code == 200
        assert "Shifts are not shown: Kafka does not answer" in answer.text
    rig.data.away_now = ("store",)
    assert (await rig.client.get("/now")).status_code == 503


async def test_two_thousand_queries_come_in_pages_and_are_found(rig: ConsoleRig) -> None:
    rig.data.catalog_text = "".join(
        f'[queries.q{n:04}]\ntitle = "Query {n}"\nexpression = "word{n}"\n' for n in range(2_000)
    )
    await rig.sign_in(Role.VIEWER)
    for path, most in (("/now", 50), ("/queries", 100)):
        first = (await rig.client.get(path)).text
        assert (
            first.count('href="/queries/q') + first.count('<th scope="row"><a href="/queries/all"')
            == most
        )
        assert f"after={most}" in first
        found = (await rig.client.get(f"{path}?find=query+1234")).text
        assert set(re.findall(r'href="/queries/(q\d+)"', found)) == {"q1234"}


async def test_a_query_shows_the_windows_of_the_api(rig: ConsoleRig) -> None:
    rig.data.past = [past_alert(-30)]
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get("/queries/trains")).text
    rows = (await rig.ask("/queries/trains/windows")).json()["windows"]
    shown = re.findall(r'<time datetime="([^"]+)">[^<]*</time></th>\s*<td>(\d+)</td>', text)
    expected = [(one["start"].replace("Z", "+00:00"), str(one["posts"])) for one in rows]
    assert shown == expected[::-1]
    assert text.count('class="posts-bar"') == len(rows)
    assert 'class="shifted"' in text
    for wrong in ("/queries/tranis", "/queries/trains?span=2y"):
        assert (await rig.client.get(wrong)).status_code in (404, 422)


async def test_an_expression_is_checked_on_the_page(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.ANALYST)
    wrong = (await rig.client.post("/queries", data={"expression": "late AND (train"})).text
    assert "Line 1, column 10" in wrong
    assert "late AND (train\n         ^" in wrong
    right = {"expression": "late", "text": "The train is LATE"}
    assert "The post matches." in (await rig.client.post("/queries", data=right)).text
    long = await rig.client.post("/queries", data={"expression": "x" * 20_001})
    assert long.status_code == 422
    await rig.sign_in(Role.VIEWER)
    assert "Check an expression" not in (await rig.client.get("/queries")).text
    assert (await rig.client.post("/queries", data=right)).status_code == 403


async def test_a_picture_breaks_where_nothing_is_known_and_keeps_within_its_frame() -> None:
    data = MemoryData(kept=[pane(START_S + n * PANE_S) for n in (0, 1, 2, 5, 6)])
    span = (START_S, START_S + 10 * PANE_S)
    windows = [one async for some in series(data, "trains", span, PANE_S, PANE_S) for one in some]
    chart = chart_of(windows, [(START_S + 60, START_S + 120), (0, 10)], (700, 100))
    assert chart is not None
    assert [len(line.split()) for line in chart.lines] == [3, 2]
    assert [(one.x, one.width) for one in chart.shifts] == [(100.0, 100.0)]
    points = [tuple(map(float, p.split(","))) for run in chart.bands for p in run.split()]
    assert all(0 <= x <= 700 and 0 <= y <= 70 for x, y in points)
    assert {one.height for one in chart.bars} == {30.0}


def test_nothing_has_no_picture() -> None:
    assert chart_of([]) is None


@pytest.mark.parametrize("path", ["/now", "/queries/trains"])
async def test_every_picture_has_a_name_for_those_who_do_not_see_it(
    rig: ConsoleRig, path: str
) -> None:
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get(path)).text
    drawn = re.findall(r"<svg[^>]*>", text)
    pictures = [one for one in drawn if 'aria-hidden="true"' not in one]  # labels of the scales
    assert pictures
    assert all('role="img"' in one and 'aria-label="' in one for one in pictures)
    assert "<caption>" in text


async def test_windows_ahead_of_the_clock_do_not_stand_before_what_is_now(tmp_path: Path) -> None:
    now_s = epoch_ms(LATER) // 1000
    kept = [pane(now_s + n * PANE_S, closed=n < 0, posts=7) for n in range(-3, 2)]
    async with console_rig(tmp_path, MemoryData(kept=kept)) as rig:
        await rig.sign_in(Role.VIEWER)
        text = (await rig.client.get("/queries/trains")).text
        shown = re.findall(r'<th scope="row"><time[^>]*>([^<]+)<', text)
        assert shown == [f"2026-03-01 {at}:00" for at in ("14:00", "13:59", "13:58", "13:57")]
        assert "ahead of the clock" not in text  # by a minute, as authors' clocks may be
        rig.data.kept.append(pane(now_s + 86_400, closed=False))
        text = (await rig.client.get("/queries/trains")).text
        assert re.findall(r'<th scope="row"><time[^>]*>([^<]+)<', text) == shown
        assert "Windows ahead of the clock, until 2026-03-02 14:00 UTC, are not shown." in text


@pytest.mark.parametrize(("span", "said"), [("6h", "1 minute"), ("1d", "5 minutes")])
async def test_the_length_of_windows_is_said_in_words(
    rig: ConsoleRig, span: str, said: str
) -> None:
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get(f"/queries/trains?span={span}")).text
    assert f"<caption>Windows of {said}, the newest first</caption>" in text
    text = (await rig.client.get("/alerts/a1")).text
    assert "Windows of 1 minute;" in text


@pytest.mark.parametrize(("outcomes", "said"), [(1, "too few outcomes: 1"), (20, "0.83")])
async def test_of_few_outcomes_no_figure_is_shown(
    rig: ConsoleRig, outcomes: int, said: str
) -> None:
    row = QualityRow("source", "mastodon", "likes", outcomes, 0.1, 0.83, None, False, ())

    async def quality() -> QualityFound:
        return QualityFound((row,))

    rig.data.quality = quality  # type: ignore[method-assign]
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get("/quality")).text
    assert said in text
    assert ("0.83" in text) == (outcomes == 20)


@pytest.mark.parametrize("span", ["1h", "6h", "1d", "7d"])
async def test_a_picture_says_what_its_heights_and_places_mean(rig: ConsoleRig, span: str) -> None:
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get(f"/queries/trains?span={span}")).text
    plot = text[text.index('<div class="plot">') : text.index("<figcaption>")]
    labels = [unescape(one) for one in re.findall(r"<text[^>]*>([^<]*)</text>", plot)]
    assert len([one for one in labels if re.fullmatch(r"[+-][01]\.[0-9]{2}", one)]) == 2
    assert "0" in labels
    clocks = [one for one in labels if re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", one)]
    assert 1 <= len(clocks) <= 8
    assert labels.count("03-01") == 1
    assert max(int(one) for one in labels if one.isdigit()) >= 2  # the most posts of a window
