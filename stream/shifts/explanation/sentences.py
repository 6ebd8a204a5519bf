"""A shift in one or two plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from core.schemas import Term
from stream.shifts.signals import Estimate, ShiftSignal, StratumChange

_PARTS = 2


def sentence(signal: ShiftSignal, terms: Sequence[Term] = ()) -> str:
    """Return what happened, how much, how sure, and who moved it.

    Example:
        >>> signal = ShiftSignal(
        ...     alert_id="a", query="trains", kind="volume", state="firing", direction="up",
        ...     severity=5, started_s=0, fired_s=180, decided_s=180, evidence=14.0, threshold=12.0,
        ...     before=Estimate(50, 50, 50), after=Estimate(150, 130, 170),
        ...     change=Estimate(3.0, 2.6, 3.4), posts=450,
        ... )
        >>> sentence(signal)
        'People post about trains 3.0 times as much as usual: 150 posts a pane instead of 50.'
    """
    if signal.state == "resolved":
        return _resolved(signal)
    told = {"opinion": _opinion, "mix": _mix, "volume": _volume, "brigading": _brigading}
    text = told[signal.kind](signal)
    if signal.kind in ("opinion", "mix") and signal.strata:
        text += " " + _strata(signal)
    came = [term.term for term in terms if term.weight > 0][:4]
    if came:
        text += f" New in what they say: {', '.join(came)}."
    return text


def _resolved(signal: ShiftSignal) -> str:
    what = {
        "opinion": "opinion", "mix": "the mix of who speaks", "volume": "volume",
        "brigading": "brigading",
    }[signal.kind]  # fmt: skip
    minutes = max(1, round((signal.ended_s - signal.started_s) / 60))
    why = {
        "accepted": "it has lasted and counts as the new normal",
        "corrected": "late posts took the evidence away",
        "reset": "another model scores now",
    }.get(signal.ended_as, f"it is as before, after {minutes} minutes")
    return f"The shift of {what} about {signal.query} is over: {why}."


def _mean(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f}"


def _change(signal: ShiftSignal) -> str:
    change = signal.change
    return (
        f"from {_mean(signal.before)} to {_mean(signal.after)} "
        f"(change {change.value:+.2f}, 95 % between {change.low:+.2f} and {change.high:+.2f}, "
        f"{signal.posts} posts)"
    )


def _opinion(signal: ShiftSignal) -> str:
    verb = "fell" if signal.direction == "down" else "rose"
    mixed = ""
    if abs(signal.mix) >= 0.25 * abs(signal.opinion):
        mixed = f" {signal.mix:+.2f} of it is because others speak."
    return f"Opinion about {signal.query} {verb} {_change(signal)}.{mixed}"


def _mix(signal: ShiftSignal) -> str:
    mood = "less favourable" if signal.direction == "down" else "more favourable"
    return (
        f"Other people speak about {signal.query} than usual, {mood} ones: the mean went "
        f"{_change(signal)}; what the same groups say changed by {signal.opinion:+.2f}."
    )


def _volume(signal: ShiftSignal) -> str:
    before, after = signal.before.value, signal.after.value
    how = f"{signal.change.value:.1f} times as much as"
    if signal.direction == "down":
        how = f"{1 / max(signal.change.value, 1e-3):.1f} times less than"
    return (
        f"People post about {signal.query} {how} usual: "
        f"{_count(after)} posts a pane instead of {_count(before)}."
    )


def _count(posts: float) -> str:
    return f"{posts:.0f}" if posts >= 10 else f"{posts:.1f}"


def _brigading(signal: ShiftSignal) -> str:
    who = "copies of the same texts" if signal.copies else "few authors"
    return (
        f"{signal.change.value:.0%} of the posts about {signal.query} are {who} beyond the usual "
        f"{signal.before.value:.0%}: this is not the crowd, and opinion is not judged by it."
    )


def _strata(signal: ShiftSignal) -> str:
    part = signal.kind
    ranked = sorted(signal.strata, key=lambda one: -abs(_part(one, part)))
    named = [
        f"{one.stratum} ({_part(one, part):+.2f})"
        for one in ranked[:_PARTS]
        if abs(_part(one, part)) >= 0.005
    ]
    return f"Most of it comes from {' and '.join(named)}." if named else ""


def _part(stratum: StratumChange, kind: str) -> float:
    return stratum.mix if kind == "mix" else stratum.opinion
