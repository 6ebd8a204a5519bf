"""Fit how logits become probabilities, on held-out posts or on a deployment's own. No torch.

Temperature scaling is the default where the held-out split looks like the place of use; vector
scaling also adapts to how frequent the classes are there, which is not how frequent they are in
next week's stream. Participation is corrected from the shares of training (77 %) to those of use
(26 %). See `models.encoder.fitting` for the methods.

    python -m models.encoder.calibrate --data ../shared/data
    python -m models.encoder.calibrate --head participation --sample labelled.csv

Shapes: `N` posts, `C` classes, `L` logits.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from core.errors import ConfigError
from models.encoder.config import EncoderConfig, HeadCalibration, HeadConfig
from models.encoder.fitting import (
    FITTERS,
    Fitted,
    Floats,
    fit_gates,
    fit_questions,
    fit_shifted,
    fit_yes_no,
    weights_for,
)
from models.encoder.heads.base import CalibrationSample
from models.encoder.samples import held_out, read_sample
from models.metrics import calibration_gap, expected_calibration_error
from models.serving.calibration import probabilities
from models.serving.engines import LOGITS_PREFIX
from models.serving.place import built_model

METHODS: Final = tuple(FITTERS)
FOLDS: Final = 5
BAGS: Final = 200
SEED: Final = 20171
SMALL_SAMPLE_BINS: Final = 5


def head_with(head: HeadConfig, scale: Floats, bias: Floats, method: str) -> HeadConfig:
    """`head` with these calibration parameters and no record of errors."""
    calibration = HeadCalibration(
        method=method,
        scale=tuple(round(float(value), 6) for value in scale),
        bias=tuple(round(float(value), 6) for value in bias),
    )
    return msgspec.structs.replace(head, calibration=calibration)


def sample_weights(head: HeadConfig, sample: CalibrationSample) -> Floats:
    """Weights (N,) under which the sample has the shares of the place of use."""
    if not sample.prior:
        return np.ones(len(sample.texts))
    classes = sample.truth[:, 0] if head.activation == "sigmoid" else sample.truth
    return weights_for(classes, sample.prior)


def fit(
    head: HeadConfig, logits: Floats, sample: CalibrationSample, method: str, weights: Floats
) -> Fitted:
    """Scale (L,) and bias (L,) for a head's logits (N, L)."""
    starts = np.asarray(sample.shift) if sample.shift else np.zeros(head.logits)
    if head.activation == "ordinal":
        return fit_gates(logits, sample.truth, weights, starts)
    if head.activation == "softmax":
        if method == "prior":
            return fit_shifted(logits, sample.truth, weights)
        return FITTERS[method](logits, sample.truth)
    if head.logits > 1:
        return fit_questions(logits, sample.truth > 0, starts)
    scale, bias = fit_yes_no(logits[:, 0], sample.truth[:, 0] > 0, weights, (1.0, starts[0]))
    return np.array([scale]), np.array([bias])


def yes_scores(found: NDArray[np.float32], head: HeadConfig) -> NDArray[np.float64]:
    """Probability of yes for every yes-or-no question of a head: (N,) levels, (N * C,) tags."""
    if head.activation == "ordinal":
        return 1.0 - found[:, 0].astype(np.float64)
    return found.astype(np.float64).ravel()


def yes_truth(truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What `yes_scores` should have been."""
    return (truth > 0).ravel()


def claimed_gap(
    found: NDArray[np.float32], head: HeadConfig, truth: NDArray[np.int64], weights: Floats
) -> float:
    """Calibration error: of the class on top, or of the yes-or-no question under `weights`."""
    if head.activation == "softmax":
        return expected_calibration_error(found, truth)
    # Weights are shares of a larger population: draw it, so that one measure serves all heads.
    rng = np.random.default_rng(SEED)
    rows = rng.choice(len(truth), 20_000, p=weights / weights.sum())
    scores, held = yes_scores(found[rows], head), yes_truth(truth[rows])
    return calibration_gap(scores, held, SMALL_SAMPLE_BINS)


def best_cut(scores: Floats, truth: NDArray[np.bool_], weights: Floats) -> float:
    """The probability from which to say yes: macro F1 of yes and no, bagged.

    The best cut of one small sample hangs on two or three posts, so it is averaged over the best
    cuts of resamples.
    """
    rng = np.random.default_rng(SEED)
    grid = np.linspace(0.05, 0.95, 91)
    best = []
    for _ in range(BAGS):
        rows = rng.integers(0, len(scores), len(scores))
        w, yes = weights[rows], truth[rows]
        called = scores[rows][None, :] >= grid[:, None]
        hits = (called & yes) @ w
        misses = (~called & ~yes) @ w
        f1_yes = 2 * hits / np.maximum(called @ w + yes @ w, 1e-9)
        f1_no = 2 * misses / np.maximum((~called) @ w + (~yes) @ w, 1e-9)
        figure = f1_yes + f1_no
        best.append(grid[figure >= figure.max() - 1e-9].mean())
    return round(float(np.mean(best)), 3)


def _rows_of(sample: CalibrationSample, rows: NDArray[np.bool_]) -> CalibrationSample:
    texts = tuple(text for text, keep in zip(sample.texts, rows, strict=True) if keep)
    return replace(sample, texts=texts, truth=sample.truth[rows])


def _cross_fitted(
    head: HeadConfig, logits: Floats, sample: CalibrationSample, method: str, weights: Floats
) -> NDArray[np.float32]:
    """Probabilities (N, C), those of each fold calibrated on the other folds."""
    found = np.empty((len(logits), len(head.labels)), np.float32)
    fold_of = np.arange(len(logits)) % FOLDS
    for fold in range(FOLDS):
        inside, outside = fold_of == fold, fold_of != fold
        part = _rows_of(sample, outside)
        fitted = head_with(
            head, *fit(head, logits[outside], part, method, weights[outside]), method
        )
        found[inside] = probabilities(logits[inside].astype(np.float32), fitted)
    return found


def calibrate_head(
    head: HeadConfig, logits: Floats, sample: CalibrationSample, method: str = "temperature"
) -> HeadConfig:
    """`head` with a calibration fitted on all posts of the sample, and its cut.

    The error after calibration is cross-fitted: each fold's posts are judged with the parameters
    of the other folds, so it is not measured on what it was fitted to.
    """
    weights = sample_weights(head, sample)
    if sample.prior or sample.is_deployed:
        method = "prior"
    elif head.activation == "sigmoid":
        method = "shared"
    if sample.is_deployed and not sample.shift and head.activation != "softmax":
        # A small sample corrects what is shipped; it does not replace it.
        sample = replace(sample, shift=head.calibration.bias)
    plain = head_with(head, np.ones(head.logits), np.zeros(head.logits), "none")
    before = claimed_gap(
        probabilities(logits.astype(np.float32), plain), head, sample.truth, weights
    )
    after = _cross_fitted(head, logits, sample, method, weights)
    calibrated = head_with(head, *fit(head, logits, sample, method, weights), method)
    cut = head.cut
    if head.activation != "softmax":
        questions = len(head.labels) if head.activation == "sigmoid" else 1
        per_question = np.repeat(weights, questions)
        cut = best_cut(yes_scores(after, head), yes_truth(sample.truth), per_question)
    return msgspec.structs.replace(
        calibrated,
        cut=cut,
        calibration=msgspec.structs.replace(
            calibrated.calibration,
            prior=tuple(round(share, 4) for share in sample.prior),
            ece_before=round(before, 5),
            ece_after=round(claimed_gap(after, head, sample.truth, weights), 5),
            fitted_on=f"{sample.said}, int8 logits",
        ),
    )


def replace_head(config: EncoderConfig, head: HeadConfig) -> EncoderConfig:
    """`config` with the head of that name replaced."""
    heads = tuple(head if kept.name == head.name else kept for kept in config.heads)
    return msgspec.structs.replace(config, heads=heads)


def calibrate_weights(
    weights: Path,
    repository: Path,
    samples: Callable[[str], CalibrationSample],
    method: str,
    heads: Sequence[str] = (),
) -> EncoderConfig:
    """Calibrate the int8 model of a weights folder, write its config and build it again.

    Args:
        weights: The folder; its `config.json` is rewritten, and its version with it.
        repository: Model repository to build into.
        samples: Head name -> labelled posts.
        method: `temperature` or `vector`, for heads whose sample has no prior.
        heads: Which heads; empty means all.

    Raises:
        ConfigError: no weights, no such head, no data, or the server's packages are missing.
    """
    from models.build import build
    from models.encoder.config import load_config, save_config
    from models.encoder.pack import with_version
    from models.serving.candidates import load_shipped
    from models.serving.normalise import normalise
    from models.serving.post_encoder import TOKENIZER_FILE
    from models.serving.tokenise import TextTokenizer

    build(repository, weights=weights)
    folder, config = built_model(repository), load_config(weights)
    engine = load_shipped(folder)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    for name in heads or [head.name for head in config.heads]:
        head, sample = config.head(name), samples(name)
        token_ids = tokenizer.encode([normalise(text) for text in sample.texts])
        logits = engine.infer(token_ids)[LOGITS_PREFIX + name].astype(np.float64)
        config = replace_head(config, calibrate_head(head, logits, sample, method))
    config = with_version(config, weights)
    save_config(config, weights)
    build(repository, weights=weights)
    return config


def _prior(text: str | None) -> tuple[float, ...]:
    if not text:
        return ()
    shares = tuple(float(share) for share in text.split(","))
    if abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
        raise typer.BadParameter("--prior is a share per class, above 0, adding up to 1")
    return shares


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets.")] = None,
    sample: Annotated[Path | None, typer.Option(help="Labelled posts (CSV or .jsonl).")] = None,
    head: Annotated[str | None, typer.Option(help="One head only; needed with --sample.")] = None,
    prior: Annotated[
        str | None, typer.Option(help="Class shares in use, if the sample's differ: 0.74,0.18,...")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the weights.")] = None,
    repository: Annotated[Path | None, typer.Option(help="Built model repository.")] = None,
    method: Annotated[str, typer.Option(help="temperature or vector.")] = "temperature",
) -> None:
    """Calibrate the shipped model on held-out posts or a deployment's own, and build it again."""
    from models.build import DEFAULT_OUTPUT, WEIGHTS

    if method not in METHODS:
        raise typer.BadParameter(f"--method is one of {', '.join(METHODS)}, not {method!r}")
    if (sample is None) == (data is None) or (sample is not None and head is None):
        raise typer.BadParameter("name either --data, or --sample together with --head")

    def samples(name: str) -> CalibrationSample:
        if sample is not None:
            return read_sample(name, sample, _prior(prior))
        return held_out(name, data or Path())

    try:
        config = calibrate_weights(
            weights or WEIGHTS, repository or DEFAULT_OUTPUT, samples, method,
            [head] if head else [],
        )  # fmt: skip
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    for one in config.heads:
        typer.echo(_said(one))
    typer.echo(config.version)


def _said(head: HeadConfig) -> str:
    found: Any = head.calibration
    return (
        f"{head.name}: {found.method}, scale {found.scale[:5]}, bias {found.bias[:5]}, cut "
        f"{head.cut}, calibration error {found.ece_before} -> {found.ece_after} (cross-fitted)"
    )


if __name__ == "__main__":
    typer.run(main)
