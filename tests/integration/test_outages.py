"""Platforms break off and ingest is killed: every post is in the panes once, or a counted gap.

The short form of `python -m benchmarks.outages`, which takes a hundred thousand events a source.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.outage_forms import FORMS
from benchmarks.outage_run import Outcome, Plan, bring, faults_of

pytestmark = pytest.mark.integration

SHORT = Plan(events=1_200, disconnections=8, kills=2)


@pytest.mark.parametrize("name", FORMS)
def test_a_platform_that_breaks_off_and_a_killed_ingest_lose_and_repeat_nothing(name: str):
    outcome = bring(name, SHORT)
    assert faults_of(outcome) == []
    assert outcome.totals["gaps"] == 0, "these platforms keep everything"
    assert outcome.disturbances >= SHORT.disconnections
    assert outcome.in_panes > 400


GOOD = Outcome(
    totals={"gaps": 0, "dropped": 0, "unmappable": 0}, events=10, posts=8, removed=1, in_panes=7,
    missing=0, twice=0, disturbances=2, kills=1, resident=[100] * 40, seconds=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (replace(GOOD, missing=1, in_panes=6), "1 posts are missing, and no gap is counted"),
        (replace(GOOD, twice=2), "2 posts were scored twice"),
        (replace(GOOD, in_panes=8), "the panes have 8 posts of 7"),
        (replace(GOOD, resident=[100] * 20 + [150] * 20), "memory grew to 1.50 times what it was"),
        (replace(GOOD, totals={**GOOD.totals, "dropped": 3}), "good events were dropped or not"),
    ],
)
def test_what_was_not_kept_is_said(outcome: Outcome, fault: str):
    assert len(faults_of(outcome)) == 1
    assert faults_of(outcome)[0].startswith(fault)


def test_a_good_outcome_has_no_fault_and_a_counted_gap_is_none():
    assert faults_of(GOOD) == []
    assert faults_of(replace(GOOD, missing=1, in_panes=6, totals={**GOOD.totals, "gaps": 1})) == []
