"""One pane on, for any number of queries at once: compare, chart, alert, learn. Pure, in place.

The order matters: a pane is judged by what was known before it, and only then learnt, unless it is
held back because a shift is suspected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import baseline, cusum, gates, repeats, slots, volume
from stream.shifts.baseline import Expected
from stream.shifts.layout import (
    ABSENT,
    DESIGNS,
    MIX_DESIGNS,
    REPEAT_DESIGNS,
    SILENT,
    SUM,
    SUMS,
    VOLUME_DESIGNS,
    Flags,
    Floats,
    Rows,
)
from stream.shifts.repeats import Repeats
from stream.shifts.seasons import features
from stream.shifts.signals import KINDS, Kind
from stream.shifts.volume import ExpectedVolume

HOLD_SCORE: Final = 4.0
"""A shift is suspected from this evidence on: what comes is not learnt until that has passed."""
_HOLD_S: Final = 86_400
_DOUBTS: Final = 2.0
_REFIT_EVERY: Final = 15
_OPINION, _MIX, _VOLUME, _BRIGADING = range(len(KINDS))
CHART_OF: Final[dict[Kind, str]] = {
    "opinion": "opinion", "mix": "mix", "volume": "volume", "brigading": "repeats",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pane beside what was expected of it."""

    mean: Expected
    volume: ExpectedVolume
    repeats: Repeats
    error: Floats
    mix_error: Floats


@dataclass(frozen=True, slots=True)
class Trace:
    """Residuals of a pane in standard errors, for detectors that are compared; all (Q,)."""

    opinion: Floats
    volume: Floats
    base: Floats
    error: Floats


def advance(
    core: Rows,
    pane: Rows,
    settings: ShiftSettings,
    pane_s: int,
    refused: Counter[str] | None = None,
) -> Trace:
    """Judge a pane of each query and learn it.

    Args:
        core: (Q,) states, changed in place.
        pane: (Q,) what was counted; rows flagged absent leave their state as it is.
        settings: thresholds and gates.
        pane_s: length of a pane.
        refused: counts what each gate refused, if given.
    """
    starts = pane["start"]
    live = (pane["flags"] & ABSENT) == 0
    heard = live & ((pane["flags"] & SILENT) == 0)
    _meet(core, pane, live)
    reset = _change_model(core, pane, heard, settings, pane_s)
    feats = features(starts)
    seen = _compare(core, pane, feats)
    known = heard & (starts - core["known_since"] >= settings.warmup_s)
    _chart(core, pane, seen, known, settings)
    accepted = _decide(core, pane, seen, known, settings, pane_s, refused)
    _learn(core, pane, feats, seen, heard, settings, pane_s)
    core["panes"] += live
    _refit(core, starts, live, accepted | reset, pane_s)
    return Trace(
        seen.mean.opinion / seen.error,
        seen.volume.log_ratio / seen.volume.error,
        seen.mean.base,
        seen.error,
    )


def _meet(core: Rows, pane: Rows, live: Flags) -> None:
    """Begin with queries that are new."""
    new = live & (core["known_since"] < 0)
    core["known_since"] = np.where(new, pane["start"], core["known_since"])
    core["volume_weights"][:, 0] = np.where(
        new, np.log(pane["posts"] + 0.5), core["volume_weights"][:, 0]
    )


def _change_model(
    core: Rows, pane: Rows, heard: Flags, settings: ShiftSettings, pane_s: int
) -> Flags:
    """Start the sentiment baselines again where another model scores than before."""
    told = heard & (pane["model"] != 0)
    other = told & (core["model"] != 0) & (core["model"] != pane["model"])
    core["model"] = np.where(told, pane["model"], core["model"])
    if not other.any():
        return other
    core["model_since"] = np.where(other, pane["start"], core["model_since"])
    for name in ("learnt", "held"):
        core[name][other] = 0
    core["held_since"][other] = -1
    for name in ("weights", "inverse", "tilt"):
        core[name][other] = 0
    core["spread"][other] = (0.36 * 20, 20)
    cusum.clear(core["opinion"], other)
    cusum.clear(core["mix"], other)
    ends = pane["start"] + pane_s
    for slot in (_OPINION, _MIX):
        ended = other & (core["firing"][:, slot] > 0)
        slots.end(core, KINDS[slot], ended, slots.RESET, settings, ends)
    return other


def _compare(core: Rows, pane: Rows, feats: Floats) -> _Seen:
    mean = baseline.expect(core, pane, feats)
    posts = np.maximum(mean.rated, 1.0)
    excess = np.maximum(1.0, core["dispersion"][:, :, 0] / core["dispersion"][:, :, 1])
    error = np.sqrt(excess[:, 0] * mean.variance / posts)
    mix_error = np.sqrt(excess[:, 1] * np.maximum(mean.mix_variance, 1e-5) / posts)
    return _Seen(
        mean, volume.expect(core, pane, feats), repeats.expect(core, pane), error, mix_error
    )


def _sums(pane: Rows, seen: _Seen) -> tuple[Floats, Floats, Floats]:
    """Return what a pane adds to the sums of the opinion, mix and volume charts."""
    mean, again = seen.mean, seen.repeats
    count = pane["posts"]
    sums = np.zeros((len(pane), len(SUMS)))
    squared = (again.error * count[:, None]) ** 2 * again.valid
    excess = again.excess * count[:, None]
    for name, value in (
        ("opinion", mean.opinion * mean.rated), ("mix", mean.mix * mean.rated),
        ("rated", mean.rated), ("base", mean.base * mean.rated), ("panes", 1.0),
        ("authors", pane["authors"]), ("posts", count), ("label_variance", pane["label_variance"]),
        ("repeats", excess[:, 0]), ("repeats_variance", squared[:, 0]),
        ("copies", excess[:, 1]), ("copies_variance", squared[:, 1]),
        ("variance", (seen.error * mean.rated) ** 2),
    ):  # fmt: skip
        sums[:, SUM[name]] = value
    mixed = sums.copy()
    mixed[:, SUM["variance"]] = (seen.error**2 + seen.mix_error**2) * mean.rated**2
    loud = sums.copy()
    for name, value in (
        ("opinion", seen.volume.log_ratio), ("mix", 0.0), ("base", seen.volume.rate),
        ("variance", seen.volume.error**2),
    ):  # fmt: skip
        loud[:, SUM[name]] = value
    return sums, mixed, loud


def _chart(core: Rows, pane: Rows, seen: _Seen, known: Flags, settings: ShiftSettings) -> None:
    starts, mean = pane["start"], seen.mean
    sums, mixed, loud = _sums(pane, seen)
    strata = np.stack(
        [pane["rated"], mean.opinion_strata, mean.mix_strata], axis=1, dtype=np.float32
    )
    changed = core["model_since"] > 0
    settled = ~changed | (starts - core["model_since"] >= settings.model_silence_s)
    rated = known & settled & (mean.rated > 0)
    least = settings.min_opinion_effect
    doubt = _DOUBTS * mean.doubt
    reading = cusum.Reading(mean.opinion, seen.error, np.hypot(least, doubt), rated)
    cusum.step(core["opinion"], reading, DESIGNS, starts, sums, strata)
    doubt = doubt * np.sqrt(mean.mix_variance / mean.variance)
    least = settings.min_mix_effect
    several = rated & (mean.mix_variance > 1e-4)
    reading = cusum.Reading(mean.mix, seen.mix_error, np.hypot(least, doubt), several)
    cusum.step(core["mix"], reading, MIX_DESIGNS, starts, mixed, strata)
    least = np.hypot(np.log(settings.min_volume_ratio), _DOUBTS * seen.volume.doubt)
    reading = cusum.Reading(seen.volume.log_ratio, seen.volume.error, least, known)
    cusum.step(core["volume"], reading, VOLUME_DESIGNS, starts, loud)
    _chart_repeats(core, pane, seen.repeats, sums, known, settings)


def _chart_repeats(
    core: Rows, pane: Rows, seen: Repeats, sums: Floats, known: Flags, settings: ShiftSettings
) -> None:
    designs = settings.min_brigading_share * np.asarray(REPEAT_DESIGNS)[None, :, None]
    gain = seen.evidence(pane["posts"], designs)
    cusum.advance(core["repeats"], gain, known & seen.valid.any(axis=1), pane["start"], sums)


def _decide(
    core: Rows, pane: Rows, seen: _Seen, known: Flags, settings: ShiftSettings, pane_s: int,
    refused: Counter[str] | None,
) -> Flags:  # fmt: skip
    """Resolve, then fire; return the rows whose new level was accepted."""
    ends = pane["start"] + pane_s
    accepted = _resolve(core, pane, seen, known, settings, ends)
    # Opinion last: what brigading and volume say of this very pane counts for it.
    for kind, rules, threshold in reversed(_charts(settings)):
        chart = core[CHART_OF[kind]]
        needed = threshold + pane["extra"]
        if kind in ("opinion", "mix"):
            # Whoever makes a crowd larger is partly another crowd: that alone is no opinion.
            needed = needed + settings.loud_evidence * (core["firing"][:, _VOLUME] > 0)
        over = known[:, None, None] & (chart["score"] >= needed[:, None, None])
        if kind in ("opinion", "mix"):
            # What few accounts say is named, and is not judged as what the crowd says.
            over &= (core["firing"][:, _BRIGADING] == 0)[:, None, None]
        if not over.any():
            continue
        effect = _effect(kind, chart["sums"])
        passes = {name: gate(effect, chart["sums"], settings) for name, gate in rules.items()}
        if refused is not None:
            refused.update(gates.refusals(rules, passes, over))
        found = slots.best(chart, effect, over & np.logical_and.reduce(list(passes.values())))
        if kind == "volume":
            figures = slots.volume_figures(found)
        elif kind == "brigading":
            figures = slots.repeats_figures(found, seen.repeats.usual)
        else:
            figures = slots.mean_figures(found, kind)
        slots.fire(core, kind, found, needed, figures, ends)
    return accepted


def _charts(settings: ShiftSettings) -> tuple[tuple[Kind, dict[str, gates.Gate], float], ...]:
    return (
        ("opinion", gates.MEAN_GATES, settings.opinion_threshold),
        ("mix", gates.MIX_GATES, settings.mix_threshold),
        ("volume", gates.VOLUME_GATES, settings.volume_threshold),
        ("brigading", gates.REPEATS_GATES, settings.brigading_threshold),
    )


def _effect(kind: Kind, sums: Floats) -> Floats:
    if kind == "volume":
        return gates.volume_effect(sums)
    return gates.repeats_effect(sums) if kind == "brigading" else gates.mean_effect(sums, kind)


def standing(core: Rows, settings: ShiftSettings) -> Floats:
    """Return (Q, kinds) the highest score that every gate lets pass: what thresholds are set on."""
    found = np.zeros((len(core), len(KINDS)))
    for slot, (kind, rules, _) in enumerate(_charts(settings)):
        chart = core[CHART_OF[kind]]
        effect = _effect(kind, chart["sums"])
        passes = [gate(effect, chart["sums"], settings) for gate in rules.values()]
        allowed = np.logical_and.reduce(passes)
        found[:, slot] = np.where(allowed, chart["score"], 0.0).max(axis=(1, 2))
    return found


def _repeats_gone(
    core: Rows, pane: Rows, seen: Repeats, settings: ShiftSettings
) -> tuple[Floats, Flags]:
    """Return the evidence that brigading is over, and where it was counted."""
    row, side = np.arange(len(core)), core["side"][:, _BRIGADING].astype(np.int64)
    effect = np.maximum(0.7 * core["effect"][:, _BRIGADING], settings.min_brigading_share)
    more = np.broadcast_to(effect[:, None, None], (len(core), 1, 2))
    return -seen.evidence(pane["posts"], more)[row, 0, side], seen.valid[row, side]


def _resolve(
    core: Rows, pane: Rows, seen: _Seen, known: Flags, settings: ShiftSettings, ends: slots.Ints
) -> Flags:
    """Resolve what is over; return the rows whose new level of sentiment or volume is accepted."""
    rated = known & (seen.mean.rated > 0)
    any_accepted = np.zeros(len(core), dtype=np.bool_)
    firing = core["firing"].max(axis=0, initial=0)
    for slot, kind in enumerate(KINDS):
        if not firing[slot]:
            continue
        effect = core["effect"][:, slot]
        if kind == "brigading":
            gain, valid = _repeats_gone(core, pane, seen.repeats, settings)
        elif kind == "volume":
            least = float(np.log(settings.min_volume_ratio))
            heard = seen.volume
            gain, valid = slots.gone(effect, heard.log_ratio, heard.error, known, least), known
        else:
            residual = seen.mean.opinion if kind == "opinion" else seen.mean.mix
            error = seen.error if kind == "opinion" else seen.mix_error
            least = getattr(settings, f"min_{kind}_effect")
            gain, valid = slots.gone(effect, residual, error, rated, least), rated
        over, accepted = slots.wane(core, kind, gain, valid & known, settings, ends)
        done = over | accepted
        cusum.clear(core[CHART_OF[kind]], done)
        if kind == "brigading":
            # What was summed up meanwhile was not the crowd's.
            cusum.clear(core["opinion"], done)
            cusum.clear(core["mix"], done)
        if kind == "volume":
            volume.drop_held(core, over)
            volume.settle(core, accepted, baseline.ACCEPTED_SHARE)
        else:
            still = core["firing"][:, [_OPINION, _MIX, _BRIGADING]].any(axis=1)
            baseline.drop_held(core, over & ~still)
            baseline.settle(core, accepted & ~still, baseline.ACCEPTED_SHARE)
        any_accepted |= accepted
    return any_accepted


def _learn(
    core: Rows, pane: Rows, feats: Floats, seen: _Seen, heard: Flags, settings: ShiftSettings,
    pane_s: int,
) -> None:  # fmt: skip
    keep = float(0.5 ** (pane_s / settings.half_life_s))
    starts = pane["start"]
    fires = core["firing"]
    score = np.maximum(
        core["opinion"]["score"].max(axis=(1, 2)), core["mix"]["score"].max(axis=(1, 2))
    )
    firing = np.asarray(fires[:, [_OPINION, _MIX, _BRIGADING]].max(axis=1) > 0)
    holds = _held(core, "held_since", firing, score, heard, starts)
    baseline.settle(core, heard & ~holds & (core["held_since"] >= 0), 1.0)
    core["held_since"] = np.where(holds & (core["held_since"] < 0), starts, core["held_since"])
    limit = 4 * seen.error
    surprise = seen.mean.opinion - np.clip(seen.mean.opinion, -limit, limit)
    baseline.learn(core, pane, feats, seen.mean, surprise, keep, heard, holds)

    loud = _held(
        core, "volume_held_since", fires[:, _VOLUME] > 0,
        core["volume"]["score"].max(axis=(1, 2)), heard, starts,
    )  # fmt: skip
    volume.settle(core, heard & ~loud & (core["volume_held_since"] >= 0), 1.0)
    core["volume_held_since"] = np.where(
        loud & (core["volume_held_since"] < 0), starts, core["volume_held_since"]
    )
    volume.learn(core, pane, feats, seen.volume, keep, heard, loud)
    repeated = core["repeats"]["score"].max(axis=(1, 2)) > HOLD_SCORE
    repeats.learn(core, pane, seen.repeats, keep, heard & ~repeated)
    _learn_dispersion(core, seen, keep, heard & ~holds & (seen.mean.rated > 0))


def _held(
    core: Rows, since: str, firing: Flags, score: Floats, heard: Flags, starts: slots.Ints
) -> Flags:
    """Return rows whose pane is held back: an alert fires, or one is suspected, for a day at most.

    What is suspected for a day and raises no alert is how things are.
    """
    long = (core[since] >= 0) & (starts - core[since] >= _HOLD_S)
    return heard & (firing | ((score > HOLD_SCORE) & ~long))


def _learn_dispersion(core: Rows, seen: _Seen, keep: float, rows: Flags) -> None:
    """Learn how much more the residuals vary than independent posts would."""
    plain = np.sqrt(seen.mean.variance / np.maximum(seen.mean.rated, 1.0))
    mixed = np.sqrt(np.maximum(seen.mean.mix_variance, 1e-5) / np.maximum(seen.mean.rated, 1.0))
    excess = np.maximum(1.0, core["dispersion"][:, 2, 0] / core["dispersion"][:, 2, 1])
    usual = seen.repeats.excess / seen.repeats.error * np.sqrt(excess)[:, None]
    for place, (residual, error) in enumerate(
        ((seen.mean.opinion, plain), (seen.mean.mix, mixed), (usual[:, 0], np.ones(len(core))))
    ):
        known = core["dispersion"][:, place, 0] / core["dispersion"][:, place, 1]
        square = np.minimum((residual / error) ** 2, 9 * np.maximum(known, 1.0))
        fade = np.where(rows, keep, 1.0)[:, None]
        added = np.stack([square, np.ones(len(core))], axis=1) * rows[:, None]
        core["dispersion"][:, place] = core["dispersion"][:, place] * fade + added


def _refit(core: Rows, starts: slots.Ints, live: Flags, forced: Flags, pane_s: int) -> None:
    """Fit again: every pane at first, then every fifth, then every quarter of an hour."""
    age_s = starts - core["known_since"]
    age = age_s // pane_s
    due = (age < 15) | ((age < 120) & (age % 5 == 0)) | (starts // pane_s % _REFIT_EVERY == 0)
    due = live & (due | forced)
    if due.all():
        baseline.refit(core, age_s)
        volume.refit(core, age_s)
    elif due.any():
        rows = core[due]
        baseline.refit(rows, age_s[due])
        volume.refit(rows, age_s[due])
        core[due] = rows
