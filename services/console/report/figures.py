"""The figures of a report that are read first, beside those of the period before."""

from __future__ import annotations

from dataclasses import dataclass

from core.schemas import Interval
from services.console.report.reading import PeriodReport
from services.console.shapes import Sentiment


@dataclass(frozen=True, slots=True)
class FigureCell:
    """A figure for people.

    Attributes:
        value: The figure; "" if it is not known.
        interval: Its 95 % interval; "" if it has none.
    """

    value: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A row of the first table.

    Attributes:
        name: What it is.
        now: In the period.
        before: In the equally long period before.
        change: From then to now.
        meaning: How it is made, in a sentence.
    """

    name: str
    now: FigureCell
    before: FigureCell
    change: FigureCell
    meaning: str


def key_figures(report: PeriodReport) -> list[KeyFigure]:
    """Return the figures of a report that are read first."""
    now, then = report.period, report.before
    rows = [
        _counted(
            "posts", now.total.summary.posts, then and then.total.summary.posts,
            "Posts that match the query, each counted once.",
        ),
        _counted(
            "rated", now.total.summary.rated, then and then.total.summary.rated,
            "Posts that the model gave a sentiment; it abstains on languages it does not know and "
            "on too little text.",
        ),
        _counted(
            "authors, at most", now.total.summary.authors, then and then.total.summary.authors,
            "Authors of each window added up: who writes in two windows is counted in both.",
        ),
    ]  # fmt: skip
    rows.append(
        KeyFigure(
            "mean sentiment", _mean(now.sentiment), _mean(then.sentiment) if then else FigureCell(),
            _change(report.sentiment_change()),
            "Of each rated post the probability of positive less that of negative, from -1 to +1; "
            "the mean of all. In brackets the 95 % interval.",
        )
    )  # fmt: skip
    return rows


def _counted(name: str, now: int, then: int | None, meaning: str) -> KeyFigure:
    before = FigureCell("" if then is None else f"{then:,}")
    change = FigureCell(f"{(now - then) / then:+.1%}" if then else "")
    return KeyFigure(name, FigureCell(f"{now:,}"), before, change, meaning)


def _mean(of: Sentiment | None) -> FigureCell:
    if of is None:
        return FigureCell("none")
    if of.low is None or of.high is None:
        return FigureCell(f"{of.mean:+.3f}")
    return FigureCell(f"{of.mean:+.3f}", f"({of.low:+.3f} to {of.high:+.3f})")


def _change(of: Interval | None) -> FigureCell:
    if of is None:
        return FigureCell()
    return FigureCell(f"{of.value:+.3f}", f"({of.low:+.3f} to {of.high:+.3f})")
