"""A sample of the pending posts of a source, of which counts by early ages are kept to the end.

At most `SAMPLED` posts of a source and partition at a time, taken in at intervals that fill it once
a horizon, whatever the traffic is: a post so taken is like any other, and the record changes a few
hundred times a day.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from models.engagement.distributions import Doubles
from models.engagement.layout import TARGETS, from_log16, to_log16

SAMPLED: Final = 256
_LOOKS: Final = 4
_ROW: Final = np.dtype(
    [
        ("key", "u1", (12,)),
        ("at", "<u4"),  # s since 1970; 0 is a free place
        ("age", "<u4", (_LOOKS,)),  # s; 0 is none
        ("counts", "<u2", (_LOOKS, len(TARGETS))),  # logs
    ]
)
SAMPLE: Final = np.dtype([("admitted_at", "<u4"), ("rows", _ROW, (SAMPLED,))])
"""The sample: about 14 kB."""


class CountSample:
    """Counts of posts by early ages.

    Args:
        record: A record of `SAMPLE`, all zero at first; changed in place.
        horizon_s: The age of a post at which its count is final.
    """

    def __init__(self, record: Any, horizon_s: float) -> None:
        self._record, self._horizon_s = record, horizon_s
        rows = record["rows"]
        self._places = {
            rows[place]["key"].tobytes(): place for place in np.flatnonzero(rows["at"]).tolist()
        }

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def keep(self, key: bytes, at_s: float, age_s: float, counts: ArrayLike) -> None:
        """Keep the counts of a post by an age, if it is in the sample or there is room for it.

        Args:
            key: The twelve bytes of the post.
            at_s: Its time, in seconds since 1970.
            age_s: The age, in seconds; four of them are kept of a post.
            counts: (3,) its counts by then; NaN is unknown.
        """
        place = self._places.get(key)
        if place is None:
            place = self._admit(key, at_s)
        if place is None:
            return
        row = self._record["rows"][place]
        look = int(np.count_nonzero(row["age"]))
        if look < _LOOKS:
            row["age"][look] = max(1, round(age_s))
            row["counts"][look] = to_log16(np.log1p(np.asarray(counts, np.float64)))

    def take(self, key: bytes) -> list[tuple[float, Doubles]]:
        """Return the ages of a post, each with its counts, and forget it; none if not sampled."""
        place = self._places.pop(key, None)
        if place is None:
            return []
        row = self._record["rows"][place].copy()
        self._record["rows"][place] = np.zeros(1, _ROW)[0]
        counts = np.rint(np.expm1(from_log16(row["counts"]).astype(np.float64)))
        return [(float(age), seen) for age, seen in zip(row["age"], counts, strict=True) if age]

    def _admit(self, key: bytes, at_s: float) -> int | None:
        """Return the place that a new post has, None where there is none for it."""
        record = self._record
        if abs(at_s - float(record["admitted_at"])) < self._horizon_s / SAMPLED:
            return None
        taken = record["rows"]["at"]
        for late in np.flatnonzero((taken > 0) & (taken + 2 * self._horizon_s < at_s)).tolist():
            self.take(record["rows"][late]["key"].tobytes())  # its end was never heard of
        free = np.flatnonzero(record["rows"]["at"] == 0)
        if not free.size:
            return None
        place = int(free[0])
        row = record["rows"][place]
        row["key"] = np.frombuffer(key, np.uint8)
        row["at"] = record["admitted_at"] = max(1, int(at_s))
        self._places[key] = place
        return place
