"""A report in sentences: the same on the page and on the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.clock import from_epoch_ms
from core.text import printable
from services.console.report.reading import PeriodReport
from services.console.shapes import Sentiment
from stream.windows.summary import MIN_PARTICIPATION_POSTS


@dataclass(frozen=True, slots=True)
class Times:
    """How times are written: in UTC, and in a reader's zone after it.

    Attributes:
        zone: The zone; None writes UTC alone.
    """

    zone: ZoneInfo | None = None

    def of(self, at_s: float) -> str:
        """Return a time in seconds since 1970 for people.

        Example:
            >>> Times(ZoneInfo("Europe/Berlin")).of(1_772_366_400)
            '2026-03-01 12:00 UTC (13:00 CET)'
        """
        return f"{self.utc(at_s)} UTC{f' ({self.local(at_s)})' if self.zone else ''}"

    def utc(self, at_s: float) -> str:
        """Return the time in UTC, without saying so; seconds only where it has some."""
        at = from_epoch_ms(int(at_s * 1000))
        return at.strftime("%Y-%m-%d %H:%M" if at.second == 0 else "%Y-%m-%d %H:%M:%S")

    def local(self, at_s: float) -> str:
        """Return the time in the zone; with its date where that is another day than in UTC."""
        utc = from_epoch_ms(int(at_s * 1000))
        there = utc.astimezone(self.zone)
        day = "" if there.date() == utc.date() else "%Y-%m-%d "
        return there.strftime(f"{day}%H:%M %Z")


def said_mean(of: Sentiment | None) -> str:
    """Return a mean with its interval in words."""
    if of is None:
        return "no sentiment, for no post was rated"
    if of.low is None or of.high is None:
        return f"mean sentiment {of.mean:+.3f} (of one rated post: no interval)"
    return f"mean sentiment {of.mean:+.3f} (95 % interval {of.low:+.3f} to {of.high:+.3f})"


def headline(report: PeriodReport) -> str:
    """Return the one sentence that says most."""
    posts = report.period.total.summary.posts
    noun = "post" if posts == 1 else "posts"
    return (
        f"{printable(report.title)}: {posts:,} {noun}, {said_mean(report.period.sentiment)}; "
        f"{_said_change(report)}."
    )


def _said_change(report: PeriodReport) -> str:
    if report.before is None:
        return f"not compared with the period before, for {report.not_compared}"
    now, then = report.period.total.summary.posts, report.before.total.summary.posts
    volume = f"{then:,} posts before" if not then else f"volume {(now - then) / then:+.1%}"
    change = report.sentiment_change()
    if change is None:
        return f"against {_period_before(report)} {volume}, the sentiment cannot be compared"
    sure = "" if change.low > 0 or change.high < 0 else ", which may be none"
    return (
        f"against {_period_before(report)} {volume}, sentiment {change.value:+.3f} "
        f"({change.low:+.3f} to {change.high:+.3f}){sure}"
    )


def _period_before(report: PeriodReport) -> str:
    """Return how the period before is called; where little is in it, that a part may be missing."""
    before, now = report.before, report.period
    if before is None or 2 * before.total.panes >= now.total.panes:
        return "the equally long period before"
    panes = -(-(before.end_s - before.start_s) // report.pane_s)
    return (
        f"the equally long period before (posts in only {before.total.panes:,} of its {panes:,} "
        "windows: was all of it watched?)"
    )


def left_out(report: PeriodReport, times: Times) -> list[str]:
    """Return what the numbers are without, and what is not sure of them, a sentence each."""
    period, bounds = report.period, report.bounds
    said: list[str] = []
    if absent := report.absent():
        said.append(
            f"{_panes(absent)} of the period {_are(absent)} not kept: there are windows from "
            f"{times.of(_kept_from_s(report))} on."
        )
    if period.unreadable is None:
        said.append("Some windows cannot be read; it may be any of them.")
    elif period.unreadable:
        said.append(
            f"{_panes(period.unreadable)} cannot be read and {_are(period.unreadable)} left out."
        )
    if provisional := report.provisional():
        until = times.of(bounds.closed_s) if bounds.closed_s >= 0 else "now"
        said.append(
            f"{_panes(provisional)} {_are(provisional)} provisional: windows are closed until "
            f"{until}, and later ones may still take posts."
        )
    if not (absent or provisional) and period.unreadable == 0:
        said.append("All windows of the period are there and closed; a correction may still come.")
    return [*said, *_of_posts(report), *report.notes]


def _of_posts(report: PeriodReport) -> list[str]:
    summary = report.period.total.summary
    said: list[str] = []
    if summary.posts > 0:
        unrated = max(0, summary.posts - summary.rated)
        said.append(
            f"{unrated:,} of {summary.posts:,} posts ({unrated / summary.posts:.1%}) have no "
            "rating: they count as posts, and not in the sentiment."
        )
    if summary.near_duplicates > 0:
        said.append(f"{summary.near_duplicates:,} posts are near copies of others, and count.")
    said.append(
        f"Authors ({summary.authors:,}) are at most so many: who writes in two windows is counted "
        "in both."
    )
    if "participation" not in summary.shares:
        said.append(
            f"Participation is not shown: it is for groups of {MIN_PARTICIPATION_POSTS} posts that "
            "were judged, or more."
        )
    if uncorrected := [head for head in summary.shares if head not in report.corrected]:
        said.append(
            f"Shares of {', '.join(uncorrected)} are as the model says, without an interval: none "
            "is stored (see windows.corrected_shares)."
        )
    if not report.period.topics:
        said.append("Topics are not shown: the windows have none.")
    return said


def _kept_from_s(report: PeriodReport) -> int:
    forgotten_s = report.bounds.forgotten_s
    if forgotten_s < 0:
        return report.bounds.first_s
    return max(report.bounds.first_s, forgotten_s + report.pane_s)


def _panes(count: int) -> str:
    return f"{count:,} window" if count == 1 else f"{count:,} windows"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def said_label(label: str) -> str:
    """Return a class for people; the wire's name has underscores.

    Example:
        >>> said_label("news_&_social_concern"), said_label("none")
        ('news & social concern', 'none')
    """
    return printable(label.replace("_", " "))
