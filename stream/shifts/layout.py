"""What is remembered of a query: fixed-size records, so that 2,000 queries are judged as columns.

Shapes: `F` seasonal features, `P` packed upper triangle of F x F, `S` strata, `K` designs of a
chart. What a kind of shift remembers is declared in its own file; `stream.shifts.cores` puts the
record together.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.shifts.columns import Bytes, Field, Floats, Ints, RecordColumn, Records, Rows
from stream.shifts.signals import EndedAs

F: Final = 13
P: Final = F * (F + 1) // 2
S: Final = 24
OTHER: Final = 0
"""Slot of the strata that have none of their own."""

ABSENT: Final = 1
"""Before the query was known, or too long unseen: the pane says nothing at all."""
SILENT: Final = 2
"""Ingest was unhealthy or a source missing: neither learnt from nor judged."""


class PaneCounts(Records):
    """What a pane counts, per query; sums of sentiment in units of sentiment."""

    start = RecordColumn[Ints]("i8")
    revision = RecordColumn[NDArray[np.int32]]("i4")
    flags = RecordColumn[Bytes]("u1")
    has_copies = RecordColumn[Bytes]("u1")
    extra = RecordColumn[Floats]("f8")
    """Evidence asked for beyond the threshold, in nats."""
    model = RecordColumn[Ints]("i8")
    posts = RecordColumn[Floats]("f8")
    authors = RecordColumn[Floats]("f8")
    copies = RecordColumn[Floats]("f8")
    square = RecordColumn[Floats]("f8")
    label_variance = RecordColumn[Floats]("f8")
    rated = RecordColumn[NDArray[np.float32]]("f4", (S,))
    sentiment = RecordColumn[NDArray[np.float32]]("f4", (S,))


PANE: Final = PaneCounts.dtype()

SUMS: Final = (
    "opinion", "mix", "rated", "base", "panes", "authors", "posts", "label_variance",
    "repeats", "repeats_variance", "copies", "copies_variance", "variance",
)  # fmt: skip
"""Summed since the onset of a CUSUM; figures of the mean are weighted by rated posts."""
SUM: Final[dict[str, int]] = {name: position for position, name in enumerate(SUMS)}

FIGURES: Final = (
    "before", "before_error", "after", "after_error", "change", "change_error",
    "mix", "opinion", "posts", "copies", "reserved_1", "reserved_2",
)  # fmt: skip
FIGURE: Final[dict[str, int]] = {name: position for position, name in enumerate(FIGURES)}


def figures_of(count: int, **values: Floats | Ints) -> Floats:
    """Return (count, len(FIGURES)) figures by their names, zero where there is none."""
    figures = np.zeros((count, len(FIGURE)))
    for name, value in values.items():
        figures[:, FIGURE[name]] = value
    return figures


ENDED_AS: Final[tuple[EndedAs, ...]] = ("", "over", "accepted", "corrected", "reset")


class Chart(Records):
    """A bank of CUSUMs, K designs and two sides of each; `chart_fields` has their number."""

    score = RecordColumn[Floats]("f8")
    onset = RecordColumn[Ints]("i8")
    sums = RecordColumn[Floats]("f8")
    strata = RecordColumn[NDArray[np.float32]]("f4")


def chart_type(designs: int, *, strata: bool) -> np.dtype[np.void]:
    """Return the type of a chart of so many designs, with sums of every stratum if asked for."""
    fields: list[Field] = [
        ("score", "f8", (designs, 2)),
        ("onset", "i8", (designs, 2)),
        ("sums", "f8", (designs, 2, len(SUMS))),
    ]
    if strata:
        fields.append(("strata", "f4", (designs, 2, 3, S)))
    return np.dtype(fields)


class CoreHead(Records):
    """What is remembered of a query whatever its shifts."""

    known_since = RecordColumn[Ints]("i8", start=-1)
    panes = RecordColumn[Ints]("i8")
    model = RecordColumn[Ints]("i8")
    model_since = RecordColumn[Ints]("i8")


class AlertSlots(Records):
    """The alerts of a query, one slot a kind: (Q, kinds)."""

    firing = RecordColumn[Bytes]("u1", per_kind=True)
    side = RecordColumn[Bytes]("u1", per_kind=True)
    design = RecordColumn[Bytes]("u1", per_kind=True)
    severity = RecordColumn[Bytes]("u1", per_kind=True)
    ended_as = RecordColumn[Bytes]("u1", per_kind=True)
    started = RecordColumn[Ints]("i8", per_kind=True)
    fired = RecordColumn[Ints]("i8", per_kind=True)
    quiet_until = RecordColumn[Ints]("i8", (2,), per_kind=True)
    effect = RecordColumn[Floats]("f8", per_kind=True)
    ending = RecordColumn[Floats]("f8", per_kind=True)
    evidence = RecordColumn[Floats]("f8", per_kind=True)
    threshold = RecordColumn[Floats]("f8", per_kind=True)
    figures = RecordColumn[Floats]("f8", (len(FIGURES),), per_kind=True)


class PublishedAlerts(Records):
    """What was published last, apart from the cores: a correction compares with it."""

    firing = RecordColumn[Bytes]("u1", per_kind=True)
    severity = RecordColumn[Bytes]("u1", per_kind=True)
    number = RecordColumn[NDArray[np.int32]]("i4", per_kind=True)
    count = RecordColumn[NDArray[np.int32]]("i4")


def new_panes(count: int) -> Rows:
    """Return `count` empty panes, absent until filled."""
    panes = np.zeros(count, dtype=PANE)
    panes["flags"] = ABSENT
    panes["revision"] = -1
    return panes
