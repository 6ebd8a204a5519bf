"""What is published of a closed pane, and under which revision. Pure decisions, no I/O.

A pane's life: open -> closed and dirty -> published -> dirty again with each late post, edit or
deletion -> published with the next revision. A revision stands for one content: it is remembered
(unacknowledged) before it is sent, so whoever takes over after a crash sends the same content under
the same number, or a later content under the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from stream.windows.layout import cap_strata
from stream.windows.records import PaneSum, Published

_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Publication:
    """One window to publish."""

    query: str
    revision: int
    digest: str
    content: PaneSum


def closable_through(watermark_ms: int, pane_s: int) -> int:
    """Return the start (s) before which every pane may close: those that end by the watermark.

    Example:
        >>> closable_through(179_999, 60), closable_through(180_000, 60), closable_through(-1, 60)
        (120, 180, -1)
    """
    return -1 if watermark_ms < 0 else watermark_ms // 1000 // pane_s * pane_s


def digest(content: PaneSum) -> str:
    """Return a short hash of what a window says: counters, strata as published, authors.

    Trailing zeros do not count, so a counter that a later version appends changes no digest.

    Example:
        >>> digest(PaneSum([2, 1])) == digest(PaneSum([2, 1, 0]))
        True
    """
    counters = list(content.counters)
    while counters and counters[-1] == 0:
        counters.pop()
    said = [counters, sorted(cap_strata(content.strata).items()), content.authors]
    return blake2b(_encoder.encode(said), digest_size=8).hexdigest()


def publications(
    pane: Mapping[str, PaneSum], published: Mapping[str, Published]
) -> list[Publication]:
    """Return what must be published of a pane, ordered by query.

    Args:
        pane: query -> content now.
        published: query -> what is remembered of it.

    Returns:
        Revision 0 for a query that is new in the pane; the next revision for one whose content
        changed, also when it fell to zero posts; the same revision again for one that was decided
        but not acknowledged. Nothing for a query that was never published and has no posts.
    """
    due: list[Publication] = []
    for query in sorted(pane):
        content = pane[query]
        before = published.get(query)
        if before is None:
            if any(content.counters):
                due.append(Publication(query, 0, digest(content), content))
            continue
        now = digest(content)
        if now != before.digest:
            due.append(Publication(query, before.revision + 1, now, content))
        elif not before.acknowledged:
            due.append(Publication(query, before.revision, now, content))
    return due
