"""What a score above its threshold must also be before it is an alert. Pure, on whole charts.

Each gate answers (Q, K, 2), True where the component may raise an alert, from what was summed since
its onset. Order is only for counting: a refusal is counted under the first gate that refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.settings import ShiftSettings
from stream.shifts.columns import Flags, Floats
from stream.shifts.layout import SUM

Gate = Callable[[Floats, Floats, ShiftSettings], Flags]
"""(effect, sums, settings) -> allowed."""

_SURE: Final = 2.0
_LEAST_SHARE: Final = 0.03


def of(sums: Floats, name: str) -> Floats:
    """Return one of the sums, (Q, K, 2)."""
    return sums[..., SUM[name]]


def enough_posts(_effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse a handful of posts."""
    return of(sums, "rated") >= settings.min_posts


def enough_volume(_effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse a handful of posts where a handful was expected too."""
    return np.maximum(of(sums, "posts"), of(sums, "base")) >= settings.min_posts


def enough_authors(_effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse what very few authors say; without a count of authors it cannot refuse."""
    authors = of(sums, "authors")
    return (authors >= settings.min_authors) | (authors <= 0)


def lasting(_effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse what is seen in one pane only, unless it is overwhelming there."""
    moved = np.abs(of(sums, "opinion") + of(sums, "mix"))
    errors = moved / np.sqrt(np.maximum(of(sums, "variance"), 1e-12))
    return (of(sums, "panes") >= 2) | (errors >= settings.single_pane_errors)


def not_repeated(effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse what few authors or copies of one text explain, each taken at its worst.

    A share `e` of posts beyond the usual repeats can move the mean by no more than `e` times the
    distance from the usual mean to the end of the scale. If what is left is neither an effect nor
    the better half of the change, the change is not the crowd's.
    """
    posts = np.maximum(of(sums, "posts"), 1.0)
    usual = of(sums, "base") / np.maximum(of(sums, "rated"), 1.0)
    reach = np.where(effect > 0, 1 - usual, 1 + usual)
    explained = np.zeros_like(effect)
    # Who repeats himself has a first post in every pane, which is no repeat.
    first = of(sums, "panes") / posts
    for name, uncounted in (("repeats", first), ("copies", 0.0)):
        share = of(sums, name) / posts
        error = np.sqrt(of(sums, f"{name}_variance")) / posts
        sure = (share > _SURE * error) & (share >= _LEAST_SHARE)
        explained = np.maximum(explained, np.where(sure, share + uncounted + error, 0.0) * reach)
    left = np.abs(effect) - explained
    least = np.maximum(settings.min_opinion_effect, 0.5 * np.abs(effect))
    return (left >= least) | (explained <= 0)


def extra_evidence(queries: int, firing: int, free_queries: int) -> float:
    """Return the evidence asked for beyond the threshold, in nats, by the number of queries.

    The e-BH rule (Wang & Ramdas 2022) taken along in time: an e-value, here the exponential of a
    score, must pass `queries / discoveries`, whatever the dependence between queries. Discoveries
    are the alerts that fire already, and this one.

    Example:
        >>> extra_evidence(50, 0, 100), round(extra_evidence(2000, 0, 100), 3)
        (0.0, 2.996)
        >>> extra_evidence(2000, 19, 100)
        0.0
    """
    return float(np.log(max(1.0, queries / (free_queries * (1 + firing)))))


def refusals(gates: Mapping[str, Gate], passes: Mapping[str, Flags], over: Flags) -> dict[str, int]:
    """Count rows that some component would alert for, by the gate that refuses first."""
    waiting: NDArray[np.bool_] = over
    counts: dict[str, int] = {}
    for name in gates:
        refused = waiting & ~passes[name]
        left = waiting & passes[name]
        rows = refused.any(axis=(1, 2)) & ~left.any(axis=(1, 2))
        if rows.any():
            counts[name] = int(rows.sum())
        waiting = left
    return counts
