"""Which streams the standard suite has, and when their shifts happen. Plain data from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

Scenario = Literal[
    "step", "ramp", "burst", "mix", "volume", "none", "seasonal", "brigading", "bots", "outage"
]

BEGIN_S: Final = 1_772_409_600
"""Monday 2 March 2026, 00:00 UTC."""
PANE_S: Final = 60
DAY: Final = 1_440
"""Panes of a day."""
DAYS: Final = 14
FIRST_SHIFT_DAY: Final = 4.0
VOLUMES: Final = (15, 60, 240, 960)
"""Posts a minute, on the average of the week."""
STRENGTHS: Final = (0.10, 0.15, 0.25, 0.40)
RATIOS: Final = (0.5, 2.0, 3.0)
_LASTS: Final = 480
_BURST_LASTS: Final = 45
_RARE: Final[dict[int, tuple[tuple[Scenario, int, float], ...]]] = {
    0: (("brigading", 60, 0.2), ("outage", 240, 0.0)),
    1: (("bots", 240, 0.2), ("ramp", 60, 0.25)),
    3: (("burst", 240, 0.4),),
    4: (("ramp", 240, 0.15),),
}
RAMP_PANES: Final = 60
"""A ramp has its full height after so long."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One scheduled shift, panes `[begin, end)` of its stream; `size` has a sign."""

    begin: int
    end: int
    size: float


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: what happens in it, how loud it is, and its seed."""

    scenario: Scenario
    volume: int
    strength: float
    seed: int
    shifts: tuple[Shift, ...] = ()


def _cells() -> list[tuple[Scenario, int, float]]:
    """Return the cells of the suite, in an order whose beginning has a bit of everything."""
    steps: list[tuple[Scenario, int, float]] = [
        ("step", volume, strength) for strength in STRENGTHS for volume in VOLUMES
    ]
    block: list[tuple[Scenario, int, float]] = []
    for turn in range(5):
        first, second, third = (VOLUMES[(turn + n) % 4] for n in range(3))
        block += steps[turn::5]
        block.append(("none", first, 0.0))
        block.append(("seasonal", second, 0.0))
        block.append(("mix", second, (0.15, 0.25)[turn % 2]))
        block.append(("volume", third, RATIOS[turn % 3]))
        block.extend(_RARE.get(turn, ()))
    return block


def standard_suite(streams: int, seed: int) -> list[StreamPlan]:
    """Return `streams` plans; the same for the same numbers."""
    cells = _cells()
    rng = np.random.default_rng(seed)
    plans: list[StreamPlan] = []
    for number in range(streams):
        scenario, volume, strength = cells[number % len(cells)]
        turn = number // len(cells)
        if scenario in ("brigading", "bots", "mix", "volume", "ramp", "burst", "none", "seasonal"):
            volume = VOLUMES[(VOLUMES.index(volume) + turn) % 4]
        if scenario == "volume":
            strength = RATIOS[(RATIOS.index(strength) + turn) % 3]
        plan = StreamPlan(scenario, volume, strength, int(rng.integers(2**62)))
        plans.append(replace(plan, shifts=_schedule(plan)))
    return plans


def null_suite(streams: int, seed: int) -> list[StreamPlan]:
    """Return streams without a shift, half of them strongly seasonal, to set thresholds on."""
    rng = np.random.default_rng(seed)
    return [
        StreamPlan(
            "none" if number % 2 == 0 else "seasonal",
            VOLUMES[number // 2 % 4],
            0.0,
            int(rng.integers(2**62)),
        )
        for number in range(streams)
    ]


def _schedule(plan: StreamPlan) -> tuple[Shift, ...]:
    if plan.scenario in ("none", "seasonal"):
        return ()
    rng = np.random.default_rng(plan.seed)
    lasts = _BURST_LASTS if plan.scenario == "burst" else _LASTS
    found: list[Shift] = []
    at = int(FIRST_SHIFT_DAY * DAY)
    while at + lasts + 4 * 60 < DAYS * DAY:
        begin = at + int(rng.integers(0, 300))
        sign = 1.0 if rng.random() < 0.5 else -1.0
        size = plan.strength if plan.scenario == "volume" else sign * plan.strength
        found.append(Shift(begin, begin + lasts, size))
        at = begin + lasts + int(rng.integers(1_000, 1_600))
    return tuple(found)


def scenarios_of(plans: Sequence[StreamPlan]) -> dict[str, int]:
    """Return how many streams of each scenario there are."""
    counts: dict[str, int] = {}
    for plan in plans:
        counts[plan.scenario] = counts.get(plan.scenario, 0) + 1
    return counts
