"""What is remembered of a query: fixed-size records, so that 2,000 queries are judged as columns.

Shapes: `F` seasonal features, `P` packed upper triangle of F x F, `S` strata, `K` designs of a
chart. A state has two cores: `now`, and `base` that is `correction_panes` behind it, with the panes
in between; a correction is judged by running those panes again from `base`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""(Q,) records of one of the types below, one a query."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

F: Final = 13
P: Final = F * (F + 1) // 2
S: Final = 24
OTHER: Final = 0
"""Slot of the strata that have none of their own."""

ABSENT: Final = 1
"""Before the query was known, or too long unseen: the pane says nothing at all."""
SILENT: Final = 2
"""Ingest was unhealthy or a source missing: neither learnt from nor judged."""

PANE: Final = np.dtype(
    [
        ("start", "i8"),
        ("revision", "i4"),
        ("flags", "u1"),
        ("has_copies", "u1"),
        ("extra", "f8"),  # evidence asked for beyond the threshold, in nats
        ("model", "i8"),
        ("posts", "f8"),
        ("authors", "f8"),
        ("copies", "f8"),
        ("square", "f8"),
        ("label_variance", "f8"),
        ("rated", "f4", (S,)),
        ("sentiment", "f4", (S,)),
    ]
)
"""What a pane counts, per query; sums of sentiment in units of sentiment."""

DESIGNS: Final = (0.15, 0.3, 0.6, 1.2, 2.4, 4.8)
MIX_DESIGNS: Final = (0.3, 1.2, 4.8)
VOLUME_DESIGNS: Final = (0.3, 0.6, 1.2, 2.4, 4.8)
"""Shifts that a chart's CUSUMs are made for, in standard errors of a pane."""
REPEAT_DESIGNS: Final = (1.0, 3.0)
"""The same for shares of repeats, in smallest shares worth an alert."""

SUMS: Final = (
    "opinion", "mix", "rated", "base", "panes", "authors", "posts", "label_variance",
    "repeats", "repeats_variance", "copies", "copies_variance", "variance",
)  # fmt: skip
"""Summed since the onset of a CUSUM; figures of the mean are weighted by rated posts."""
SUM: Final[dict[str, int]] = {name: position for position, name in enumerate(SUMS)}

KIND_COUNT: Final = 4

_FIT = [
    ("gram", "f8", (P,)),  # sum of weight x feature x feature
    ("shares", "f8", (F, S)),  # sum of feature x rated posts of a stratum
    ("mean", "f8", (F,)),  # sum of feature x sentiment
    ("strata", "f8", (S,)),  # sum of sentiment of a stratum
]
_VOLUME_FIT = [("gram", "f8", (P,)), ("log", "f8", (F,))]


def _chart(designs: int, *, strata: bool) -> Any:
    fields: list[Any] = [
        ("score", "f8", (designs, 2)),
        ("onset", "i8", (designs, 2)),
        ("sums", "f8", (designs, 2, len(SUMS))),
    ]
    if strata:
        fields.append(("strata", "f4", (designs, 2, 3, S)))
    return np.dtype(fields)


CORE: Final = np.dtype(
    [
        ("known_since", "i8"),
        ("panes", "i8"),
        ("model", "i8"),
        ("model_since", "i8"),
        # sentiment: what was learnt, and what is held back while a shift is suspected
        ("learnt", np.dtype(_FIT)),
        ("held", np.dtype(_FIT)),
        ("held_since", "i8"),
        ("weights", "f8", (F, 1 + S)),  # of the mean and of each share, from the last fit
        ("inverse", "f8", (P,)),
        ("tilt", "f8", (S,)),  # how far a stratum is from the mean, share-weighted mean zero
        ("spread", "f8", (2,)),  # sum of squares within strata, posts
        ("dispersion", "f8", (3, 2)),  # sum of z^2, panes; of opinion, mix, repeats
        # volume
        ("volume_learnt", np.dtype(_VOLUME_FIT)),
        ("volume_held", np.dtype(_VOLUME_FIT)),
        ("volume_held_since", "i8"),
        ("volume_weights", "f8", (F,)),
        ("volume_inverse", "f8", (P,)),
        ("excess", "f8", (2,)),  # over-dispersion: sums of its estimate
        # repeated posts: few authors, copies
        ("repeats_gram", "f8", (2, 3)),
        ("repeats_share", "f8", (2, 2)),
        # charts
        ("opinion", _chart(len(DESIGNS), strata=True)),
        ("mix", _chart(len(MIX_DESIGNS), strata=True)),
        ("volume", _chart(len(VOLUME_DESIGNS), strata=False)),
        ("repeats", _chart(len(REPEAT_DESIGNS), strata=False)),  # sides: authors, copies
        # alerts, one slot a kind
        ("firing", "u1", (KIND_COUNT,)),
        ("side", "u1", (KIND_COUNT,)),  # 0 up, 1 down; for brigading 0 authors, 1 copies
        ("design", "u1", (KIND_COUNT,)),
        ("severity", "u1", (KIND_COUNT,)),
        ("ended_as", "u1", (KIND_COUNT,)),
        ("started", "i8", (KIND_COUNT,)),
        ("fired", "i8", (KIND_COUNT,)),
        ("quiet_until", "i8", (KIND_COUNT, 2)),
        ("effect", "f8", (KIND_COUNT,)),
        ("ending", "f8", (KIND_COUNT,)),
        ("evidence", "f8", (KIND_COUNT,)),
        ("threshold", "f8", (KIND_COUNT,)),
        ("figures", "f8", (KIND_COUNT, 12)),
    ]
)

FIGURES: Final = (
    "before", "before_error", "after", "after_error", "change", "change_error",
    "mix", "opinion", "posts", "copies", "reserved_1", "reserved_2",
)  # fmt: skip
FIGURE: Final[dict[str, int]] = {name: position for position, name in enumerate(FIGURES)}

ENDED_AS: Final = ("", "over", "accepted", "corrected", "reset")


def new_cores(count: int) -> Rows:
    """Return `count` cores that know nothing."""
    cores = np.zeros(count, dtype=CORE)
    for name in ("known_since", "held_since", "volume_held_since"):
        cores[name] = -1
    cores["spread"] = (0.36 * 20, 20)
    cores["dispersion"] = (300, 300)
    cores["excess"] = (0.02 * 30, 30)
    cores["repeats_gram"][:, :, 0] = 50
    cores["repeats_gram"][:, :, 2] = 500
    cores["repeats_share"][:, :, 0] = 50 * 0.02
    return cores


def new_panes(count: int) -> Rows:
    """Return `count` empty panes, absent until filled."""
    panes = np.zeros(count, dtype=PANE)
    panes["flags"] = ABSENT
    panes["revision"] = -1
    return panes
