"""From a signal to the alert on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.clock import from_epoch_ms
from core.schemas import Alert, Contribution, ExamplePost, Term
from stream.shifts.explanation.sentences import sentence
from stream.shifts.signals import ShiftSignal

MAX_CONTRIBUTIONS: Final = 8
_REST: Final = "other"


def to_alert(
    signal: ShiftSignal, terms: Sequence[Term] = (), examples: Sequence[ExamplePost] = ()
) -> Alert:
    """Return the alert of a signal, with what was found in the texts."""
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
        evidence=signal.evidence,
        threshold=signal.threshold,
        before=signal.before,
        after=signal.after,
        change=signal.change,
        ended=from_epoch_ms(signal.ended_s * 1000) if signal.state == "resolved" else None,
        ended_as=signal.ended_as,
        mix=signal.mix,
        opinion=signal.opinion,
        posts=signal.posts,
        contributions=_contributions(signal.strata),
        terms=list(terms),
        examples=list(examples),
        sentence=sentence(signal, terms),
    )


def _contributions(strata: Sequence[Contribution]) -> list[Contribution]:
    """Return the largest strata, and the rest as one so that they still add up."""
    named = [one for one in strata if one.stratum != _REST]
    shown, rest = named[: MAX_CONTRIBUTIONS - 1], named[MAX_CONTRIBUTIONS - 1 :]
    rest += [one for one in strata if one.stratum == _REST]
    return shown + ([_rest(rest)] if rest else [])


def _rest(strata: Sequence[Contribution]) -> Contribution:
    before = sum(one.share_before for one in strata)
    after = sum(one.share_after for one in strata)
    mean_before = sum(one.share_before * one.mean_before for one in strata) / (before or 1.0)
    mean_after = sum(one.share_after * one.mean_after for one in strata) / (after or 1.0)
    return Contribution(
        stratum=_REST,
        posts=sum(one.posts for one in strata),
        share_before=before,
        share_after=after,
        mean_before=mean_before,
        mean_after=mean_after if after else mean_before,
        mix=sum(one.mix for one in strata),
        opinion=sum(one.opinion for one in strata),
    )
