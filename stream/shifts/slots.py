"""The life of an alert: fires, grows, is resolved, rests. One slot a kind and query, in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.settings import ShiftSettings
from stream.shifts.layout import ENDED_AS, FIGURE, SUM, Flags, Floats, Rows
from stream.shifts.signals import KINDS, Kind

Ints = NDArray[np.int64]

OVER: Final = ENDED_AS.index("over")
ACCEPTED: Final = ENDED_AS.index("accepted")
RESET: Final = ENDED_AS.index("reset")
_SCALES: Final = {"opinion": 0.25, "mix": 0.25, "volume": float(np.log(3.0)), "brigading": 0.3}
"""The effect of an alert of severity five."""
_SHRUNK: Final = 0.7


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a chart would alert for; all (Q,).

    Attributes:
        fires: rows whose best allowed component is over its threshold.
        design, side: that component.
        score, effect: of it.
        sums: (Q, len(SUMS)) of it.
        onset: start of the first pane of it.
    """

    fires: Flags
    design: Ints
    side: Ints
    score: Floats
    effect: Floats
    sums: Floats
    onset: Ints


def best(chart: Rows, effect: Floats, allowed: Flags) -> Candidate:
    """Return the allowed component with most evidence of every row."""
    score = np.where(allowed, chart["score"], -1.0)
    count, designs = len(score), int(score.shape[1])
    at = score.reshape(count, designs * 2).argmax(axis=1)
    row = np.arange(count, dtype=np.int64)
    design, side = at // 2, at % 2
    return Candidate(
        fires=score[row, design, side] > 0,
        design=design,
        side=side,
        score=score[row, design, side],
        effect=effect[row, design, side],
        sums=chart["sums"][row, design, side],
        onset=chart["onset"][row, design, side],
    )


def severity_of(kind: Kind, effect: Floats) -> NDArray[np.uint8]:
    """Return 1 to 10 from the size of an effect: half of the scale at its typical size."""
    graded = np.rint(10 * (1 - 2.0 ** (-np.abs(effect) / _SCALES[kind])))
    return np.clip(graded, 1, 10).astype(np.uint8)


def fire(
    core: Rows, kind: Kind, found: Candidate, threshold: Floats, figures: Floats, ends_s: Ints
) -> None:
    """Fire where a candidate is new, and let those that fire grow."""
    slot = KINDS.index(kind)
    firing = core["firing"][:, slot] > 0
    rests = core["quiet_until"][:, slot][np.arange(len(core)), found.side] > ends_s
    new = found.fires & ~firing & ~rests
    severity = severity_of(kind, found.effect)
    same = found.fires & firing & (core["side"][:, slot] == found.side)
    grows = same & (severity > core["severity"][:, slot])
    for name, value in (("firing", 1), ("side", found.side), ("started", found.onset),
                        ("fired", ends_s), ("ended_as", 0), ("ending", 0.0)):  # fmt: skip
        core[name][:, slot] = np.where(new, value, core[name][:, slot])
    changed = new | grows
    core["effect"][:, slot] = np.where(new, found.effect, core["effect"][:, slot])
    for name, value in (("severity", severity), ("design", found.design),
                        ("evidence", found.score), ("threshold", threshold)):  # fmt: skip
        core[name][:, slot] = np.where(changed, value, core[name][:, slot])
    # What has been going on for longer is known better: an end is judged by the smaller estimate.
    smaller = same & (np.abs(found.effect) < np.abs(core["effect"][:, slot]))
    core["effect"][:, slot] = np.where(smaller, found.effect, core["effect"][:, slot])
    core["figures"][:, slot] = np.where(changed[:, None], figures, core["figures"][:, slot])


def gone(effect: Floats, residual: Floats, error: Floats, valid: Flags, least: float) -> Floats:
    """Return (Q,) the log-likelihood ratio of a pane as before against the effect that fired.

    A little less than the effect, which luck made look larger at the moment that it fired.
    """
    size = np.sign(effect) * np.maximum(_SHRUNK * np.abs(effect), least)
    safe = np.where(valid, error, 1.0)
    return size * (size / 2 - np.clip(residual, -10 * safe, 10 * safe)) / (safe * safe)


def wane(
    core: Rows, kind: Kind, gain: Floats, valid: Flags, settings: ShiftSettings, ends_s: Ints
) -> tuple[Flags, Flags]:
    """Resolve what is over or has become normal.

    A CUSUM of `gain`, "as before" against the effect that fired: hysteresis by evidence, not by a
    second threshold that noise crosses back and forth.

    Returns:
        Rows that are over, rows that are accepted.
    """
    slot = KINDS.index(kind)
    firing = core["firing"][:, slot] > 0
    ending = np.maximum(0.0, core["ending"][:, slot] + np.clip(gain, -20, 20))
    core["ending"][:, slot] = np.where(firing & valid, ending, core["ending"][:, slot])
    over = firing & valid & (core["ending"][:, slot] >= settings.resolve_evidence)
    lasted = ends_s - core["fired"][:, slot]
    accepted = firing & ~over & (lasted >= settings.accept_after_s)
    end(core, kind, over, OVER, settings, ends_s)
    end(core, kind, accepted, ACCEPTED, settings, ends_s)
    return over, accepted


def end(
    core: Rows, kind: Kind, rows: Flags, why: int, settings: ShiftSettings, ends_s: Ints
) -> None:
    """Resolve the alerts of `rows` and let the same direction rest."""
    slot = KINDS.index(kind)
    core["firing"][rows, slot] = 0
    core["ended_as"][rows, slot] = why
    side = core["side"][:, slot].astype(np.int64)
    resting = core["quiet_until"][:, slot]
    chosen = np.arange(len(core))[rows]
    resting[chosen, side[rows]] = ends_s[rows] + settings.cooldown_s


def mean_figures(found: Candidate, part: str) -> Floats:
    """Return (Q, 12) figures of a change of the mean: before, after and both parts."""
    sums = found.sums
    rated = np.maximum(sums[:, SUM["rated"]], 1.0)
    before = sums[:, SUM["base"]] / rated
    opinion, mix = sums[:, SUM["opinion"]] / rated, sums[:, SUM["mix"]] / rated
    # What is known of the crowd's labels: the spread of the posts and the doubt about each label.
    doubt = sums[:, SUM["label_variance"]] / (rated * rated)
    error = np.sqrt(sums[:, SUM["variance"]] / (rated * rated) + doubt)
    figures = np.zeros((len(rated), len(FIGURE)))
    for name, value in (
        ("before", before), ("after", before + opinion + mix), ("after_error", error),
        ("change", opinion + mix), ("change_error", error), ("mix", mix), ("opinion", opinion),
        ("posts", sums[:, SUM["posts"]]),
    ):  # fmt: skip
        figures[:, FIGURE[name]] = value
    return figures


def volume_figures(found: Candidate) -> Floats:
    """Return (Q, 12) figures of a change of volume: posts a pane, and their log-ratio."""
    sums = found.sums
    panes = np.maximum(sums[:, SUM["panes"]], 1.0)
    before, after = sums[:, SUM["base"]] / panes, sums[:, SUM["posts"]] / panes
    error = np.sqrt(sums[:, SUM["variance"]]) / panes
    figures = np.zeros((len(panes), len(FIGURE)))
    for name, value in (
        ("before", before), ("after", after), ("after_error", after * error),
        ("change", found.effect), ("change_error", error), ("posts", sums[:, SUM["posts"]]),
    ):  # fmt: skip
        figures[:, FIGURE[name]] = value
    return figures


def repeats_figures(found: Candidate, usual: Floats) -> Floats:
    """Return (Q, 12) figures of brigading: share of repeated posts; `usual` is (Q, 2)."""
    sums = found.sums
    posts = np.maximum(sums[:, SUM["posts"]], 1.0)
    row = np.arange(len(posts))
    before = usual[row, found.side]
    names = ("repeats_variance", "copies_variance")
    variance = np.stack([sums[:, SUM[name]] for name in names], axis=1)[row, found.side]
    error = np.sqrt(variance) / posts
    figures = np.zeros((len(posts), len(FIGURE)))
    for name, value in (
        ("before", before), ("after", before + found.effect), ("after_error", error),
        ("change", found.effect), ("change_error", error), ("posts", sums[:, SUM["posts"]]),
        ("copies", found.side),
    ):  # fmt: skip
        figures[:, FIGURE[name]] = value
    return figures
