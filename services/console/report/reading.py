"""What a report says, in numbers: a period of one query beside the equally long one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Final

from core.errors import GroundswellError
from core.schemas import Interval
from services.alerting.showing import DELETED, ExampleText, PastAlert
from services.console.api_alerts import chosen_of, range_of
from services.console.api_windows import sentiment_of
from services.console.data import ConsoleData, PanesFound
from services.console.series import SeriesWindow, shown_counters, windows_of
from services.console.shapes import Sentiment
from services.corrected_shares import CorrectedShares, ShareCorrector
from services.windows_view import PaneBounds
from stream.windows.layout import cap_strata, named
from stream.windows.summary import Z_95, merge, summarise

PANES_AT_ONCE: Final = 64
"""In one look at the store, which has a deadline."""
MOST_WINDOWS: Final = 96
"""Rows of the table, at most, unless the longest step makes more."""
MOST_ALERTS: Final = 20
"""Alerts whose posts are looked up, the newest first: each look reads a part of `posts`."""
_STEPS_S: Final = (60, 300, 900, 3_600, 10_800, 21_600, 86_400)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time of one query.

    Attributes:
        start_s, end_s: The panes that start in it, half-open, seconds since 1970.
        total: Their sum, as one window.
        windows: The same panes in windows of `step_s`, the oldest first.
        step_s: The length of a window, seconds.
        topics: Topic -> posts, from the strata; empty if none are kept.
        scored_by: The versions of models that are known to have scored it.
        alone: The version that alone has scored all of it; "" if that is not known.
        unreadable: How many panes cannot be read; None if it may be any.
    """

    start_s: int
    end_s: int
    total: SeriesWindow
    windows: tuple[SeriesWindow, ...]
    step_s: int
    topics: Mapping[str, int]
    scored_by: frozenset[str]
    alone: str
    unreadable: int | None

    @property
    def sentiment(self) -> Sentiment | None:
        """The mean of all rated posts with its interval."""
        return sentiment_of(self.total)


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """A shift in the period.

    Attributes:
        past: The alert.
        posts: The posts that show it and are not deleted; None if they were not looked up.
    """

    past: PastAlert
    posts: tuple[ExampleText, ...] | None


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """All that a report says.

    Attributes:
        query, title: What is watched.
        period: What was asked for.
        before: The equally long period before; None if it cannot be compared.
        not_compared: Why not; "" if it is.
        bounds: Which panes there are.
        pane_s: The length of a pane, seconds.
        corrected: Corrected shares with their intervals, by head.
        alerts: The shifts in the period, the newest first.
        notes: What could not be read, a sentence each.
    """

    query: str
    title: str
    period: Period
    before: Period | None
    not_compared: str
    bounds: PaneBounds
    pane_s: int
    corrected: CorrectedShares
    alerts: tuple[ShownAlert, ...]
    notes: tuple[str, ...]

    def sentiment_change(self) -> Interval | None:
        """Return the change of the mean with its interval; None if a side has no interval."""
        now, then = self.period.sentiment, self.before.sentiment if self.before else None
        if now is None or then is None or now.stderr is None or then.stderr is None:
            return None
        change, half = now.mean - then.mean, Z_95 * hypot(now.stderr, then.stderr)
        return Interval(change, change - half, change + half)

    def provisional(self) -> int:
        """Return how many panes of the period may still take posts or have not begun."""
        open_from_s = max(self.period.start_s, self.bounds.closed_s)
        return max(0, -(-(self.period.end_s - open_from_s) // self.pane_s))

    def absent(self) -> int:
        """Return how many panes of the period begin before the first that is kept."""
        kept_from_s = self.bounds.first_s
        if self.bounds.forgotten_s >= 0:
            kept_from_s = max(kept_from_s, self.bounds.forgotten_s + 1)
        until_s = min(kept_from_s, self.period.end_s)
        return max(0, -(-(until_s - self.period.start_s) // self.pane_s))


def share_interval(part: int, whole: int) -> Interval:
    """Return a share of counted posts with its 95 % interval (Wilson).

    Example:
        >>> round(share_interval(5, 10).low, 3)
        0.237
    """
    share, square = part / whole, Z_95 * Z_95 / whole
    centre = (share + square / 2) / (1 + square)
    half = Z_95 * sqrt(share * (1 - share) / whole + square / whole / 4) / (1 + square)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


async def read_panes(
    data: ConsoleData, query: str, range_s: tuple[int, int], bounds: PaneBounds, pane_s: int
) -> PanesFound:
    """Return the panes of a query that start in a range.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    all_found = PanesFound()
    start_s, end_s = max(range_s[0], bounds.first_s), min(range_s[1], bounds.last_s + 1)
    for at in range(start_s, end_s, PANES_AT_ONCE * pane_s):
        found = await data.panes(query, at, min(end_s, at + PANES_AT_ONCE * pane_s))
        all_found.panes |= found.panes
        all_found.missing |= found.missing
    return all_found


def period_of(
    found: PanesFound, range_s: tuple[int, int], bounds: PaneBounds, pane_s: int
) -> Period:
    """Return what the panes of a range come to."""
    start_s, end_s = range_s
    panes = found.panes.values()
    content = merge(pane.content for pane in panes)
    counters = named(content.counters)
    total = SeriesWindow(
        start_s, end_s, shown_counters(counters), summarise(counters, content.authors), len(panes),
        closed=end_s <= bounds.closed_s, revision=None,
        whole=bounds.first_s <= start_s > bounds.forgotten_s and not found.missing,
    )  # fmt: skip
    topics: dict[str, int] = {}
    for pane in panes:
        for name, row in cap_strata(pane.content.strata).items():
            topic = name.rpartition("|")[2]
            topics[topic] = topics.get(topic, 0) + row[0]
    versions = {pane.scored_by for pane in panes}
    step_s = step_of(end_s - start_s, pane_s)
    return Period(
        start_s, end_s, total,
        tuple(windows_of(found, bounds, bounds.forgotten_s, step_s, pane_s)), step_s,
        {name: posts for name, posts in topics.items() if posts > 0},
        frozenset(versions - {""}), versions.pop() if len(versions) == 1 else "",
        None if None in found.missing else len(found.missing),
    )  # fmt: skip


def step_of(span_s: int, pane_s: int) -> int:
    """Return the length of windows that makes a table of a span that people can read.

    Example:
        >>> step_of(3_600, 60), step_of(86_400, 60)
        (60, 900)
    """
    steps = (pane_s, *(step for step in _STEPS_S if step > pane_s and step % pane_s == 0))
    return next((step for step in steps if span_s // step <= MOST_WINDOWS), steps[-1])


async def read_report(
    data: ConsoleData, named_query: tuple[str, str], range_s: tuple[int, int], pane_s: int,
    corrector: ShareCorrector,
) -> PeriodReport | PaneBounds:  # fmt: skip
    """Return the report of a query over a range; which panes there are if it has none in it.

    Args:
        data: Where panes and alerts are.
        named_query: The name of the query, and its title for people.
        range_s: Panes that start in it, half-open, seconds since 1970.
        pane_s: The length of a pane.
        corrector: Corrects shares, where the settings ask for it.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    query, (start_s, end_s) = named_query[0], range_s
    bounds = await data.bounds()
    before_s = (2 * start_s - end_s, start_s)
    found = await read_panes(data, query, range_s, bounds, pane_s)
    earlier = await read_panes(data, query, before_s, bounds, pane_s)
    # Again, after the panes were read: one that was forgotten meanwhile is known to be.
    bounds = await data.bounds()
    if not found.panes:
        return bounds
    period = period_of(found, range_s, bounds, pane_s)
    before = period_of(earlier, before_s, bounds, pane_s)
    why = _not_compared(period, before)
    alerts, notes = await _alerts(data, query, range_s)
    corrected = corrector.shares(period.total.counters, period.alone)
    return PeriodReport(
        *named_query, period, None if why else before, why, bounds, pane_s, corrected, alerts,
        tuple(notes),
    )  # fmt: skip


def _not_compared(period: Period, before: Period) -> str:
    if not period.total.closed:
        return "the windows of the period are not all closed yet"
    if not period.total.whole:
        return "the windows of the period are not all there"
    if not before.total.whole:
        return "the windows of the period before are not all there"
    if len(period.scored_by | before.scored_by) > 1:
        return "another model has scored the period before, or a part of it"
    return ""


async def _alerts(
    data: ConsoleData, query: str, range_s: tuple[int, int]
) -> tuple[tuple[ShownAlert, ...], list[str]]:
    """Return the shifts in a range with the posts that show them, and what could not be read."""
    try:
        kept = await data.alerts()
    except GroundswellError as error:
        return (), [f"Alerts are not shown: {error}."]
    notes, shown = [f"{note[:1].upper()}{note[1:]}." for note in kept.notes], list[ShownAlert]()
    inside = [one for one in chosen_of(kept.alerts, query, "", firing=False)
              if _is_inside(one, range_s)]  # fmt: skip
    for one in inside:
        posts: Sequence[ExampleText] | None = None
        if len(shown) < MOST_ALERTS:
            try:
                posts = await data.examples(one)
            except GroundswellError as error:
                notes.append(f"The posts behind an alert could not be looked up: {error}.")
        kept_posts = None if posts is None else tuple(p for p in posts if p.state != DELETED)
        shown.append(ShownAlert(one, kept_posts))
    if len(inside) > MOST_ALERTS:
        notes.append(f"Posts are given for the newest {MOST_ALERTS} of {len(inside)} alerts.")
    return tuple(shown), notes


def _is_inside(one: PastAlert, range_s: tuple[int, int]) -> bool:
    """Tell whether a shift began before the end of a range and was not over before it began."""
    began_s, until_s = range_of(one.alert)
    goes_on = one.alert.state == "firing"
    return began_s < range_s[1] and (goes_on or until_s > range_s[0])
