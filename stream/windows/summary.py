"""From panes to windows on the wire, and from windows to the numbers that people read.

Sums stay integers until the last step; a mean is made only here, only for reading. Longer and
sliding windows are sums of panes, made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt
from typing import Final

from core.clock import from_epoch_ms
from core.heads import COUNTED, INDEPENDENT, PARTICIPATION, SPECS, HeadSpec
from core.schemas import MICRO, Stratum, Window
from stream.windows.layout import ROWS, add_into, cap_strata, named
from stream.windows.records import PaneSum

MIN_PARTICIPATION_POSTS: Final = SPECS["participation"].least_posts
"""Participation is a matter of groups: of smaller ones nothing is said, to nobody. Here, where
numbers for people are made, so that no reader of panes can forget it."""

Z_95: Final = 1.959964
"""Quantile of the normal distribution at 97.5 %: of every interval of 95 %."""
_SHOWN: Final = {"posts", "rated", "sentiment_sum", "sentiment_square", "near_duplicates"}


def to_window(
    query: str, start_s: int, pane_s: int, revision: int, content: PaneSum, closed_at: datetime
) -> Window:
    """Return the record of one query in one pane; its strata are capped here, on the whole sum."""
    return Window(
        query=query,
        start=from_epoch_ms(start_s * 1000),
        end=from_epoch_ms((start_s + pane_s) * 1000),
        revision=revision,
        counters=named(content.counters),
        authors=content.authors,
        closed_at=closed_at,
        strata={name: Stratum(*row) for name, row in sorted(cap_strata(content.strata).items())},
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What a window says, in numbers for people.

    Attributes:
        posts: all posts.
        rated: posts with a sentiment.
        authors: unique authors, estimated; an upper bound when panes were merged, because an author
            of two panes counts in both.
        sentiment: mean in [-1, 1]; None without rated posts.
        stderr: standard error of that mean; None below two rated posts.
        shares: head -> class -> expected share in [0, 1]; a head that scored nothing is absent, and
            so is one in a window with fewer posts than its `least_posts`.
        near_duplicates: posts that ingest marked as copies.
        others: counter -> its sum, of the counters that none of the numbers above shows.
    """

    posts: int
    rated: int
    authors: int
    sentiment: float | None
    stderr: float | None
    shares: dict[str, dict[str, float]]
    near_duplicates: int = 0
    others: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def mobilisation(self) -> dict[str, float]:
        """Expected share of posts at each level of participation *or beyond*: a falling curve.

        Empty for groups that are too small, and without the head.
        """
        return curve(self.shares.get("participation", {}))


def curve(shares: Mapping[str, float]) -> dict[str, float]:
    """Return level -> share at that level or beyond, from the share at each; `none` is left out.

    Example:
        >>> found = curve({"none": 0.5, "problem_solution": 0.25, "call_to_action": 0.125,
        ...                "intention": 0.125, "execution": 0.0})
        >>> list(found.values())
        [0.5, 0.25, 0.125, 0.0]
    """
    levels = PARTICIPATION[1:] if shares else ()
    return {
        level: sum(shares[beyond] for beyond in levels[place:])
        for place, level in enumerate(levels)
    }


def summarise(counters: Mapping[str, int], authors: int = 0) -> Summary:
    """Return the numbers of a window from its counters by name.

    Example:
        >>> made = summarise({"posts": 3, "rated": 2, "sentiment_sum": 1_000_000,
        ...                   "sentiment_square": 1_000_000})
        >>> made.sentiment, made.stderr
        (0.5, 0.5)
    """
    rated = counters.get("rated", 0)
    return Summary(
        posts=counters.get("posts", 0),
        rated=rated,
        authors=authors,
        sentiment=counters.get("sentiment_sum", 0) / MICRO / rated if rated > 0 else None,
        stderr=_standard_error(counters, rated),
        shares={
            head.name: row
            for head in COUNTED
            if is_shown(counters, head.name) and (row := _shares(counters, head))
        },
        near_duplicates=counters.get("near_duplicates", 0),
        others={
            row.name: counters.get(row.name, 0) / (MICRO if row.unit == "micro" else 1)
            for row in ROWS
            if row.name not in _SHOWN
        },
    )


def is_shown(counters: Mapping[str, int], head: str) -> bool:
    """Tell whether people may see a head of this window: the group must be large enough.

    Posts that the head did not score are no cover for those that it did.
    """
    least = SPECS[head].least_posts
    return not least or min(counters.get("posts", 0), counters.get(f"{head}_posts", 0)) >= least


def _standard_error(counters: Mapping[str, int], rated: int) -> float | None:
    """Sample standard deviation over the root of n, from exact integers up to the last division."""
    if rated < 2:
        return None
    total = counters.get("sentiment_sum", 0)
    square = counters.get("sentiment_square", 0)
    # n * sum(x^2) - sum(x)^2, both in micro-units squared: the subtraction is exact in integers,
    # where floats would lose all digits of a small variance. Squares are rounded when counted, so
    # the difference may be a little below zero for equal values.
    spread = max(0, rated * square * MICRO - total * total)
    return sqrt(spread / (rated - 1)) / rated / MICRO


def _shares(counters: Mapping[str, int], head: HeadSpec) -> dict[str, float]:
    sums = {label: counters.get(f"{head.name}_{label}", 0) for label in head.labels}
    whole = sum(sums.values())
    if head.name in INDEPENDENT:  # its classes need not add up to the posts
        whole = counters.get(f"{head.name}_posts", 0) * MICRO
    return {label: value / whole for label, value in sums.items()} if whole > 0 else {}


def merge(panes: Iterable[PaneSum]) -> PaneSum:
    """Return the sum of panes; the order does not matter, no panes give an empty sum."""
    total = PaneSum()
    for pane in panes:
        add_into(total.counters, pane.counters)
        for name, row in pane.strata.items():
            add_into(total.strata.setdefault(name, []), row)
        total.authors += pane.authors
    return total


def sliding(
    panes: Mapping[int, PaneSum], pane_s: int, length_s: int, hop_s: int | None = None
) -> list[tuple[int, PaneSum]]:
    """Return (start, sum) of windows of `length_s` that start every `hop_s`, in order.

    Args:
        panes: start (s) -> pane of one query.
        pane_s: length of a pane.
        length_s: length of a window; a multiple of `pane_s`.
        hop_s: step between starts, a multiple of `pane_s`; None means `length_s`, windows that
            follow each other. Starts are multiples of the step, so they never depend on which panes
            happen to exist.

    Raises:
        ValueError: a length or step that is no multiple of `pane_s`.
    """
    step_s = length_s if hop_s is None else hop_s
    for name, value in (("length_s", length_s), ("hop_s", step_s)):
        if value <= 0 or value % pane_s:
            raise ValueError(f"{name} = {value}: expected a multiple of the pane, {pane_s} s")
    starts = sorted({s for pane in panes for s in _starts_over(pane, pane_s, length_s, step_s)})
    return [(start, merge(_inside(panes, start, pane_s, length_s))) for start in starts]


def _starts_over(pane: int, pane_s: int, length_s: int, step_s: int) -> range:
    """Return the starts of the windows that hold the pane."""
    last = pane // step_s * step_s
    first = -(-(pane + pane_s - length_s) // step_s) * step_s
    return range(first, last + 1, step_s)


def _inside(
    panes: Mapping[int, PaneSum], start: int, pane_s: int, length_s: int
) -> Sequence[PaneSum]:
    found = (panes.get(at) for at in range(start, start + length_s, pane_s))
    return [pane for pane in found if pane is not None]
