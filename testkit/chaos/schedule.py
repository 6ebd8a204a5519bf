"""Which fault comes when: by progress, from a seed, so that a slow machine gets the same ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FIRST_AT: Final = 0.04
LAST_AT: Final = 0.93
"""Fractions of the posts between which faults are injected: after the last, counting must go on."""
OVERLAP_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a schedule.

    Attributes:
        at: The share of the posts that must have been counted, in (0, 1).
        kind: The name in `testkit.chaos.faults.FAULTS`.
        overlaps: It is injected while the one before still lasts or recovers.
        seed: The seed of what is drawn when it is injected (which worker).
    """

    at: float
    kind: str
    overlaps: bool
    seed: int


def make_schedule(wanted: Mapping[str, int], events: int, seed: int) -> tuple[Planned, ...]:
    """Return a schedule, the same for the same arguments.

    Args:
        wanted: Kind -> least number of times.
        events: How many faults in all; those beyond `wanted` are drawn from its kinds. Smaller
            values mean exactly `wanted`.
        seed: The seed of the order, the overlaps and the spacing.

    Example:
        >>> [fault.kind for fault in make_schedule({"redis-killed": 2}, 0, seed=1)]
        ['redis-killed', 'redis-killed']
    """
    rng = random.Random(f"chaos:{seed}")
    kinds = [kind for kind, times in wanted.items() for _ in range(times)]
    names = sorted(wanted)
    kinds += [rng.choice(names) for _ in range(events - len(kinds))]
    rng.shuffle(kinds)
    step = (LAST_AT - FIRST_AT) / max(1, len(kinds))
    planned: list[Planned] = []
    for number, kind in enumerate(kinds):
        at = FIRST_AT + step * (number + rng.uniform(0.0, 0.5))
        # Never two overlaps in a row: what recovers is always judged before the pair after it.
        free = bool(planned) and not planned[-1].overlaps
        overlaps = free and rng.random() < OVERLAP_SHARE and kind != planned[-1].kind
        planned.append(Planned(at, kind, overlaps, rng.randrange(2**32)))
    return tuple(planned)
