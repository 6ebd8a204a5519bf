"""`groundswell report`: one file, the numbers of `windows dump`, and what is wrong said by name."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import from_epoch_ms
from services.alerting.showing import DELETED, THERE, ExampleText
from services.cli import report as command
from services.cli.main import run
from services.cli.windows import line_of
from services.console.report import printing
from services.console.report.axes import time_ticks
from services.console.report.document import html_of
from services.console.report.figures import key_figures
from services.console.report.reading import PeriodReport, period_of, read_report
from services.console.report.wording import Times, headline
from services.corrected_shares import ShareCorrector
from services.windows_view import PaneBounds, PaneView
from testkit.builders import NOON
from testkit.console import (
    PANE_S,
    START_S,
    TEXT,
    MemoryData,
    hour_of_panes,
    pane,
    past_alert,
)

HOUR = 3_600
FROM, TO = "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"


def at(seconds: int) -> str:
    return from_epoch_ms((START_S + seconds) * 1000).isoformat()


def talk(minutes: int = 120) -> list[PaneView]:
    """Return panes of an uneven hour, then of another, all closed, with strata and heads."""
    made: list[PaneView] = []
    for number in range(minutes):
        posts = 3 + number % 5
        one = pane(
            START_S + number * PANE_S, posts=posts, rated=posts - 1,
            sentiment_sum=(number % 7 - 3) * 100_000, sentiment_square=posts * 200_000,
            emotion_posts=posts - 1, emotion_anger=400_000, emotion_joy=600_000,
        )  # fmt: skip
        one.content.strata["bluesky|en|sports"] = [posts - 1, posts - 1, 0, 0]
        one.content.strata["bluesky|en|none"] = [1, 0, 0, 0]
        made.append(one)
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryData:
    """Data in the place of a stream; the command runs in a folder of its own."""
    data = MemoryData(kept=talk())

    @asynccontextmanager
    async def memory(_: Any) -> AsyncIterator[MemoryData]:
        yield data

    monkeypatch.setattr(command, "stream_data", memory)
    monkeypatch.chdir(tmp_path)
    return data


def ask(*more: str, low: int = HOUR, high: int = 2 * HOUR, query: str = "trains") -> int:
    return run(["report", query, "--from", at(low), "--to", at(high), *more])


def written(file: str = "trains-report.html") -> str:
    return Path(file).read_text(encoding="utf-8")


async def found_in(data: MemoryData, low: int = HOUR, high: int = 2 * HOUR) -> PeriodReport:
    found = await read_report(
        data, ("trains", "Trains"), (START_S + low, START_S + high), PANE_S, ShareCorrector()
    )
    assert isinstance(found, PeriodReport)
    return found


async def test_numbers_are_the_sums_of_what_windows_dump_has() -> None:
    data = MemoryData(kept=talk())
    # A period that no step divides: its first and last windows have only what is in it.
    low, high = 17 * PANE_S, 108 * PANE_S
    found = await found_in(data, low, high)
    encoder = msgspec.json.Encoder()
    lines = [json.loads(encoder.encode(line_of(one, ShareCorrector()))) for one in data.kept]
    inside = [
        line for one, line in zip(data.kept, lines, strict=True)
        if START_S + low <= one.start_s < START_S + high
    ]  # fmt: skip
    assert len(inside) == 91
    for name, value in found.period.total.counters.items():
        assert value == sum(line[name] for line in inside), name
        windows = [one.counters.get(name, 0) for one in found.period.windows]
        assert value == sum(windows), name
    assert found.period.total.summary.authors == sum(line["authors"] for line in inside)
    strata = [(name, row) for line in inside for name, row in line["strata"].items()]
    assert found.period.topics["sports"] == sum(
        row[0] for name, row in strata if name.endswith("|sports")
    )
    posts = sum(line["posts"] for line in inside)
    assert f": {posts:,} posts, mean sentiment" in headline(found)


async def test_a_change_has_its_interval_and_only_of_whole_periods() -> None:
    data = MemoryData(kept=talk())
    found = await found_in(data)
    change = found.sentiment_change()
    assert found.before is not None
    assert change is not None
    assert change.low < change.value < change.high
    now, then = found.period.total.summary, found.before.total.summary
    assert change.value == pytest.approx((now.sentiment or 0) - (then.sentiment or 0))
    assert f"volume {(now.posts - then.posts) / then.posts:+.1%}" in headline(found)
    first = await found_in(data, 0, HOUR)
    assert first.before is None
    assert "not compared with the period before" in headline(first)
    data.kept[-1] = pane(data.kept[-1].start_s, closed=False)
    still = await found_in(data)
    assert "are not all closed yet" in headline(still)
    assert still.provisional() == 1


async def test_a_period_before_with_little_in_it_is_said_beside_the_change() -> None:
    assert "(posts in only" not in headline(await found_in(MemoryData(kept=talk())))
    kept = talk()
    young = await found_in(MemoryData(kept=[kept[0], *kept[50:]]))
    assert young.before is not None
    assert "before (posts in only 11 of its 60 windows: was all of it watched?)" in headline(young)


async def test_key_figures_are_those_of_both_periods() -> None:
    found = await found_in(MemoryData(kept=talk()))
    rows = {one.name: one for one in key_figures(found)}
    assert found.before is not None
    now, then = found.period.total.summary, found.before.total.summary
    assert (rows["posts"].now.value, rows["posts"].before.value) == (f"{now.posts:,}",
                                                                     f"{then.posts:,}")  # fmt: skip
    assert rows["rated"].change.value == f"{(now.rated - then.rated) / then.rated:+.1%}"
    assert rows["mean sentiment"].now.value == f"{now.sentiment:+.3f}"
    change = found.sentiment_change()
    assert change is not None
    assert rows["mean sentiment"].change.interval == f"({change.low:+.3f} to {change.high:+.3f})"
    first = await found_in(MemoryData(kept=talk()), 0, HOUR)
    assert {one.change.value + one.before.value for one in key_figures(first)} == {""}
    assert "period before</th>" not in html_of(first, NOON, Times())


async def test_the_chart_says_its_scales_and_times() -> None:
    found = await found_in(MemoryData(kept=talk()))
    content = html_of(found, NOON, Times())
    for label in ("+1.00", "-1.00", "13:00<b>2026-03-01</b>", "13:50", "7"):
        assert re.search(rf'<span style="[a-z]+:[0-9.]+%">{re.escape(label)}</span>', content)
    # Means from -0.15 to +0.15 with bands cut at -1 and +1: nought is in the middle of its part.
    assert 'class="zero" style="top:35.0%"' in content


@given(start_s=st.integers(0, 4_000_000_000), span_s=st.integers(1, 40_000_000))
def test_labels_of_time_are_few_and_not_cut(start_s: int, span_s: int) -> None:
    ticks = time_ticks(start_s, start_s + span_s, Times())
    assert len(ticks) <= 8
    assert all(0 <= one.at < 0.95 for one in ticks)
    assert [one.at for one in ticks] == sorted({one.at for one in ticks})
    if span_s >= 600:
        assert ticks, "a range of ten minutes has a round minute in it"


async def test_another_model_is_never_compared() -> None:
    data = MemoryData(kept=[
        PaneView(one.query, one.start_s, one.end_s, one.closed, one.revision, one.content,
                 "old" if one.start_s < START_S + HOUR else "new")
        for one in talk()
    ])  # fmt: skip
    found = await found_in(data)
    assert found.before is None
    assert "another model has scored" in headline(found)


class Document(HTMLParser):
    """What a page is made of: its elements, and every address in it."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href", "action", "srcset", "data", "poster"):
                self.addresses.append(value or "")


def test_the_file_stands_alone(told: MemoryData, capsys: pytest.CaptureFixture[str]) -> None:
    told.past = [past_alert(1, started=NOON, fired=from_epoch_ms((START_S + HOUR + 60) * 1000))]
    told.shown = [
        ExampleText("typical", "bluesky", "p1", THERE, TEXT, "https://posts.example/1"),
        ExampleText("typical", "bluesky", "p2", THERE, TEXT, "javascript:alert(1)"),
        ExampleText("typical", "bluesky", "gone-away", DELETED),
    ]
    assert ask() == 0
    content, document = written(), Document(written())
    assert content.startswith("<!doctype html>")
    assert not set(document.elements) & {"script", "img", "iframe", "object", "form", "base"}
    assert sorted(document.addresses) == ["#windows", "data:,", "https://posts.example/1"]
    assert "url(" not in content
    assert "@import" not in content
    assert document.elements.count("table") == 4
    assert 'class="shifted"' in content
    assert "Opinion about trains fell." in content
    assert TEXT not in content
    assert "p2" in content
    assert "gone-away" not in content
    assert "prefers-color-scheme: dark" in content
    assert "@media print" in content
    printed = capsys.readouterr().out
    assert "written: trains-report.html" in printed
    assert max(map(len, printed.splitlines())) < 80


def test_posts_are_quoted_only_where_viewers_may_see_them(
    told: MemoryData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told.past = [past_alert(1)]
    told.shown = [ExampleText("typical", "bluesky", "p1", THERE, TEXT)]
    assert ask("--texts") == 2
    assert "console.viewers_see_posts" in capsys.readouterr().err
    monkeypatch.setenv("GROUNDSWELL__CONSOLE__VIEWERS_SEE_POSTS", "true")
    assert ask("--texts") == 0
    assert TEXT in written()


def test_what_is_left_out_is_said(told: MemoryData) -> None:
    told.away_now = ("broker",)
    told.kept[-1] = pane(told.kept[-1].start_s, closed=False)
    assert ask(low=-HOUR, high=3 * HOUR) == 0
    content = written()
    assert "60 windows of the period are not kept" in content
    assert "61 windows are provisional" in content
    assert "posts (" in content
    assert "have no rating" in content
    assert "Participation is not shown: it is for groups of 20 posts" in content
    assert "Shares of emotion are as the model says, without an interval" in content
    assert "Alerts are not shown" in content


async def test_participation_is_for_groups_alone() -> None:
    def of(posts: int) -> list[PaneView]:
        shares: dict[str, Any] = {
            "participation_none": posts * 900_000,
            "participation_intention": posts * 100_000,
        }
        return [pane(START_S, posts=posts, rated=posts, participation_posts=posts, **shares)]

    for posts, is_shown in ((19, False), (20, True)):
        found = await found_in(MemoryData(kept=of(posts)), 0, HOUR)
        content = html_of(found, NOON, Times())
        assert ("Participation: " in content) == is_shown
        assert ("Participation is not shown" in content) != is_shown
        assert ("participation_posts" in found.period.total.counters) == is_shown


@given(title=st.text(max_size=60), label=st.text(max_size=30), url=st.text(max_size=40))
async def test_hostile_names_stay_text(title: str, label: str, url: str) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    for text in (title, f"{hostile}{title}"):
        past = past_alert(1, sentence=f"{text}{label}", kind="opinion")
        shown = [ExampleText("typical", text, label, THERE, text, url)]
        data = MemoryData(kept=talk(2), past=[past], shown=shown)
        data.kept[0].content.strata[f"x|y|{text}{label}"] = [2, 2, 0, 0]
        found = await read_report(
            data, ("trains", text), (START_S, START_S + HOUR), PANE_S, ShareCorrector()
        )
        assert isinstance(found, PeriodReport)
        plain = Document(html_of(await found_in(data, 0, HOUR), NOON, Times(), texts=True))
        document = Document(html_of(found, NOON, Times(), texts=True))
        assert not set(document.elements) & {"script", "img"}
        assert document.elements == plain.elements


def test_times_are_given_in_a_zone_too(told: MemoryData) -> None:
    assert ask("--timezone", "Asia/Kathmandu") == 0
    assert "2026-03-01 13:00 UTC (18:45 +0545)" in written()
    assert ask("--timezone", "Atlantis/Poseidonis") == 2
    assert ask("--timezone", "../../etc/passwd") == 2


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("trians", FROM, TO), 1, "no query is called 'trians' (did you mean 'trains'?)"),
        (("trains", TO, FROM), 2, "expected a time before --to"),
        (("trains", FROM, FROM), 2, "expected a time before --to"),
        (("trains", "2026-03-01T12:00:00", TO), 2, "expected a time such as"),
        (("trains", "yesterday", TO), 2, "expected a time such as"),
        (("trains", "2025-01-01T00:00Z", "2025-01-02T00:00Z"), 1,
         "kept from 2026-03-01 12:00 UTC to 2026-03-01 14:00 UTC"),
        (("weather", FROM, TO), 1, "no windows of 'weather'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    told: MemoryData, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str, str],
    status: int, said: str,
) -> None:  # fmt: skip
    query, low, high = arguments
    assert run(["report", query, "--from", low, "--to", high]) == status
    printed = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert said in printed
    assert not list(Path().glob("*.html"))


def test_an_empty_store_and_one_that_is_away_are_said(
    told: MemoryData, capsys: pytest.CaptureFixture[str]
) -> None:
    told.kept.clear()
    assert ask() == 1
    assert "the store has none at all" in capsys.readouterr().err
    told.away_now = ("store",)
    assert ask() == 1
    assert "does not answer" in capsys.readouterr().err


def test_without_chromium_it_is_said_what_to_install(
    told: MemoryData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert ask("--pdf") == 1
    assert "install chromium" in capsys.readouterr().err
    assert not list(Path().glob("*.html"))


Program = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def make(script: str) -> str:
        file = tmp_path / "chromium"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return str(file)

    return make


@pytest.mark.parametrize("script", ["echo no display >&2; exit 3", "exit 0"])
def test_a_chromium_that_does_not_print_is_an_error(
    program: Program, tmp_path: Path, script: str
) -> None:
    old = tmp_path / "old.pdf"
    old.write_bytes(b"%PDF-old")
    with pytest.raises(printing.ChromiumUnavailable, match="wrote no PDF"):
        printing.print_pdf(program(script), tmp_path / "page.html", old)
    assert old.read_bytes() == b"%PDF-old"


@pytest.mark.parametrize("more", [(), ("--out", "deep/er/one.html")])
def test_the_pdf_lies_beside_the_page(
    told: MemoryData, monkeypatch: pytest.MonkeyPatch, program: Program, more: tuple[str, ...]
) -> None:
    script = (
        'for a in "$@"; do case "$a" in --print-to-pdf=*) printf %%PDF- > "${a#*=}";; esac; done'
    )
    monkeypatch.setattr(command, "find_chromium", lambda: program(script))
    assert ask("--pdf", *more) == 0
    page = Path(more[1] if more else "trains-report.html")
    assert page.is_file()
    assert page.with_suffix(".pdf").read_bytes() == b"%PDF-"


def test_a_pane_that_cannot_be_read_is_counted() -> None:
    from services.console.data import PanesFound

    kept = hour_of_panes(3)
    found = PanesFound({one.start_s: one for one in kept}, {START_S + 2 * PANE_S})
    bounds = PaneBounds(START_S, START_S + 2 * PANE_S, START_S + 3 * PANE_S)
    period = period_of(found, (START_S, START_S + 3 * PANE_S), bounds, PANE_S)
    assert (period.unreadable, period.total.whole) == (1, False)
    found.missing = {None}
    assert period_of(found, (START_S, START_S + 60), bounds, PANE_S).unreadable is None
