"""A report as one HTML file: its style and pictures are inside, and nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from core.schemas import Interval
from services.alerting.alertmanager import evidence_parts
from services.console.api_alerts import range_of
from services.console.api_windows import sentiment_of
from services.console.colours import class_colours
from services.console.drawing import chart_of
from services.console.pages.alerts import row_of
from services.console.pages.rendering import CONSOLE, render
from services.console.report.axes import axes_of
from services.console.report.figures import key_figures
from services.console.report.reading import PeriodReport, ShownAlert, share_interval
from services.console.report.wording import Times, headline, left_out, said_label
from services.console.series import SeriesWindow
from services.durations import said_length

_MOST_TOPICS: Final = 20


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A class and its share.

    Attributes:
        label: For people.
        colour: The class of style that has the colour of this meaning; "" for the common one.
        share: In [0, 1].
        interval: The share with its 95 % interval, corrected where it is; None if none is known.
        posts: How many posts; None if the share is a mean of probabilities.
    """

    label: str
    colour: str
    share: float
    interval: Interval | None
    posts: int | None = None


@dataclass(frozen=True, slots=True)
class ShareTable:
    """The shares of one head.

    Attributes:
        name: The head.
        caption: What the shares are of.
        rows: Its classes.
    """

    name: str
    caption: str
    rows: tuple[ShareRow, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether any of its shares has an interval."""
        return any(row.interval for row in self.rows)


def html_of(report: PeriodReport, made_at: datetime, times: Times, *, texts: bool = False) -> str:
    """Return the report as HTML.

    Args:
        report: What it says.
        made_at: When it was made.
        times: How times are written.
        texts: Also what posts say, of those that still say it.
    """
    period = report.period
    shifts = [_range(report, one) for one in report.alerts]
    chart = chart_of(period.windows, shifts)
    return render(
        "report.html", report=report, headline=headline(report), made_s=made_at.timestamp(),
        times=times, style=Markup(_style()),  # noqa: S704  (our own files and table)
        chart=chart, axes=axes_of(chart, period.windows, times) if chart else None,
        windows=[_row(one, period.step_s, shifts) for one in period.windows],
        step=said_length(period.step_s), pane=said_length(report.pane_s), tables=_tables(report),
        alerts=[_alert(one, texts=texts) for one in report.alerts], figures=key_figures(report),
        left_out=left_out(report, times), sentiment=period.sentiment,
    )  # fmt: skip


def _style() -> str:
    files = (CONSOLE / "assets" / "style.css", CONSOLE / "templates" / "report.css")
    return "\n".join([*(file.read_text(encoding="utf-8") for file in files), class_colours()])


def _range(report: PeriodReport, one: ShownAlert) -> tuple[int, int]:
    """Return when a shift was; one that goes on lasts to the end of the period."""
    began_s, until_s = range_of(one.past.alert)
    return began_s, report.period.end_s if one.past.alert.state == "firing" else until_s


def _row(one: SeriesWindow, step_s: int, shifts: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {
        "start_s": one.start_s, "posts": one.summary.posts, "rated": one.summary.rated,
        "sentiment": sentiment_of(one), "closed": one.closed, "whole": one.whole,
        "shifted": any(a < one.start_s + step_s and one.start_s < b for a, b in shifts),
    }  # fmt: skip


def _alert(one: ShownAlert, *, texts: bool) -> dict[str, Any]:
    alert = one.past.alert
    return row_of(alert, one.past.severity) | {
        "figures": evidence_parts(alert),
        "posts": None if one.posts is None else [
            {"why": post.why, "source": post.source, "id": post.post_id, "url": post.url,
             "text": post.text if texts else ""}
            for post in one.posts
        ],
    }  # fmt: skip


def _tables(report: PeriodReport) -> list[ShareTable]:
    """Return the shares of every head that is shown, then of topics."""
    made: list[ShareTable] = []
    for head, shares in report.period.total.summary.shares.items():
        known = report.corrected.get(head, {})
        rows = tuple(
            ShareRow(said_label(label), f"{head}-{label}", share, known.get(label))
            for label, share in shares.items()
        )
        caption = "mean of what the model gives each post"
        if known:
            caption += "; corrected for what it confuses, with the 95 % interval"
        made.append(ShareTable(head, caption, rows))
    topics = report.period.topics
    whole = sum(topics.values())
    if whole:
        ranked = sorted(topics.items(), key=lambda row: (-row[1], row[0]))[:_MOST_TOPICS]
        made.append(
            ShareTable(
                "topics", "posts by their foremost topic; 95 % interval of the number of posts",
                tuple(
                    ShareRow(said_label(name), "", posts / whole, share_interval(posts, whole),
                             posts)
                    for name, posts in ranked
                ),
            )
        )  # fmt: skip
    return made
