"""The life of an alert: fires, grows, is resolved, rests. One slot a kind and query, in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.settings import ShiftSettings
from stream.shifts.columns import Flags, Floats, Ints, Rows
from stream.shifts.layout import ENDED_AS, AlertSlots, Chart

OVER: Final = ENDED_AS.index("over")
ACCEPTED: Final = ENDED_AS.index("accepted")
RESET: Final = ENDED_AS.index("reset")
_SHRUNK: Final = 0.7


@dataclass(frozen=True, slots=True)
class AlertCandidate:
    """What a chart would alert for; all (Q,).

    Attributes:
        fires: The rows whose best allowed component is over its threshold.
        design, side: That component.
        score, effect: Its evidence in nats, and its effect.
        sums: (Q, len(SUMS)) Its sums.
        onset: The start of its first pane.
    """

    fires: Flags
    design: Ints
    side: Ints
    score: Floats
    effect: Floats
    sums: Floats
    onset: Ints


def best(chart: Rows, effect: Floats, allowed: Flags) -> AlertCandidate:
    """Return the allowed component with most evidence of every row."""
    bank = Chart(chart)
    score = np.where(allowed, bank.score, -1.0)
    count, designs = len(score), int(score.shape[1])
    at = score.reshape(count, designs * 2).argmax(axis=1)
    row = np.arange(count, dtype=np.int64)
    design, side = at // 2, at % 2
    return AlertCandidate(
        fires=score[row, design, side] > 0,
        design=design,
        side=side,
        score=score[row, design, side],
        effect=effect[row, design, side],
        sums=bank.sums[row, design, side],
        onset=bank.onset[row, design, side],
    )


def severity_of(scale: float, effect: Floats) -> NDArray[np.uint8]:
    """Return 1 to 10 from the size of an effect: half of the scale at its typical size."""
    graded = np.rint(10 * (1 - 2.0 ** (-np.abs(effect) / scale)))
    return np.clip(graded, 1, 10).astype(np.uint8)


def fire(
    core: Rows, slot: int, scale: float, found: AlertCandidate, threshold: Floats,
    figures: Floats, ends_s: Ints,
) -> None:  # fmt: skip
    """Fire where a candidate is new, and let those that fire grow."""
    alerts = AlertSlots(core)
    firing = alerts.firing[:, slot] > 0
    rests = alerts.quiet_until[:, slot][np.arange(len(core)), found.side] > ends_s
    new = found.fires & ~firing & ~rests
    severity = severity_of(scale, found.effect)
    same = found.fires & firing & (alerts.side[:, slot] == found.side)
    changed = new | (same & (severity > alerts.severity[:, slot]))
    # What has been going on for longer is known better: an end is judged by the smaller estimate.
    smaller = same & (np.abs(found.effect) < np.abs(alerts.effect[:, slot]))
    for column, value, rows in (
        (alerts.firing, 1, new), (alerts.side, found.side, new), (alerts.started, found.onset, new),
        (alerts.fired, ends_s, new), (alerts.ended_as, 0, new), (alerts.ending, 0.0, new),
        (alerts.effect, found.effect, new | smaller), (alerts.severity, severity, changed),
        (alerts.design, found.design, changed), (alerts.evidence, found.score, changed),
        (alerts.threshold, threshold, changed),
    ):  # fmt: skip
        column[:, slot] = np.where(rows, value, column[:, slot])
    alerts.figures[:, slot] = np.where(changed[:, None], figures, alerts.figures[:, slot])


def gone(effect: Floats, residual: Floats, error: Floats, valid: Flags, least: float) -> Floats:
    """Return (Q,) the log-likelihood ratio of a pane as before against the effect that fired.

    A little less than the effect, which luck made look larger at the moment that it fired.
    """
    size = np.sign(effect) * np.maximum(_SHRUNK * np.abs(effect), least)
    safe = np.where(valid, error, 1.0)
    return size * (size / 2 - np.clip(residual, -10 * safe, 10 * safe)) / (safe * safe)


def wane(
    core: Rows, slot: int, gain: Floats, valid: Flags, settings: ShiftSettings, ends_s: Ints
) -> tuple[Flags, Flags]:
    """Resolve what is over or has become normal.

    A CUSUM of `gain`, "as before" against the effect that fired: hysteresis by evidence, not by a
    second threshold that noise crosses back and forth.

    Returns:
        Rows that are over, rows that are accepted.
    """
    alerts = AlertSlots(core)
    firing, known = alerts.firing[:, slot] > 0, alerts.ending
    ending = np.maximum(0.0, known[:, slot] + np.clip(gain, -20, 20))
    known[:, slot] = np.where(firing & valid, ending, known[:, slot])
    over = firing & valid & (known[:, slot] >= settings.resolve_evidence)
    lasted = ends_s - alerts.fired[:, slot]
    accepted = firing & ~over & (lasted >= settings.accept_after_s)
    end(core, slot, over, OVER, settings, ends_s)
    end(core, slot, accepted, ACCEPTED, settings, ends_s)
    return over, accepted


def end(
    core: Rows, slot: int, rows: Flags, why: int, settings: ShiftSettings, ends_s: Ints
) -> None:
    """Resolve the alerts of `rows` and let the same direction rest."""
    alerts = AlertSlots(core)
    alerts.firing[rows, slot] = 0
    alerts.ended_as[rows, slot] = why
    side = alerts.side[:, slot].astype(np.int64)
    chosen = np.arange(len(core))[rows]
    alerts.quiet_until[:, slot][chosen, side[rows]] = ends_s[rows] + settings.cooldown_s
