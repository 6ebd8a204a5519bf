"""Mix: others speak than usual, and the mean moves although no group says anything else."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import cusum
from stream.shifts.columns import Flags, Floats
from stream.shifts.gates import Gate
from stream.shifts.kinds import opinion
from stream.shifts.kinds.base import DOUBTS, CrowdMinute, JudgedPane
from stream.shifts.layout import SUM
from stream.shifts.signals import ShiftSignal


def large_mix(effect: Floats, _sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse changes of the mix that nobody would act on."""
    return np.abs(effect) >= settings.min_mix_effect


_GATES: Final[dict[str, Gate]] = {**opinion.KIND.gates, "small_effect": large_mix}


class MixShift(opinion.MeanShift):
    """Judged by the change of the mean that the shares of the strata explain."""

    name = "mix"
    noun = "the mix of who speaks"
    part = "mix"
    setting = "mix_threshold"
    designs = (0.3, 1.2, 4.8)
    budget = 0.15
    gates = _GATES
    planted = CrowdMinute({"s|en|a": (10, 0.2), "s|en|b": (40, -0.3)}, authors=48, copies=1)

    def chart(self, at: JudgedPane) -> None:
        """Chart who speaks, where strata differ at all."""
        seen = at.of(self)
        sums = at.sums.copy()
        sums[:, SUM["variance"]] = (seen.error**2 + seen.mix_error**2) * seen.rated**2
        doubt = DOUBTS * seen.doubt * np.sqrt(seen.mix_variance / seen.variance)
        least = np.hypot(at.settings.min_mix_effect, doubt)
        several = self.settled(at) & (seen.mix_variance > 1e-4)
        self.step(at, cusum.Reading(seen.mix, seen.mix_error, least, several), sums)

    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Compare with who usually speaks."""
        seen = at.of(self)
        return self.gone_as_before(at, seen.mix, seen.mix_error, at.settings.min_mix_effect)

    def sentence(self, signal: ShiftSignal) -> str:
        """Say where the mean went, and what the same groups say."""
        mood = "less favourable" if signal.direction == "down" else "more favourable"
        text = (
            f"Other people speak about {signal.query} than usual, {mood} ones: the mean went "
            f"{opinion.change_of_mean(signal)}; what the same groups say changed by "
            f"{signal.opinion:+.2f}."
        )
        return self.with_strata(text, signal.strata)


KIND: Final = MixShift()
