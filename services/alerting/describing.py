"""From a signal of the judge to the alert that goes out: the same figures, as people read them."""

from __future__ import annotations

from typing import Final

from core.clock import from_epoch_ms
from core.schemas import Alert, Contribution, Interval
from stream.shifts.signals import Estimate, ShiftSignal

_WHAT: Final = {
    "opinion": "Opinion",
    "mix": "The mix of who speaks",
    "volume": "The number of posts",
    "brigading": "The share of repeated posts",
}
_HOW: Final = {"up": "rose", "down": "fell"}


def describe(signal: ShiftSignal) -> Alert:
    """Return the alert of a signal."""
    return Alert(
        alert_id=signal.alert_id,
        query=signal.query,
        kind=signal.kind,
        state=signal.state,
        direction=signal.direction,
        severity=signal.severity,
        started=from_epoch_ms(signal.started_s * 1000),
        fired=from_epoch_ms(signal.fired_s * 1000),
        decided_at=from_epoch_ms(signal.decided_s * 1000),
        ended=from_epoch_ms(signal.ended_s * 1000) if signal.ended_s >= 0 else None,
        ended_as=signal.ended_as,
        evidence=signal.evidence,
        threshold=signal.threshold,
        before=_interval(signal.before),
        after=_interval(signal.after),
        change=_interval(signal.change),
        mix=signal.mix,
        opinion=signal.opinion,
        posts=signal.posts,
        contributions=[
            Contribution(
                stratum=one.stratum,
                posts=one.posts,
                share_before=one.share_before,
                share_after=one.share_after,
                mean_before=one.mean_before,
                mean_after=one.mean_after,
                mix=one.mix,
                opinion=one.opinion,
            )
            for one in signal.strata
        ],
        sentence=sentence(signal),
    )


def sentence(signal: ShiftSignal) -> str:
    """Return what happened, in one sentence."""
    began = from_epoch_ms(signal.started_s * 1000).strftime("%H:%M UTC on %d %B %Y")
    change = signal.change
    said = (
        f"{_WHAT[signal.kind]} of {signal.query} {_HOW[signal.direction]} from "
        f"{signal.before.value:.2f} to {signal.after.value:.2f} "
        f"(change {change.value:.2f}, 95 % interval {change.low:.2f} to {change.high:.2f}) "
        f"at {began}"
    )
    return f"{said}; it is over." if signal.state == "resolved" else f"{said}."


def _interval(of: Estimate) -> Interval:
    return Interval(of.value, of.low, of.high)
