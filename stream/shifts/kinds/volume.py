"""Volume: many more or many fewer people post than usual.

The logarithm of the rate is fitted to the seasonal features. Counts of public conversation vary
more than Poisson's: the variance is rate + excess x rate^2 (negative binomial), the excess is
estimated, and a count is compared on Anscombe's (1948) scale, where it is nearly normal with
variance one for small and large rates alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import alerts, baseline, cusum
from stream.shifts.alerts import AlertCandidate
from stream.shifts.columns import Flags, Floats, Ints, RecordColumn, Records, Rows
from stream.shifts.gates import Gate, lasting, of
from stream.shifts.kinds.base import DOUBTS, CrowdMinute, JudgedPane, ShiftKind
from stream.shifts.layout import SUM, Chart, F, P, PaneCounts, figures_of
from stream.shifts.seasons import DAILY, DAY_S, WEEKLY, packed, products, quadratic, unpacked
from stream.shifts.signals import ShiftSignal

_RIDGE: Final = np.zeros(F)
_RIDGE[0] = 0.01
_RIDGE[DAILY] = 1 / 0.5**2
_RIDGE[WEEKLY] = 1 / 0.2**2
_LEAST_EXCESS: Final = 0.002
_WANDER: Final = 2.0
"""Variance that slow wandering of the volume adds to a mean over panes, times their number.

Panes of one hour are not as many independent looks at a season as they are panes: 8 % of wandering
that lasts three hours weighs as much as this. Without it a baseline of one day believes itself."""
_MOST_JUMP: Final = 1.5
"""A pane teaches at most this log-ratio: one burst is no new level."""


class VolumeFit(Records):
    """Weighted sums of the panes that were seen."""

    gram = RecordColumn[Floats]("f8", (P,))
    log = RecordColumn[Floats]("f8", (F,))


class VolumeMemory(Records):
    """What is remembered of volume: learnt, and held back while a shift is suspected."""

    volume_learnt = RecordColumn[Rows](VolumeFit.dtype())
    volume_held = RecordColumn[Rows](VolumeFit.dtype())
    volume_held_since = RecordColumn[Ints]("i8", start=-1)
    volume_weights = RecordColumn[Floats]("f8", (F,))
    volume_inverse = RecordColumn[Floats]("f8", (P,))
    excess = RecordColumn[Floats]("f8", (2,), start=(0.02 * 30, 30))
    """Over-dispersion: sums of its estimate."""


@dataclass(frozen=True, slots=True)
class ExpectedVolume:
    """Expected posts of a pane and the difference; all (Q,).

    Attributes:
        rate: The expected posts.
        log_ratio: Observed over expected on the stabilised scale, in logarithms.
        error: Its standard error.
        doubt: The standard error of the logarithm of `rate` itself.
    """

    rate: Floats
    log_ratio: Floats
    error: Floats
    doubt: Floats


def _excess_of(core: Rows) -> Floats:
    """Return (Q,) the estimated excess of the variance over Poisson's, relative to rate^2."""
    excess = VolumeMemory(core).excess
    return np.maximum(_LEAST_EXCESS, excess[:, 0] / excess[:, 1])


def _stable(counts: Floats, excess: Floats, offset: float) -> Floats:
    """Return Anscombe's transform of a negative binomial count, with unit variance.

    The offset that steadies the variance of a count is 3/8; the transform's mean is then that of
    the rate with 1/8.
    """
    inside = excess * (counts + offset) / (1 - 0.75 * excess).clip(0.25)
    return 2 / np.sqrt(excess) * np.arcsinh(np.sqrt(inside))


def _settle(core: Rows, rows: Flags, share: float) -> None:
    """Learn what was held back for `rows`, on top of `share` of what was known."""
    memory = VolumeMemory(core)
    for name in ("gram", "log"):
        learnt, held = memory.volume_learnt[name], memory.volume_held[name]
        learnt[rows] = learnt[rows] * share + held[rows]
    _drop_held(core, rows)


def _drop_held(core: Rows, rows: Flags) -> None:
    """Forget what was held back for `rows`."""
    memory = VolumeMemory(core)
    memory.volume_held[rows] = 0
    memory.volume_held_since[rows] = -1


def enough_volume(_effect: Floats, sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse a handful of posts where a handful was expected too."""
    return np.maximum(of(sums, "posts"), of(sums, "base")) >= settings.min_posts


def large_volume(effect: Floats, _sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse changes of volume that nobody would act on."""
    return np.abs(effect) >= np.log(settings.min_volume_ratio)


_GATES: Final[dict[str, Gate]] = {
    "few_posts": enough_volume, "small_effect": large_volume, "one_pane": lasting,
}  # fmt: skip


class VolumeShift(ShiftKind[ExpectedVolume]):
    """Judged by the logarithm of observed over expected posts."""

    name = "volume"
    noun = "volume"
    setting = "volume_threshold"
    designs = (0.3, 0.6, 1.2, 2.4, 4.8)
    memory = VolumeMemory
    scale = float(np.log(3.0))
    is_ratio = True
    budget = 0.20
    gates = _GATES
    planted = CrowdMinute({"s|en|a": (90, 0.2), "s|en|b": (60, -0.3)}, authors=148, copies=2)

    def meet(self, core: Rows, pane: Rows, new: Flags) -> None:
        """Expect as many posts as the first pane has."""
        weights = VolumeMemory(core).volume_weights
        weights[:, 0] = np.where(new, np.log(PaneCounts(pane).posts + 0.5), weights[:, 0])

    def expect(self, core: Rows, pane: Rows, feats: Floats) -> ExpectedVolume:
        """Compare a pane's posts with what its query's baseline expects."""
        memory = VolumeMemory(core)
        log_rate = np.einsum("qf,qf->q", feats, memory.volume_weights)
        rate = np.exp(np.clip(log_rate, -3.0, 16.0))
        excess = _excess_of(core)
        errors = _stable(PaneCounts(pane).posts, excess, 0.375) - _stable(rate, excess, 0.125)
        error = np.sqrt(1 / rate + excess)
        doubt = np.sqrt(quadratic(memory.volume_inverse, products(feats)))
        return ExpectedVolume(rate, errors * error, error, doubt)

    def chart(self, at: JudgedPane) -> None:
        """Chart the log-ratio; the sums that are the mean's elsewhere are those of volume here."""
        seen = at.of(self)
        sums = at.sums.copy()
        for name, value in (
            ("opinion", seen.log_ratio), ("mix", 0.0), ("base", seen.rate),
            ("variance", seen.error**2),
        ):  # fmt: skip
            sums[:, SUM[name]] = value
        least = np.hypot(np.log(at.settings.min_volume_ratio), DOUBTS * seen.doubt)
        self.step(at, cusum.Reading(seen.log_ratio, seen.error, least, at.known), sums)

    def effect(self, sums: Floats) -> Floats:
        """Return the logarithm of observed over expected posts since onset."""
        return np.log((of(sums, "posts") + 0.5) / (of(sums, "base") + 0.5))

    def figures(self, found: AlertCandidate, at: JudgedPane) -> Floats:
        """Return posts a pane, and their log-ratio."""
        sums = found.sums
        panes = np.maximum(of(sums, "panes"), 1.0)
        after, error = of(sums, "posts") / panes, np.sqrt(of(sums, "variance")) / panes
        return figures_of(
            len(panes), before=of(sums, "base") / panes, after=after, after_error=after * error,
            change=found.effect, change_error=error, posts=of(sums, "posts"),
        )  # fmt: skip

    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Compare with the usual volume."""
        least, seen = float(np.log(at.settings.min_volume_ratio)), at.of(self)
        effect = at.alerts.effect[:, self.slot]
        return alerts.gone(effect, seen.log_ratio, seen.error, at.known, least), at.known

    def ended(self, at: JudgedPane, over: Flags, accepted: Flags) -> None:
        """Drop what was held back, or learn it where it is the new level."""
        _drop_held(at.core, over)
        _settle(at.core, accepted, baseline.ACCEPTED_SHARE)

    def learn(self, at: JudgedPane) -> None:
        """Learn the pane, or hold it back."""
        core, seen, memory = at.core, at.of(self), VolumeMemory(at.core)
        score = Chart(core[self.chart_name]).score.max(axis=(1, 2))
        holds = at.held(memory.volume_held_since, at.fires(self), score)
        _settle(core, at.heard & ~holds & (memory.volume_held_since >= 0), 1.0)
        since = memory.volume_held_since
        memory.volume_held_since = np.where(holds & (since < 0), at.starts, since)
        rate, excess, posts = seen.rate, _excess_of(core), at.counts.posts
        weight = at.heard / (1 / rate + excess + _WANDER)
        # On the stabilised scale few posts leave no bias: log(n + 1/2) would, of 9 % at five.
        target = np.log(rate) + np.clip(seen.log_ratio, -_MOST_JUMP, _MOST_JUMP)
        gram = products(at.feats) * weight[:, None]
        side = at.feats * (weight * target)[:, None]
        now, held = at.heard & ~holds, at.heard & holds
        fade = np.where(at.heard, at.keep, 1.0)[:, None]
        for fit, rows in ((memory.volume_learnt, now), (memory.volume_held, held)):
            if rows is held and not (held.any() or (memory.volume_held_since >= 0).any()):
                continue  # all zeros, and they stay so
            row = rows.astype(np.float64)[:, None]
            fit["gram"] = fit["gram"] * fade + gram * row
            fit["log"] = fit["log"] * fade + side * row
        square = np.minimum((posts - rate) * (posts - rate), 12 * (rate + excess * rate * rate))
        scale = now / (1 + rate) ** 2
        fade = np.where(now, at.keep, 1.0)
        memory.excess[:, 0] = memory.excess[:, 0] * fade + (square - rate) * scale
        memory.excess[:, 1] = memory.excess[:, 1] * fade + rate * rate * scale

    def refit(self, core: Rows, age_s: Ints) -> None:
        """Fit the volume baselines of all rows again, in place."""
        memory = VolumeMemory(core)
        fit = VolumeFit(memory.volume_learnt)
        gram = unpacked(fit.gram)
        stiff = np.maximum(1.0, DAY_S / np.maximum(age_s, 60)) ** 2
        gram[:, range(1, F), range(1, F)] += _RIDGE[1:] * stiff[:, None]
        gram[:, 0, 0] += _RIDGE[0]
        inverse: Floats = np.asarray(np.linalg.inv(gram), dtype=np.float64)
        memory.volume_weights = np.einsum("qfg,qg->qf", inverse, fit.log)
        memory.volume_inverse = packed(inverse)

    def sentence(self, signal: ShiftSignal) -> str:
        """Say how many times as much, and how many posts."""
        how = f"{signal.change.value:.1f} times as much as"
        if signal.direction == "down":
            how = f"{1 / max(signal.change.value, 1e-3):.1f} times less than"
        return (
            f"People post about {signal.query} {how} usual: {_count(signal.after.value)} posts a "
            f"pane instead of {_count(signal.before.value)}."
        )


def _count(posts: float) -> str:
    return f"{posts:.0f}" if posts >= 10 else f"{posts:.1f}"


KIND: Final = VolumeShift()
