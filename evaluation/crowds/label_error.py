"""What the sentiment head's errors do to the shares of a crowd, and whether correcting them helps.

    .venv-server/bin/python -m evaluation.crowds.label_error --data DIR --json label-error.json

Posts on the candidates and subjects of a debate have labels that people gave. Of each event the
shares are told by the head's labels, as the stream counts them, and by its probabilities, each as
they are and with the head's confusion inverted (`core.quantification`): that of labels is measured
here on the held-out posts of TweetEval, that of probabilities is what ships. Judged against what
people said: of the whole crowd, and of the answers after the first twenty, told from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from core.errors import ConfigError
from core.quantification import CORRECTIONS_FILE, Correction, adjusted_shares, load_corrections
from core.report import write_report
from evaluation.crowds.before_answers import HeadsOf, encoder_heads
from evaluation.crowds.events import CROWDS, LEAST_ANSWERS, SENTIMENTS, debate_answers
from evaluation.crowds.judging import jensen_shannon
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured, Rows, bootstrap
from evaluation.options import BUILT, DataFolder, JsonFile, Repository, Resamples
from evaluation.shares.fit import fit_correction, one_hot
from models.build import WEIGHTS
from models.encoder.heads import sentiment
from models.socialalign.posterior import Floats

FIRST: Final = 20
"""Answers by which the rest of a crowd is told."""
_CLASSES: Final = len(SENTIMENTS)
_NEGATIVE: Final = SENTIMENTS.index("negative")
WAYS: Final = ("labels", "probabilities")


class RatedCrowd(NamedTuple):
    """An event: (n,) labels that people gave its answers, (n, C) probabilities of the head."""

    truth: NDArray[np.int64]
    heads: Floats


def debate_crowds(data: Path, heads_of: HeadsOf) -> list[RatedCrowd]:
    """Return the events of the debate with `LEAST_ANSWERS` answers that the head rates.

    Raises:
        ConfigError: The set is not there, or is not what it should be.
    """
    file = data / CROWDS["gop_debate"].file
    try:
        answers = list(debate_answers(file))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    heads = heads_of([one.text for one in answers])[:, :_CLASSES]
    rows: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(~np.isnan(heads).any(axis=1)).tolist():
        rows.setdefault(answers[row].event, []).append(row)
    return [
        RatedCrowd(np.array([answers[row].label for row in of], np.int64), heads[of])
        for of in rows.values() if len(of) >= LEAST_ANSWERS
    ]  # fmt: skip


def corrections(data: Path, heads_of: HeadsOf) -> dict[str, Correction]:
    """Return what inverts the errors of labels and of probabilities, neither fitted on a test.

    Raises:
        ConfigError: Held-out posts are not there, or nothing ships for this head.
    """
    shipped = load_corrections(WEIGHTS / CORRECTIONS_FILE).heads.get("sentiment")
    if shipped is None:
        raise ConfigError(f"{WEIGHTS / CORRECTIONS_FILE} has no correction of sentiment")
    held = sentiment.validation(data)
    heads = heads_of(held.texts)[:, :_CLASSES]
    rated = ~np.isnan(heads).any(axis=1)
    labels = one_hot(heads[rated].argmax(axis=1), _CLASSES)
    truth = np.asarray(held.labels, np.int64)[rated]
    fitted = fit_correction(labels, truth, SENTIMENTS, range(_CLASSES), shipped.ridge)
    return {"labels": fitted, "probabilities": shipped}


def told(way: str, heads: Floats, correction: Correction | None) -> Floats:
    """Return (C,) the shares of a crowd by what the head says of its answers."""
    said = one_hot(heads.argmax(axis=1), _CLASSES) if way == "labels" else heads
    if correction is None:
        return said.mean(axis=0)
    return np.array(adjusted_shares(said.sum(axis=0).tolist(), float(len(said)), correction))


def measures_of(
    crowd: RatedCrowd, way: str, correction: Correction | None
) -> tuple[float, float, float]:
    """Return distance and error of the negative share of the crowd, and log score of the rest.

    Args:
        crowd: The crowd.
        way: One of `WAYS`.
        correction: What inverts the head's errors; None: shares stay as they are.
    """
    people = one_hot(crowd.truth, _CLASSES).mean(axis=0)
    shares = told(way, crowd.heads, correction)
    early, late = told(way, crowd.heads[:FIRST], correction), crowd.truth[FIRST:]
    smoothed = (early * FIRST + 1) / (FIRST + _CLASSES)
    score = float(np.log(smoothed)[late].mean()) if len(late) else float("nan")
    return jensen_shannon(people, shares), abs(float(shares[_NEGATIVE] - people[_NEGATIVE])), score


def judge(
    crowds: Sequence[RatedCrowd], by_way: Mapping[str, Correction], resamples: int
) -> dict[str, Measured]:
    """Return figures with intervals over events: as it is, and what correcting adds."""
    found: dict[str, Measured] = {}
    for way in WAYS:
        plain, corrected = (
            np.array([measures_of(one, way, correction) for one in crowds])
            for correction in (None, by_way[way])
        )

        def measure(rows: Rows, way: str = way, plain: Floats = plain,
                    corrected: Floats = corrected) -> dict[str, float]:  # fmt: skip
            figures: dict[str, float] = {}
            for place, name in enumerate(("js", "negative_error", "log_score_after_20")):
                one, other = plain[rows, place], corrected[rows, place]
                figures[f"{way}.{name}"] = float(np.nanmean(one))
                figures[f"{way}.corrected_{name}"] = float(np.nanmean(other))
                figures[f"{way}.{name}_change"] = float(np.nanmean(other - one))
            return figures

        found |= bootstrap(measure, len(crowds), resamples)
    return found


def main(
    data: DataFolder,
    repository: Repository = BUILT,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Judge shares of crowds with and without correction of the head's errors."""
    with refusing():
        heads_of = encoder_heads(repository)
        crowds = debate_crowds(data, heads_of)
        found = judge(crowds, corrections(data, heads_of), resamples)
    typer.echo(f"{len(crowds)} events, {sum(len(one.truth) for one in crowds)} answers")
    for name, measured in found.items():
        typer.echo(f"{name}: {measured.value:.4f} [{measured.low:.4f}, {measured.high:.4f}]")
    if json_file is not None:
        figures: dict[str, float | None] = {"label_error.events": len(crowds)}
        for name, measured in found.items():
            figures |= measured.figures(f"label_error.{name}")
        write_report(json_file, "crowds label error", figures, settings={"first": FIRST},
                     packages=("numpy", "openvino"), seed=SEED)  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
