"""Brigading: posts that are not one author's one say, by few authors or by copies of one text.

A crowd that grows repeats itself more (the same people post again within the minute), so the usual
share of repeats is fitted to the logarithm of the volume. A brigade or a swarm of bots is a share
far above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import baseline, cusum
from stream.shifts.alerts import AlertCandidate
from stream.shifts.baseline import MeanMemory
from stream.shifts.columns import Flags, Floats, RecordColumn, Records, Rows
from stream.shifts.gates import Gate, of
from stream.shifts.kinds.base import HOLD_SCORE, USUAL, CrowdMinute, JudgedPane, ShiftKind
from stream.shifts.layout import SUM, Chart, PaneCounts, figures_of
from stream.shifts.signals import ShiftSignal

SKETCH_ERROR: Final = 0.0081
"""Standard error of the estimate of unique authors, relative to it."""
_CUT: Final = 4.0
_LEAST_LEARNT: Final = 300.0
"""Posts before the usual share of a query is known well enough to be exceeded."""
_LEAST_USUAL: Final = 0.01
"""No crowd is thought to repeat itself less: a single repeat must not be a sensation."""


class RepeatsMemory(Records):
    """What is usual of repeated posts, first of few authors, then of copies."""

    repeats_gram = RecordColumn[Floats]("f8", (2, 3), start=(50, 0, 500))
    repeats_share = RecordColumn[Floats]("f8", (2, 2), start=(50 * 0.02, 0))


@dataclass(frozen=True, slots=True)
class Repeats:
    """Shares of posts that repeat an author, and that copy a text; (Q, 2) in this order.

    Attributes:
        share: The observed share.
        usual: The expected share.
        error: The standard error of the difference.
        dispersion: (Q,) How much more it varies than a Poisson count.
        counted: The rows and sides that were counted.
        valid: Those of them whose usual share is known.
    """

    share: Floats
    usual: Floats
    error: Floats
    dispersion: Floats
    counted: Flags
    valid: Flags

    def evidence(self, posts: Floats, more: Floats) -> Floats:
        """Return the log-likelihood ratio of a share that is `more` larger, against the usual one.

        Of Poisson counts, over their dispersion: repeats are few and skewed where posts are few,
        and a normal approximation would call every third repeat in fifteen posts a brigade.

        Args:
            posts: (Q,) The posts of the pane.
            more: (Q, K, 2) How much larger.
        """
        usual, share = self.usual[:, None, :], self.share[:, None, :]
        size = (posts[:, None] / self.dispersion[:, None])[:, None, :]
        gain = share * np.log1p(more / usual) - more
        return gain * size * self.valid[:, None, :]

    @property
    def excess(self) -> Floats:
        """Return (Q, 2) observed less expected."""
        return (self.share - self.usual) * self.valid


def _line(core: Rows) -> tuple[Floats, Floats]:
    """Return slope and level of the share over log(1 + posts), (Q, 2) each."""
    memory = RepeatsMemory(core)
    gram, side = memory.repeats_gram, memory.repeats_share
    n, first, second = gram[:, :, 0], gram[:, :, 1], gram[:, :, 2]
    determinant = np.maximum(n * second - first * first, 1e-9)
    slope = (n * side[:, :, 1] - first * side[:, :, 0]) / determinant
    return slope, (second * side[:, :, 0] - first * side[:, :, 1]) / determinant


def large_share(effect: Floats, _sums: Floats, settings: ShiftSettings) -> Flags:
    """Refuse shares of repeats that could not move much."""
    return effect >= settings.min_brigading_share


_GATES: Final[dict[str, Gate]] = {"small_effect": large_share}


class Brigading(ShiftKind[Repeats]):
    """Judged by the share of repeats; its sides are few authors and copies."""

    name = "brigading"
    noun = "brigading"
    setting = "brigading_threshold"
    designs = (1.0, 3.0)
    """In smallest shares worth an alert."""
    chart_name = "repeats"
    memory = RepeatsMemory
    scale = 0.3
    directions = ("up", "up")
    holds_mean = True
    least_threshold = 10.0
    gates = _GATES
    planted = CrowdMinute(dict(USUAL.strata) | {"s|en|c": (13, -1.0)}, authors=49, copies=1)

    def expect(self, core: Rows, pane: Rows, feats: Floats) -> Repeats:
        """Compare a pane's repeats with the usual ones at its volume."""
        counts, memory = PaneCounts(pane), RepeatsMemory(core)
        posts, authors = counts.posts, counts.authors
        size = np.maximum(posts, 1.0)
        repeated = np.maximum(posts - authors, 0.0)
        share = np.stack([repeated, np.minimum(counts.copies, posts)], axis=1) / size[:, None]
        slope, level = _line(core)
        usual = np.clip(level + slope * np.log1p(posts)[:, None], _LEAST_USUAL, 0.95)
        spread = MeanMemory(core).dispersion
        dispersion = np.maximum(1.0, spread[:, 2, 0] / spread[:, 2, 1])
        variance = usual * np.maximum(1 - usual, 0.05) / size[:, None] * dispersion[:, None]
        variance[:, 0] += (SKETCH_ERROR * authors / size) ** 2
        learnt = memory.repeats_gram[:, :, 0] >= _LEAST_LEARNT
        there = np.stack([authors > 0, counts.has_copies > 0], axis=1)
        counted = there & (posts > 0)[:, None]
        error = np.sqrt(variance + 1e-6)
        return Repeats(share, usual, error, dispersion, counted, counted & learnt)

    def add_sums(self, at: JudgedPane) -> None:
        """Add what few authors and copies explain of a change."""
        seen, count = at.of(self), at.counts.posts
        squared = (seen.error * count[:, None]) ** 2 * seen.valid
        excess = seen.excess * count[:, None]
        for side, name in enumerate(("repeats", "copies")):
            at.sums[:, SUM[name]] = excess[:, side]
            at.sums[:, SUM[f"{name}_variance"]] = squared[:, side]

    def chart(self, at: JudgedPane) -> None:
        """Add the evidence of larger shares, one side for authors, one for copies."""
        seen = at.of(self)
        designs = at.settings.min_brigading_share * np.asarray(self.designs)[None, :, None]
        gain = seen.evidence(at.counts.posts, designs)
        valid = at.known & seen.valid.any(axis=1)
        cusum.advance(at.core[self.chart_name], gain, valid, at.starts, at.sums)

    def effect(self, sums: Floats) -> Floats:
        """Return the excess share of repeats (side 0) and of copies (side 1) since onset."""
        posts = np.maximum(of(sums, "posts"), 1.0)
        excess = np.stack([of(sums, "repeats")[..., 0], of(sums, "copies")[..., 1]], axis=-1)
        return excess / posts

    def figures(self, found: AlertCandidate, at: JudgedPane) -> Floats:
        """Return the share of repeated posts, usual and now."""
        sums, row = found.sums, np.arange(len(found.side))
        posts = np.maximum(of(sums, "posts"), 1.0)
        before = at.of(self).usual[row, found.side]
        names = ("repeats_variance", "copies_variance")
        variance = np.stack([of(sums, name) for name in names], axis=1)[row, found.side]
        error = np.sqrt(variance) / posts
        return figures_of(
            len(posts), before=before, after=before + found.effect, after_error=error,
            change=found.effect, change_error=error, posts=of(sums, "posts"), copies=found.side,
        )  # fmt: skip

    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Return the evidence that brigading is over, and where it was counted."""
        count, seen = len(at.core), at.of(self)
        row, side = np.arange(count), at.alerts.side[:, self.slot].astype(np.int64)
        least = at.settings.min_brigading_share
        effect = np.maximum(0.7 * at.alerts.effect[:, self.slot], least)
        more = np.broadcast_to(effect[:, None, None], (count, 1, 2))
        return -seen.evidence(at.counts.posts, more)[row, 0, side], seen.valid[row, side]

    def ended(self, at: JudgedPane, over: Flags, accepted: Flags) -> None:
        """Begin with opinion anew: what was summed up meanwhile was not the crowd's."""
        for kind in at.kinds:
            if kind.of_sentiment:
                cusum.clear(at.core[kind.chart_name], over | accepted)
        baseline.end_holding(at.core, at.keeps_from_learning_the_mean(), over, accepted)

    def learn(self, at: JudgedPane) -> None:
        """Learn the usual share; what is far above it teaches only as much as an outlier."""
        seen, memory, posts = at.of(self), RepeatsMemory(at.core), at.counts.posts
        repeated = Chart(at.core[self.chart_name]).score.max(axis=(1, 2)) > HOLD_SCORE
        rows = (at.heard & ~repeated)[:, None] & seen.counted
        share = np.clip(seen.share, seen.usual - _CUT * seen.error, seen.usual + _CUT * seen.error)
        logs = np.log1p(posts)[:, None]
        weight = posts[:, None] * rows
        fade = np.where(rows, at.keep, 1.0)[:, :, None]
        gram = np.stack([weight, weight * logs, weight * logs * logs], axis=2)
        side = np.stack([weight * share, weight * share * logs], axis=2)
        memory.repeats_gram = memory.repeats_gram * fade + gram
        memory.repeats_share = memory.repeats_share * fade + side

    def sentence(self, signal: ShiftSignal) -> str:
        """Say whose posts they are, and that they are not judged as the crowd's."""
        who = "copies of the same texts" if signal.copies else "few authors"
        return (
            f"{signal.change.value:.0%} of the posts about {signal.query} are {who} beyond the "
            f"usual {signal.before.value:.0%}: this is not the crowd, and opinion is not judged by "
            "it."
        )


KIND: Final = Brigading()
