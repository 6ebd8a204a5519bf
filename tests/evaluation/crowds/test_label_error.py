"""Correcting a head's errors helps where they are those that were measured, and is judged so."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.crowds.label_error import RatedCrowd, debate_crowds, judge, told
from evaluation.shares.fit import fit_correction, one_hot
from models.socialalign.crowd_config import HEAD_CLASSES

SPREAD = np.array([[0.9, 0.05, 0.05], [0.4, 0.55, 0.05], [0.05, 0.35, 0.6]])
"""How the head spreads the answers of each true class."""


def crowd(shares: list[float], seed: int, answers: int = 400) -> RatedCrowd:
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, answers, p=shares)
    said = np.array([rng.choice(3, p=SPREAD[label]) for label in truth])
    return RatedCrowd(truth, 0.8 * one_hot(said, 3) + 0.2 / 3)


def test_errors_that_are_known_are_taken_out_and_others_put_in() -> None:
    known = crowd([1 / 3] * 3, 1, 3_000)
    right = {
        "labels": fit_correction(
            one_hot(known.heads.argmax(axis=1), 3), known.truth, "abc", range(3)
        ),
        "probabilities": fit_correction(known.heads, known.truth, "abc", range(3)),
    }
    crowds = [crowd([0.1, 0.8, 0.1], seed) for seed in range(20)]
    found = judge(crowds, right, 50)
    for way in ("labels", "probabilities"):
        assert found[f"{way}.js_change"].high < -0.05
        assert found[f"{way}.corrected_negative_error"].value < 0.05
        assert found[f"{way}.negative_error"].value > 0.2
        assert found[f"{way}.log_score_after_20_change"].value > 0
    perfect = [RatedCrowd(one.truth, one_hot(one.truth, 3)) for one in crowds]
    assert judge(perfect, right, 50)["labels.js_change"].low > 0.05, "the head makes none of these"


def test_without_correction_shares_are_what_is_counted() -> None:
    heads = np.array([[0.6, 0.4, 0.0], [0.0, 0.4, 0.6]])
    assert told("labels", heads, None).tolist() == [0.5, 0, 0.5]
    assert told("probabilities", heads, None) == pytest.approx([0.3, 0.4, 0.3])


def test_crowds_are_read_with_peoples_labels_of_what_the_head_rates(tmp_path: Path) -> None:
    file = tmp_path / "streams" / "gop_debate.csv.gz"
    file.parent.mkdir()
    with gzip.open(file, "wt", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["created_at", "text", "subject", "topic", "label"])
        for n in range(14):
            rows.writerow([f"{n:02}", f"text {n}", "jobs", "one", ("negative", "positive")[n % 2]])
        rows.writerow(["20", "RT @who: text 3", "jobs", "one", "positive"])
        rows.writerow(["21", "text 50", "jobs", "other", "positive"])

    def heads_of(texts: list[str]) -> np.ndarray:
        heads = np.tile(np.eye(HEAD_CLASSES)[1], (len(texts), 1))
        heads[0] = np.nan
        return heads

    (found,) = debate_crowds(tmp_path, heads_of)
    assert found.truth.tolist() == [2, 0] * 6 + [2]
    assert found.heads.shape == (13, 3)
    with pytest.raises(ConfigError, match="gone"):
        debate_crowds(tmp_path / "gone", heads_of)
