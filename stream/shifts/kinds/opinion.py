"""Opinion: the same people say something else. And what it shares with the mix of who speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from core.schemas import Contribution, Interval
from core.settings import ShiftSettings
from stream.shifts import alerts, baseline, cusum
from stream.shifts.alerts import AlertCandidate
from stream.shifts.baseline import Expected, MeanMemory
from stream.shifts.columns import Flags, Floats, Ints, Rows
from stream.shifts.gates import Gate, enough_authors, enough_posts, lasting, not_repeated, of
from stream.shifts.kinds import brigading, volume
from stream.shifts.kinds.base import DOUBTS, CrowdMinute, JudgedPane, ShiftKind
from stream.shifts.layout import OTHER, SUM, AlertSlots, Chart, PaneCounts, S, figures_of
from stream.shifts.seasons import features
from stream.shifts.signals import ShiftSignal

_NAMED_STRATA: Final = 2


def large_mean(effect: Floats, _sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse changes of the mean that nobody would act on."""
    return np.abs(effect) >= settings.min_opinion_effect


class MeanShift(ShiftKind[Expected]):
    """What opinion and mix share: both are parts of a change of the mean sentiment."""

    has_strata = True
    of_sentiment = True
    holds_mean = True
    scale = 0.25
    baseline_of = "opinion"
    part: Literal["opinion", "mix"]

    def expect(self, core: Rows, pane: Rows, feats: Floats) -> Expected:
        """Compare a pane with what its query's baseline expects."""
        return baseline.expect(core, pane, feats)

    def effect(self, sums: Floats) -> Floats:
        """Return the mean of the part since onset."""
        return of(sums, self.part) / np.maximum(of(sums, "rated"), 1.0)

    def needed(self, at: JudgedPane) -> Floats:
        """Ask for more while volume fires: a larger crowd is partly another one, no opinion."""
        return super().needed(at) + at.settings.loud_evidence * at.fires(volume.KIND)

    def may_fire(self, at: JudgedPane) -> Flags:
        """Name what few accounts say, and do not judge it as what the crowd says."""
        return at.known & ~at.fires(brigading.KIND)

    def settled(self, at: JudgedPane) -> Flags:
        """Return the rows with rated posts whose model has scored for long enough."""
        since = at.head.model_since
        settled = (since <= 0) | (at.starts - since >= at.settings.model_silence_s)
        return at.known & settled & (at.of(self).rated > 0)

    def figures(self, found: AlertCandidate, at: JudgedPane) -> Floats:
        """Return a change of the mean: before, after and both parts."""
        return _figures(found.sums)

    def gone_as_before(
        self, at: JudgedPane, residual: Floats, error: Floats, least: float
    ) -> tuple[Floats, Flags]:
        """Compare a part of the change with none, where posts are rated."""
        rated = at.known & (at.of(self).rated > 0)
        return alerts.gone(at.alerts.effect[:, self.slot], residual, error, rated, least), rated

    def ended(self, at: JudgedPane, over: Flags, accepted: Flags) -> None:
        """Drop what was held back, or learn it where it is the new level."""
        baseline.end_holding(at.core, at.keeps_from_learning_the_mean(), over, accepted)

    def now(
        self, names: Mapping[str, int], core: Rows, decided_s: int
    ) -> tuple[Floats, tuple[Contribution, ...]]:
        """Return the figures of the component that fired, as they are now, with its strata.

        Figures and strata come from the same sums, so they add up; where the component has come to
        rest (a late correction), the figures are those of the moment it fired, without strata.
        """
        slots, chart = AlertSlots(core), Chart(core[self.chart_name])
        design, side = int(slots.design[0, self.slot]), int(slots.side[0, self.slot])
        sums = chart.sums[:, design, side]
        if sums[0, SUM["rated"]] <= 0:
            return slots.figures[0, self.slot], ()
        strata = chart.strata[0, design, side].astype(np.float64)
        return _figures(sums)[0], _strata(names, core, strata, decided_s)

    def with_strata(self, text: str, strata: tuple[Contribution, ...]) -> str:
        """Return a sentence with the strata that most of the change comes from."""
        ranked = sorted(strata, key=lambda one: -abs(getattr(one, self.part)))
        named = [
            f"{one.stratum} ({value:+.2f})"
            for one in ranked[:_NAMED_STRATA]
            if abs(value := getattr(one, self.part)) >= 0.005
        ]
        return f"{text} Most of it comes from {' and '.join(named)}." if named else text


def _figures(sums: Floats) -> Floats:
    rated = np.maximum(of(sums, "rated"), 1.0)
    before = of(sums, "base") / rated
    opinion, mix = of(sums, "opinion") / rated, of(sums, "mix") / rated
    # What is known of the crowd's labels: the spread of the posts and the doubt about each label.
    doubt = of(sums, "label_variance") / (rated * rated)
    error = np.sqrt(of(sums, "variance") / (rated * rated) + doubt)
    return figures_of(
        len(rated), before=before, after=before + opinion + mix, after_error=error,
        change=opinion + mix, change_error=error, mix=mix, opinion=opinion,
        posts=of(sums, "posts"),
    )  # fmt: skip


def _strata(
    names: Mapping[str, int], core: Rows, sums: Floats, decided_s: int
) -> tuple[Contribution, ...]:
    """Return the parts of the change by stratum, largest first; they add up to the change."""
    total, memory = max(float(sums[0].sum()), 1.0), MeanMemory(core)
    fitted = (features(np.array([decided_s]))[0] @ memory.weights[0]).clip(-1, 1)
    shares, tilt = fitted[1:], memory.tilt[0]
    level = fitted[0] - float(shares @ tilt)
    named = {slot: name for name, slot in names.items()}
    named[OTHER] = "other"
    found: list[Contribution] = []
    for slot in range(S):
        posts, opinion, mix = (float(value) for value in sums[:, slot])
        if slot not in named or (posts <= 0 and mix == 0 and opinion == 0):
            continue
        before = float(level + tilt[slot])
        found.append(
            Contribution(
                stratum=named[slot],
                posts=round(posts),
                share_before=max(0.0, float(shares[slot])),
                share_after=posts / total,
                mean_before=before,
                mean_after=before + (opinion / posts if posts > 0 else 0.0),
                mix=mix / total,
                opinion=opinion / total,
            )
        )
    return tuple(sorted(found, key=lambda one: (-abs(one.mix + one.opinion), one.stratum)))


def change_of_mean(signal: ShiftSignal) -> str:
    """Return from where to where the mean went, and how sure that is."""
    change = signal.change
    return (
        f"from {_mean(signal.before)} to {_mean(signal.after)} "
        f"(change {change.value:+.2f}, 95 % between {change.low:+.2f} and {change.high:+.2f}, "
        f"{signal.posts} posts)"
    )


def _mean(estimate: Interval) -> str:
    return f"{estimate.value:+.2f}"


_GATES: Final[dict[str, Gate]] = {
    "few_posts": enough_posts, "few_authors": enough_authors, "small_effect": large_mean,
    "one_pane": lasting, "repeated": not_repeated,
}  # fmt: skip


class OpinionShift(MeanShift):
    """Judged by the change of the mean within strata."""

    name = "opinion"
    noun = "opinion"
    part = "opinion"
    setting = "opinion_threshold"
    designs = (0.15, 0.3, 0.6, 1.2, 2.4, 4.8)
    """In standard errors of a pane."""
    memory = MeanMemory
    budget = 0.60
    gates = _GATES
    planted = CrowdMinute({"s|en|a": (30, -0.2), "s|en|b": (20, -0.7)}, authors=48, copies=1)

    def add_sums(self, at: JudgedPane) -> None:
        """Add both parts of the change, as the charts of all kinds may show them."""
        seen, counts = at.of(self), at.counts
        for name, value in (
            ("opinion", seen.opinion * seen.rated), ("mix", seen.mix * seen.rated),
            ("rated", seen.rated), ("base", seen.base * seen.rated),
            ("label_variance", counts.label_variance), ("variance", (seen.error * seen.rated) ** 2),
        ):  # fmt: skip
            at.sums[:, SUM[name]] = value
        parts = [PaneCounts(at.pane).rated, seen.opinion_strata, seen.mix_strata]
        at.strata = np.stack(parts, axis=1, dtype=np.float32)

    def chart(self, at: JudgedPane) -> None:
        """Chart what strata say, against the smallest change worth an alert and the doubt."""
        seen = at.of(self)
        least = np.hypot(at.settings.min_opinion_effect, DOUBTS * seen.doubt)
        self.step(at, cusum.Reading(seen.opinion, seen.error, least, self.settled(at)), at.sums)

    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Compare with what strata usually say."""
        seen = at.of(self)
        return self.gone_as_before(at, seen.opinion, seen.error, at.settings.min_opinion_effect)

    def learn(self, at: JudgedPane) -> None:
        """Learn the pane, or hold it back."""
        core, seen, memory = at.core, at.of(self), MeanMemory(at.core)
        scores = [
            Chart(core[kind.chart_name]).score.max(axis=(1, 2))
            for kind in at.kinds
            if kind.of_sentiment
        ]
        firing = at.keeps_from_learning_the_mean()
        holds = at.held(memory.held_since, firing, np.maximum.reduce(scores))
        baseline.settle(core, at.heard & ~holds & (memory.held_since >= 0), 1.0)
        since = memory.held_since
        memory.held_since = np.where(holds & (since < 0), at.starts, since)
        baseline.learn(core, at.pane, at.feats, seen, at.keep, at.heard, holds)
        repeats = at.of(brigading.KIND)
        usual = repeats.excess / repeats.error * np.sqrt(repeats.dispersion)[:, None]
        rows = at.heard & ~holds & (seen.rated > 0)
        baseline.learn_dispersion(core, seen, usual[:, 0], at.keep, rows)

    def refit(self, core: Rows, age_s: Ints) -> None:
        """Fit the baselines of all rows again, in place."""
        baseline.refit(core, age_s)

    def forget(self, core: Rows, rows: Flags) -> None:
        """Forget what scores of another model taught."""
        baseline.forget(core, rows)

    def sentence(self, signal: ShiftSignal) -> str:
        """Say where the mean went, and how much of it is because others speak."""
        verb = "fell" if signal.direction == "down" else "rose"
        mixed = ""
        if abs(signal.mix) >= 0.25 * abs(signal.opinion):
            mixed = f" {signal.mix:+.2f} of it is because others speak."
        text = f"Opinion about {signal.query} {verb} {change_of_mean(signal)}.{mixed}"
        return self.with_strata(text, signal.strata)


KIND: Final = OpinionShift()
