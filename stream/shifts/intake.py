"""From windows on the wire to panes as records; which stratum has which slot."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

from core.schemas import MICRO, Stratum, Window
from stream.shifts.gates import extra_evidence
from stream.shifts.layout import OTHER, PANE, SILENT, Rows, S
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
    pane["flags"] = SILENT if context.silent else 0
    pane["model"] = model_number(context.model_version)
    pane["extra"] = extra_evidence(context.queries, firing, free_queries)
    pane["revision"] = -1
    return pane


def fill(pane: np.void, window: Window, slots: dict[str, int]) -> list[str]:
    """Fill a pane's counts from a window, in place.

    Args:
        pane: one record of `PANE`, its counts zero.
        window: what was published.
        slots: stratum -> slot; grows by the strata that find a free one.

    Returns:
        Strata that found none, most posts first; they are counted as `other`.
    """
    counters = window.counters
    pane["start"] = int(window.start.timestamp())
    pane["revision"] = window.revision
    posts = counters.get("posts", 0)
    pane["posts"], pane["authors"] = posts, min(window.authors, posts)
    if COPIES in counters:
        pane["has_copies"], pane["copies"] = 1, counters[COPIES]
    square = counters.get("sentiment_square", 0) / MICRO
    pane["square"] = square
    certain = counters.get("sentiment_positive", 0) + counters.get("sentiment_negative", 0)
    # E[label^2] - score^2, over the posts: what is unknown of each label beside its score.
    pane["label_variance"] = max(0.0, certain / MICRO - square)
    rated, sentiment = pane["rated"], pane["sentiment"]
    homeless: list[str] = []
    rest = [counters.get("rated", 0), counters.get("sentiment_sum", 0)]
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
    learnt = core["learnt"]["shares"][0] + core["held"]["shares"][0]
    total = float(learnt.sum())
    learnt = learnt.copy()
    learnt[OTHER] = np.inf
    least = int(learnt.argmin())
    return least if learnt[least] < _WORTHLESS * total else OTHER


def fold_slot(core: np.void, slot: int) -> None:
    """Count what a slot has learnt as `other`, so that another stratum can have it."""
    for name in ("learnt", "held"):
        fit = core[name]
        fit["shares"][:, OTHER] += fit["shares"][:, slot]
        fit["shares"][:, slot] = 0
        fit["strata"][OTHER] += fit["strata"][slot]
        fit["strata"][slot] = 0
    core["weights"][:, 1 + OTHER] += core["weights"][:, 1 + slot]
    core["weights"][:, 1 + slot] = 0
    core["tilt"][slot] = 0
    for name in ("opinion", "mix"):
        strata = core[name]["strata"]
        strata[..., OTHER] += strata[..., slot]
        strata[..., slot] = 0
