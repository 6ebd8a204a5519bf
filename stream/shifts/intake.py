"""From windows on the wire to panes as records; which stratum has which slot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Final

import numpy as np

from core.schemas import MICRO, Stratum, Window
from stream.shifts.baseline import MeanFit, MeanMemory
from stream.shifts.columns import Rows
from stream.shifts.gates import extra_evidence
from stream.shifts.kinds import KINDS
from stream.shifts.layout import OTHER, PANE, SILENT, Chart, PaneCounts, S
from stream.shifts.signals import JudgeContext

OTHER_NAME: Final = "other"
COPIES: Final = "near_duplicates"
"""Counter of posts that copy another post's text; a pane without it has no such count."""
_WORTHLESS: Final = 0.002
"""A stratum with less than this share of the learnt posts gives its slot to a new one."""


def model_number(version: str) -> int:
    """Return a number that stands for a model version; 0 for none.

    Example:
        >>> model_number(""), model_number("a") == model_number("a") != model_number("b")
        (0, True)
    """
    if not version:
        return 0
    return int.from_bytes(blake2b(version.encode(), digest_size=8).digest(), "big") >> 1 or 1


def context_pane(context: JudgeContext, firing: int, free_queries: int) -> Rows:
    """Return one empty pane, (1,), judged under `context`."""
    pane = np.zeros(1, dtype=PANE)
    counts = PaneCounts(pane)
    counts.flags = SILENT if context.silent else 0
    counts.model = model_number(context.model_version)
    counts.extra = extra_evidence(context.queries, firing, free_queries)
    counts.revision = -1
    return pane


def fill(pane: np.void, window: Window, slots: dict[str, int]) -> list[str]:
    """Fill a pane's counts from a window, in place.

    Args:
        pane: One record of `PANE`, its counts zero.
        window: What was published.
        slots: stratum -> slot; grows by the strata that find a free one.

    Returns:
        Strata that found none, most posts first; they are counted as `other`.
    """
    counters, counts = window.counters, PaneCounts(pane)
    counts.start = int(window.start.timestamp())
    counts.revision = window.revision
    posts = counters.get("posts", 0)
    counts.posts, counts.authors = posts, min(window.authors, posts)
    if COPIES in counters:
        counts.has_copies, counts.copies = 1, counters[COPIES]
    square = counters.get("sentiment_square", 0) / MICRO
    counts.square = square
    certain = counters.get("sentiment_positive", 0) + counters.get("sentiment_negative", 0)
    # E[label^2] - score^2, over the posts: what is unknown of each label beside its score.
    counts.label_variance = max(0.0, certain / MICRO - square)
    return _fill_strata(counts, window, slots)


def _fill_strata(counts: PaneCounts, window: Window, slots: dict[str, int]) -> list[str]:
    rated, sentiment = counts.rated, counts.sentiment
    homeless: list[str] = []
    rest = [window.counters.get("rated", 0), window.counters.get("sentiment_sum", 0)]
    for name, stratum in sorted(window.strata.items(), key=_by_posts):
        if stratum.rated <= 0:
            continue
        slot = slots.get(name, OTHER)
        if slot == OTHER and name != OTHER_NAME:
            if len(slots) < S - 1:
                slot = slots[name] = _free_slot(slots)
            else:
                homeless.append(name)
        rest[0] -= stratum.rated
        rest[1] -= stratum.sentiment_sum
        rated[slot] += stratum.rated
        sentiment[slot] += stratum.sentiment_sum / MICRO
    if rest[0] > 0:
        rated[OTHER] += rest[0]
        sentiment[OTHER] += rest[1] / MICRO
    return homeless


def _by_posts(item: tuple[str, Stratum]) -> tuple[int, str]:
    return -item[1].posts, item[0]


def _free_slot(slots: dict[str, int]) -> int:
    taken = set(slots.values())
    return next(slot for slot in range(S) if slot != OTHER and slot not in taken)


def worthless_slot(core: np.void) -> int:
    """Return the slot that has spoken least, or `OTHER` if every one is worth keeping."""
    memory = MeanMemory(core)
    learnt = MeanFit(memory.learnt).shares[0] + MeanFit(memory.held).shares[0]
    total = float(learnt.sum())
    learnt[OTHER] = np.inf
    least = int(learnt.argmin())
    return least if learnt[least] < _WORTHLESS * total else OTHER


def fold_slot(core: np.void, slot: int) -> None:
    """Count what a slot has learnt as `other`, so that another stratum can have it."""
    memory = MeanMemory(core)
    summed = [memory.weights[:, 1:]]
    for fit in (MeanFit(memory.learnt), MeanFit(memory.held)):
        summed += [fit.shares, fit.strata]
    summed += [Chart(core[kind.chart_name]).strata for kind in KINDS if kind.has_strata]
    for values in summed:
        values[..., OTHER] += values[..., slot]
        values[..., slot] = 0
    memory.tilt[slot] = 0


def by_pane(
    groups: Sequence[tuple[Sequence[Window], JudgeContext]],
) -> Iterator[tuple[int, list[Window], JudgeContext]]:
    """Yield (start, last revision of each query, context) in the order of panes."""
    ordered = sorted(
        ((window, context) for windows, context in groups for window in windows),
        key=lambda one: (one[0].start, one[0].query, one[0].revision),
    )
    for start, group in groupby(ordered, key=lambda one: one[0].start):
        found = list(group)
        latest = {window.query: window for window, _ in found}
        yield int(start.timestamp()), list(latest.values()), found[0][1]
