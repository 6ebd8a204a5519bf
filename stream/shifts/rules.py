"""What is asked of the alerts of one query, beside the settings of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stream.shifts.columns import Floats
from stream.shifts.kinds import KINDS

Directions = Literal["both", "up", "down"]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The rules of a query.

    Attributes:
        thresholds: The evidence (nats) that a kind of shift needs, in place of the settings'.
        direction: Of which direction people are told; a kind that has one only is always told.
        muted: The kinds that nobody is told of.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict[str, float])
    direction: Directions = "both"
    muted: frozenset[str] = frozenset()

    def tells(self, kind: str, direction: str) -> bool:
        """Return whether people are told of a shift.

        Example:
            >>> AlertRules(direction="down").tells("volume", "up")
            False
        """
        if kind in self.muted:
            return False
        sides = next((set(one.directions) for one in KINDS if one.name == kind), set[str]())
        return self.direction in ("both", direction) or len(sides) < 2

    def threshold_row(self) -> Floats:
        """Return (kinds,) the thresholds in nats; not a number where the settings' holds."""
        return np.array([self.thresholds.get(kind.name, np.nan) for kind in KINDS])


NO_RULES = AlertRules()
