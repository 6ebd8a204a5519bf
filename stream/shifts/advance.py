"""One pane on, for any number of queries at once: compare, chart, alert, learn. Pure, in place.

The order matters: a pane is judged by what was known before it, and only then learnt, unless it is
held back because a shift is suspected.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts import alerts, cusum, gates
from stream.shifts.columns import Flags, Floats, Ints, Rows
from stream.shifts.kinds import KINDS
from stream.shifts.kinds.base import JudgedPane
from stream.shifts.layout import ABSENT, SILENT, SUM, SUMS, AlertSlots, Chart, CoreHead, PaneCounts
from stream.shifts.seasons import features

_REFIT_EVERY: Final = 15


def advance(
    core: Rows,
    pane: Rows,
    settings: ShiftSettings,
    pane_s: int,
    refused: Counter[str] | None = None,
    asked: Floats | None = None,
) -> JudgedPane:
    """Judge a pane of each query and learn it.

    Args:
        core: (Q,) The states, changed in place.
        pane: (Q,) What was counted; rows flagged absent leave their state as it is.
        settings: The thresholds and gates.
        pane_s: The length of a pane.
        refused: Counts what each gate refused, if given.
        asked: (Q, kinds) The thresholds of the queries' own rules; see `JudgedPane`.

    Returns:
        The pane beside what was expected of it.
    """
    head, counts = CoreHead(core), PaneCounts(pane)
    live = (counts.flags & ABSENT) == 0
    heard = live & ((counts.flags & SILENT) == 0)
    _meet(core, pane, live)
    reset = _change_model(core, pane, heard, settings, pane_s)
    known = heard & (counts.start - head.known_since >= settings.warmup_s)
    at = _compare(core, pane, settings, pane_s, heard, known)
    at.asked = asked
    for kind in KINDS:
        kind.chart(at)
    accepted = _resolve(at)
    _fire(at, refused)
    for kind in KINDS:
        kind.learn(at)
    head.panes += live
    _refit(core, counts.start, live, accepted | reset, pane_s)
    return at


def _compare(
    core: Rows, pane: Rows, settings: ShiftSettings, pane_s: int, heard: Flags, known: Flags
) -> JudgedPane:
    """Return a pane beside what was expected of it, with what it adds to the sums of charts."""
    counts, sums = PaneCounts(pane), np.zeros((len(pane), len(SUMS)))
    feats = features(counts.start)
    at = JudgedPane(core, pane, feats, settings, pane_s, KINDS, heard, known, sums)
    for name, value in (("panes", 1.0), ("authors", counts.authors), ("posts", counts.posts)):
        sums[:, SUM[name]] = value
    for kind in KINDS:
        if kind.baseline_of not in at.expected:
            at.expected[kind.baseline_of] = kind.expect(core, pane, feats)
        kind.add_sums(at)
    return at


def _meet(core: Rows, pane: Rows, live: Flags) -> None:
    """Begin with queries that are new."""
    head, counts = CoreHead(core), PaneCounts(pane)
    new = live & (head.known_since < 0)
    head.known_since = np.where(new, counts.start, head.known_since)
    for kind in KINDS:
        kind.meet(core, pane, new)


def _change_model(
    core: Rows, pane: Rows, heard: Flags, settings: ShiftSettings, pane_s: int
) -> Flags:
    """Start what rests on sentiment again where another model scores than before."""
    head, counts = CoreHead(core), PaneCounts(pane)
    named = heard & (counts.model != 0)
    other = named & (head.model != 0) & (head.model != counts.model)
    head.model = np.where(named, counts.model, head.model)
    if not other.any():
        return other
    head.model_since = np.where(other, counts.start, head.model_since)
    for kind in KINDS:
        if kind.of_sentiment:
            kind.forget(core, other)
            cusum.clear(core[kind.chart_name], other)
            ended = other & (AlertSlots(core).firing[:, kind.slot] > 0)
            alerts.end(core, kind.slot, ended, alerts.RESET, settings, counts.start + pane_s)
    return other


def _resolve(at: JudgedPane) -> Flags:
    """Resolve what is over; return the rows whose new level of sentiment or volume is accepted."""
    any_accepted = np.zeros(len(at.core), dtype=np.bool_)
    firing = at.alerts.firing.max(axis=0, initial=0)
    for kind in KINDS:
        if not firing[kind.slot]:
            continue
        gain, valid = kind.gone(at)
        over, accepted = alerts.wane(
            at.core, kind.slot, gain, valid & at.known, at.settings, at.ends
        )
        cusum.clear(at.core[kind.chart_name], over | accepted)
        kind.ended(at, over, accepted)
        any_accepted |= accepted
    return any_accepted


def _fire(at: JudgedPane, refused: Counter[str] | None) -> None:
    """Raise alerts, of opinion last: what other kinds say of this very pane counts for it."""
    for kind in reversed(KINDS):
        chart = at.core[kind.chart_name]
        bank = Chart(chart)
        needed = kind.needed(at)
        over = kind.may_fire(at)[:, None, None] & (bank.score >= needed[:, None, None])
        if not over.any():
            continue
        effect = kind.effect(bank.sums)
        passes = {name: g(effect, bank.sums, at.settings) for name, g in kind.gates.items()}
        if refused is not None:
            refused.update(gates.refusals(kind.gates, passes, over))
        found = alerts.best(chart, effect, over & np.logical_and.reduce(list(passes.values())))
        figures = kind.figures(found, at)
        alerts.fire(at.core, kind.slot, kind.scale, found, needed, figures, at.ends)


def standing(core: Rows, settings: ShiftSettings) -> Floats:
    """Return (Q, kinds) the highest score that every gate lets pass: what thresholds are set on."""
    found = np.zeros((len(core), len(KINDS)))
    for kind in KINDS:
        bank = Chart(core[kind.chart_name])
        effect = kind.effect(bank.sums)
        passes = [gate(effect, bank.sums, settings) for gate in kind.gates.values()]
        allowed = np.logical_and.reduce(passes)
        found[:, kind.slot] = np.where(allowed, bank.score, 0.0).max(axis=(1, 2))
    return found


def _refit(core: Rows, starts: Ints, live: Flags, forced: Flags, pane_s: int) -> None:
    """Fit again: every pane at first, then every fifth, then every quarter of an hour."""
    age_s = starts - CoreHead(core).known_since
    age = age_s // pane_s
    due = (age < 15) | ((age < 120) & (age % 5 == 0)) | (starts // pane_s % _REFIT_EVERY == 0)
    due = live & (due | forced)
    if due.all():
        for kind in KINDS:
            kind.refit(core, age_s)
    elif due.any():
        rows = core[due]
        for kind in KINDS:
            kind.refit(rows, age_s[due])
        core[due] = rows
