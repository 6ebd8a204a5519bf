"""``groundswell report``: a query over a period as one file, for people who never log in."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from core.clock import SystemClock, epoch_ms
from core.errors import ConfigError
from core.report import write_report
from core.settings import Settings
from core.suggest import did_you_mean
from core.text import printable
from services.cli.settings import load_settings
from services.console.api_windows import ALL
from services.console.data import ConsoleData
from services.console.pages.alerts import row_of
from services.console.report.document import html_of
from services.console.report.printing import find_chromium, print_pdf
from services.console.report.reading import PeriodReport, read_report
from services.console.report.wording import Times, headline, left_out
from services.console.stream_data import StreamData
from services.corrected_shares import ShareCorrector
from services.sparkline import sparkline
from services.windows_view import PaneBounds

_COLUMNS: Final = 79
Json = Annotated[Path | None, typer.Option("--json", help="Also write the numbers to this file.")]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is asked for.

    Attributes:
        query: The name of the query.
        range_s: The period, half-open, seconds since 1970.
        times: How times are written.
        texts: Whether posts are quoted.
    """

    query: str
    range_s: tuple[int, int]
    times: Times
    texts: bool


def report(
    query: Annotated[str, typer.Argument(help="Name of the query; `all` is every post.")],
    since: Annotated[str, typer.Option("--from", metavar="T", help="From this time (RFC 3339).")],
    until: Annotated[str, typer.Option("--to", metavar="T", help="To before this time.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; else QUERY-report.html here.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also a PDF; needs Chromium.")] = False,
    timezone: Annotated[
        str, typer.Option(help="Give times in this zone too, such as Europe/Berlin.")
    ] = "",
    texts: Annotated[
        bool, typer.Option("--texts", help="Quote posts, where console.viewers_see_posts is on.")
    ] = False,
    json_file: Json = None,
) -> None:  # fmt: skip
    """Write volume, sentiment, shares and alerts of a query over a period as one HTML file.

    The file asks nothing of anybody: no script, no picture from elsewhere. Numbers are sums of what
    `groundswell windows dump` has, of the panes that start in the period, beside the equally long
    period before. Posts that show an alert are named and linked, not quoted.

    Exit status: 0 written, 1 no such query, no windows in the period or no Chromium, 2 wrong use.

    Example: groundswell report rail --from 2026-03-01T00:00Z --to 2026-03-02T00:00Z --pdf
    """
    settings = load_settings(find_stack=True)
    asked = ReportRequest(query, _range_s(since, until), Times(_zone(timezone)), texts)
    if texts and not settings.console.viewers_see_posts:
        raise ConfigError("--texts quotes posts to whoever has the file: console.viewers_see_posts "
                          "is off, so viewers see none")  # fmt: skip
    chromium = find_chromium() if pdf else ""
    found = asyncio.run(_read(settings, asked))
    if json_file is not None:
        _write_json(json_file, found, asked)
    _print_summary(found, asked.times)
    _write_files(found, asked, out or Path(f"{query}-report.html"), chromium)


def _write_files(found: PeriodReport, asked: ReportRequest, file: Path, chromium: str) -> None:
    _write(file, html_of(found, SystemClock().now(), asked.times, texts=asked.texts))
    typer.echo(f"written: {file}")
    if chromium:
        pdf = file.with_suffix(".pdf")
        print_pdf(chromium, file, pdf)
        typer.echo(f"written: {pdf}")


def _range_s(since: str, until: str) -> tuple[int, int]:
    low, high = _time_s("--from", since), _time_s("--to", until)
    if low >= high:
        raise typer.BadParameter(f"--from {since}: expected a time before --to {until}")
    return low, high


def _time_s(option: str, text: str) -> int:
    """Return the first second since 1970 that is not before a time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.year < 1970:
        raise typer.BadParameter(f"{option} {text}: expected a time such as 2026-03-01T12:00:00Z")
    return -(-epoch_ms(at) // 1000)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, LookupError):  # a zone that is not known is a LookupError
        raise typer.BadParameter(
            f"--timezone {name}: expected a name such as Europe/Berlin"
        ) from None


@asynccontextmanager
async def stream_data(settings: Settings) -> AsyncGenerator[ConsoleData]:
    """Give what the console reads of a running stream."""
    data = StreamData(settings, SystemClock())
    try:
        yield data
    finally:
        await data.close()


async def _read(settings: Settings, asked: ReportRequest) -> PeriodReport:
    async with stream_data(settings) as data:
        catalog = await data.catalog()
        titles = {ALL: "Every post"} | {one.name: one.title for one in catalog.queries}
        if asked.query not in titles:
            near = did_you_mean(asked.query, titles)
            typer.echo(f"no query is called {asked.query!r}{near}", err=True)
            raise typer.Exit(1)
        found = await read_report(
            data, (asked.query, titles[asked.query] or asked.query), asked.range_s,
            settings.windows.pane_s, ShareCorrector.of(settings),
        )  # fmt: skip
    if isinstance(found, PaneBounds):
        typer.echo(_no_windows(found, asked, settings.windows.pane_s), err=True)
        raise typer.Exit(1)
    return found


def _no_windows(bounds: PaneBounds, asked: ReportRequest, pane_s: int) -> str:
    there = "the store has none at all"
    if bounds.last_s >= 0:
        ends = asked.times.of(bounds.first_s), asked.times.of(bounds.last_s + pane_s)
        there = f"windows of all queries are kept from {ends[0]} to {ends[1]}"
    low, high = (asked.times.of(at) for at in asked.range_s)
    return f"no windows of {asked.query!r} from {low} to {high}: {there}"


def _write(file: Path, content: str) -> None:
    """Write a file as a whole; a reader sees the old one or the new one."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(content, encoding="utf-8")
        scratch.replace(file)
    except OSError as error:
        raise ConfigError(f"--out {file}: cannot be written: {error.strerror}") from error


def _write_json(file: Path, found: PeriodReport, asked: ReportRequest) -> None:
    summary, sentiment = found.period.total.summary, found.period.sentiment
    change = found.sentiment_change()
    write_report(
        file, "report",
        {
            "posts": summary.posts, "rated": summary.rated, "authors": summary.authors,
            "posts_before": found.before.total.summary.posts if found.before else None,
            "sentiment": sentiment.mean if sentiment else None,
            "sentiment_low": sentiment.low if sentiment else None,
            "sentiment_high": sentiment.high if sentiment else None,
            "sentiment_change": change.value if change else None,
            "sentiment_change_low": change.low if change else None,
            "sentiment_change_high": change.high if change else None,
        },
        settings={"query": found.query, "from_s": asked.range_s[0], "to_s": asked.range_s[1]},
        tables={
            "counters": [dict(found.period.total.counters)],
            "alerts": [one.past.fields() for one in found.alerts],
        },
        notes=left_out(found, asked.times),
    )  # fmt: skip


def _print_summary(found: PeriodReport, times: Times) -> None:
    period = found.period
    _say(headline(found))
    typer.echo()
    _say(f"{times.of(period.start_s)} to {times.of(period.end_s)}")
    trend = sparkline([one.summary.sentiment for one in period.windows])
    most = max((one.summary.posts for one in period.windows), default=0)
    volume = sparkline([one.summary.posts for one in period.windows], 0, max(1, most))
    for name, bars in (("posts", volume), ("sentiment", trend)):
        for at in range(0, len(bars), _COLUMNS - 11):
            typer.echo(f"{name if at == 0 else '':10} {bars[at : at + _COLUMNS - 11]}")
    for one in found.alerts:
        alert = one.past.alert
        said = row_of(alert, one.past.severity)["sentence"]
        _say(f"{alert.kind} {alert.direction}, {times.of(alert.started.timestamp())}: {said}", "! ")
    for sentence in left_out(found, times):
        _say(sentence, "- ")


def _say(text: str, mark: str = "") -> None:
    """Print a text in lines that a terminal of 80 columns does not break."""
    typer.echo(
        textwrap.fill(
            printable(text), _COLUMNS, initial_indent=mark, subsequent_indent=" " * len(mark)
        )
    )
