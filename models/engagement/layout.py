"""The records that are kept of authors and of posts that wait for their outcome, byte by byte.

Counts are kept as logs: `log1p(count)` in steps of 1/3000, which is finer than one in a thousand
and reaches three thousand million. Both records are little-endian and have no padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

TARGETS: Final = ("likes", "replies", "reposts")
LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The quantiles that a model answers."""
OUTCOMES: Final = 32
"""So many last known outcomes of an author are kept."""
FLOORS: Final = ("med16", "med32", "month", "ewma", "kind")
"""Predictions from the author's outcomes alone: medians of the last 16 and 32, of the last 30 days
and of those that are replies, or not, as the post; and an exponentially weighted mean."""
LAYOUT: Final = 1
"""The version of both records; a record of another is refused by whoever reads it."""

UNKNOWN: Final = 65_535
"""No such count is known."""
STEPS: Final = 3_000.0
"""In one unit of a log; see the head of this file."""
NO_TOPIC: Final = 31
REPLY, MEDIA, LINK = 32, 64, 128
"""Bits of a kind; the five below them are the topic's number, or `NO_TOPIC`."""

HISTORY: Final = np.dtype(
    [
        ("layout", "u1"),
        ("known", "u1"),  # how many outcomes, at most OUTCOMES
        ("posts", "<u2"),  # posts ever seen, at most 65535
        ("last_at", "<u4"),  # time of the last post seen, s since 1970
        ("rate", "<u2"),  # posts a day, exponentially decayed over a day, in sixteenths
        ("ewma", "<u2", (3,)),  # logs
        ("counts", "<u2", (OUTCOMES, 3)),  # logs; oldest first, the last at the end
        ("hours", "<u2", (OUTCOMES,)),  # time of the post, hours since 1970 modulo 65536
        ("kinds", "u1", (OUTCOMES,)),
    ]
)
"""An author: 304 bytes."""

PENDING: Final = np.dtype(
    [
        ("layout", "u1"),
        ("stage", "u1"),  # how many of the ages it has passed; REACHES
        ("flags", "u1"),  # see TOTALS, APPROXIMATE, SURPRISING
        ("kind", "u1"),
        ("source", "u1"),  # number of the source in the state of the partition
        ("epoch", "u1"),  # of its widths, see `conformal`; RARITIES
        ("at", "<u4"),  # s since 1970
        ("experts", "<u2", (6,)),  # logs of the judged target: FLOORS and the model
        ("spans", "<u2", (3, 3)),  # logs: from .1 to the median as modelled, served median, to .9
        ("seen", "<u4", (3,)),  # counts so far; NOT_SEEN
    ]
)
"""A post that waits for its outcome: 52 bytes, after which two for each query that it is of."""
NOT_SEEN: Final = 2**32 - 1
TOTALS, APPROXIMATE, SURPRISING, KNOWN, JUDGED = 1, 2, 4, 8, 16
"""Flags: totals were seen (single events no longer count), counts were added up from single events,
it is said to be taking off, and its author had a known outcome of the judged target (so that it
counts for skill). The number of the judged target is in the two bits from `JUDGED` on."""
RARITIES: Final = 16
"""How rare a post was at its rarest look, see `models.engagement.rarity`: the low two bits are the
last of the flags, the high ones the last of the epoch."""
STAGES, REACHES = 16, 16
"""How many of the ages a post has passed is below the first, and how far all its counts together
went beyond their forecast below the second, see `models.engagement.together`: the high four bits
of the stage, which were 0 before anybody asked for it."""


def author_key(source: str, author: str) -> bytes:
    """Return the eight bytes that stand for an author."""
    return hashlib.blake2b(f"{source}\0{author}".encode(), digest_size=8).digest()


def post_key(author: bytes, post_id: str) -> bytes:
    """Return the twelve bytes that stand for a post: its author's and four of its own."""
    return author + hashlib.blake2b(post_id.encode(), digest_size=4).digest()


def to_log16(logs: ArrayLike) -> NDArray[np.uint16]:
    """Return logs (log1p of counts) as they are kept; NaN is unknown."""
    values = np.asarray(logs, np.float64)
    steps = np.rint(np.clip(np.nan_to_num(values), 0, (UNKNOWN - 1) / STEPS) * STEPS)
    return np.where(np.isnan(values), UNKNOWN, steps).astype(np.uint16)


def log16(log: float) -> int:
    """Return one log as it is kept, as `to_log16` does and thirty times as fast."""
    return min(round(max(log, 0.0) * STEPS), UNKNOWN - 1)


def from_log16(kept: ArrayLike) -> NDArray[np.float32]:
    """Return kept logs as numbers; unknown is NaN."""
    values = np.asarray(kept)
    logs = values.astype(np.float32) / np.float32(STEPS)
    return np.where(values == UNKNOWN, np.float32(np.nan), logs)


def log_counts(counts: Sequence[int | None]) -> NDArray[np.float64]:
    """Return log1p of counts, NaN where there is none."""
    return np.log1p([np.nan if count is None else count for count in counts])


def records(blobs: Sequence[bytes], of: np.dtype[Any]) -> NDArray[Any]:
    """Return stored records as one array that can be written to.

    Raises:
        ValueError: One has another size.
    """
    if any(len(blob) != of.itemsize for blob in blobs):
        raise ValueError(f"a record has another size than {of.itemsize} bytes")
    return np.frombuffer(bytearray(b"".join(blobs)), of)
