"""A row of bars for the terminal, for whoever shows windows to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], lowest: float = -1.0, highest: float = 1.0) -> str:
    """Return one bar for each value, a blank for None; values outside the range are clamped.

    Example:
        >>> sparkline([-1.0, 0.0, None, 1.0])
        '▁▅ █'
    """
    top = len(BARS) - 1

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - lowest) / (highest - lowest)
        return BARS[round(min(1.0, max(0.0, share)) * top + 1e-9)]

    return "".join(bar(value) for value in values)
