"""The record of a query, put together from what its kinds of shift remember.

The bytes of a record: what is known of any query, what each kind remembers, its chart, then a slot
of its alert; kinds in the order of their table. A kind that is appended leaves the others' order
as it is, so that states saved without it can be taken over.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.shifts.columns import Field, Rows
from stream.shifts.kinds import KINDS
from stream.shifts.layout import AlertSlots, CoreHead, PublishedAlerts


def core_type(count: int) -> np.dtype[np.void]:
    """Return the type of a record with the first `count` kinds."""
    kinds = KINDS[:count]
    fields: list[Field] = CoreHead.fields()
    for kind in kinds:
        if kind.memory is not None:
            fields += kind.memory.fields()
    fields += [(kind.chart_name, kind.chart_type(), ()) for kind in kinds]
    return np.dtype(fields + AlertSlots.fields(count))


def published_type(count: int) -> np.dtype[np.void]:
    """Return the type of what was published, for the first `count` kinds."""
    return PublishedAlerts.dtype(count)


CORE: Final = core_type(len(KINDS))
PUBLISHED: Final = published_type(len(KINDS))


def new_cores(count: int) -> Rows:
    """Return `count` cores that know nothing."""
    cores = np.zeros(count, dtype=CORE)
    for records in (CoreHead, *(kind.memory for kind in KINDS)):
        if records is not None:
            records.begin(cores)
    return cores


def widened(rows: Rows, blank: Rows) -> Rows:
    """Return `blank` with what rows of fewer kinds hold; kinds that are new know nothing."""
    for name in rows.dtype.names or ():
        old, new = rows[name], blank[name]
        if old.shape == new.shape:
            blank[name] = old
        else:
            new[:, : old.shape[1]] = old
    return blank
