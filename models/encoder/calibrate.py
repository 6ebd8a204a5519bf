"""Fit how logits become probabilities, on the validation split. Numpy only.

*Temperature scaling* (Guo et al. 2017, arXiv 1706.04599, section 4.2) divides all logits by one
number and cannot change which class is on top. *Vector scaling* (same section) has a scale and
a bias per class; it also adapts to how frequent the classes are in the validation split, which
is not how frequent they are in next week's stream. Temperature is therefore the default.

    python -m models.encoder.calibrate --data ../shared/data

Shapes: `N` posts, `C` classes.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from core.errors import ConfigError
from models.encoder.config import EncoderConfig, HeadCalibration, HeadConfig
from models.evaluation.metrics import expected_calibration_error
from models.serving.calibration import probabilities

Floats = NDArray[np.float64]
METHODS = ("temperature", "vector")
FOLDS = 5
_NEWTON_STEPS = 100
# Keeps the bias (free up to a constant) and rare classes from running away.
_RIDGE = 1e-4


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def log_loss(scores: Floats, truth: NDArray[np.integer[Any]]) -> float:
    """Mean negative log-likelihood of softmax(`scores`) (N, C)."""
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float(np.mean(normaliser - scores[np.arange(len(truth)), truth]))


def _fit(design: NDArray[np.float64], truth: NDArray[np.integer[Any]], start: Floats) -> Floats:
    """Minimise log loss plus ridge of scores `design @ theta`; `design` is (N, C, P). Newton.

    The problem is convex, so a step is halved until the loss falls, and the end is the optimum.
    """
    theta = start.copy()
    posts, classes, _ = design.shape
    target = np.eye(classes)[truth]

    def objective(value: Floats) -> float:
        return log_loss(design @ value, truth) + 0.5 * _RIDGE * float(np.sum((value - start) ** 2))

    loss = objective(theta)
    for _ in range(_NEWTON_STEPS):
        p = _softmax(design @ theta)
        gradient = np.einsum("ncp,nc->p", design, p - target) / posts + _RIDGE * (theta - start)
        mean = np.einsum("nc,ncp->np", p, design)
        hessian = np.einsum("nc,ncp,ncq->pq", p, design, design) - mean.T @ mean
        step = np.linalg.solve(hessian / posts + _RIDGE * np.eye(len(theta)), gradient)
        size = 1.0
        while size > 1e-6 and objective(theta - size * step) > loss:
            size /= 2
        theta = theta - size * step
        fell, loss = loss - objective(theta), objective(theta)
        if fell < 1e-12:
            break
    return theta


def fit_temperature(logits: Floats, truth: NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """Scale (C,), all equal, and bias (C,), all zero."""
    classes = logits.shape[1]
    scale = _fit(logits[:, :, None], truth, np.ones(1))
    return np.repeat(scale, classes), np.zeros(classes)


def fit_vector(logits: Floats, truth: NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """Scale (C,) and bias (C,) per class."""
    posts, classes = logits.shape
    identity = np.eye(classes)
    design = np.concatenate(
        [logits[:, :, None] * identity[None], np.broadcast_to(identity, (posts, classes, classes))],
        axis=2,
    )
    theta = _fit(design, truth, np.concatenate([np.ones(classes), np.zeros(classes)]))
    return theta[:classes], theta[classes:]


_FITTERS = {"temperature": fit_temperature, "vector": fit_vector}


def calibrate_head(
    head: HeadConfig, logits: Floats, truth: NDArray[np.integer[Any]], method: str, fitted_on: str
) -> HeadConfig:
    """`head` with a calibration fitted on all posts.

    The error after calibration is cross-fitted: each fold's posts are judged with the parameters
    of the other folds, so it is not measured on what it was fitted to.
    """
    fitter = _FITTERS[method]
    plain = head_with(head, np.ones(len(head.labels)), np.zeros(len(head.labels)), "none")
    before = expected_calibration_error(probabilities(_single(logits), plain), truth)
    after = np.empty_like(logits, np.float32)
    fold_of = np.arange(len(truth)) % FOLDS
    for fold in range(FOLDS):
        inside, outside = fold_of == fold, fold_of != fold
        scale, bias = fitter(logits[outside], truth[outside])
        fitted = head_with(head, scale, bias, method)
        after[inside] = probabilities(_single(logits[inside]), fitted)
    scale, bias = fitter(logits, truth)
    calibrated = head_with(head, scale, bias, method)
    return msgspec.structs.replace(
        calibrated,
        calibration=msgspec.structs.replace(
            calibrated.calibration,
            ece_before=round(before, 5),
            ece_after=round(expected_calibration_error(after, truth), 5),
            fitted_on=fitted_on,
        ),
    )


def _single(values: Floats) -> NDArray[np.float32]:
    return values.astype(np.float32)


def head_with(head: HeadConfig, scale: Floats, bias: Floats, method: str) -> HeadConfig:
    """`head` with these calibration parameters and no record of errors."""
    calibration = HeadCalibration(
        method=method,
        scale=tuple(round(float(value), 6) for value in scale),
        bias=tuple(round(float(value), 6) for value in bias),
    )
    return msgspec.structs.replace(head, calibration=calibration)


def replace_head(config: EncoderConfig, head: HeadConfig) -> EncoderConfig:
    """`config` with the head of that name replaced."""
    heads = tuple(head if kept.name == head.name else kept for kept in config.heads)
    return msgspec.structs.replace(config, heads=heads)


def calibrate_shipped(data: Path, weights: Path, repository: Path, method: str) -> EncoderConfig:
    """Calibrate the shipped int8 model on the validation split and write it to its config.

    Raises:
        ConfigError: no weights, no data, or the server environment's packages are missing.
    """
    from models.build import MODEL_NAME, build
    from models.encoder.config import load_config, save_config
    from models.encoder.data import sentiment_validation
    from models.encoder.pack import with_version
    from models.serving.engines import LOGITS_PREFIX, open_engine
    from models.serving.normalise import normalise
    from models.serving.post_encoder import TOKENIZER_FILE
    from models.serving.tokenise import TextTokenizer

    build(repository, weights=weights)
    folder = repository / MODEL_NAME / "1"
    config = load_config(weights)
    posts = sentiment_validation(data)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    token_ids = tokenizer.encode([normalise(text) for text in posts.texts])
    logits = open_engine(folder).infer(token_ids)[LOGITS_PREFIX + "sentiment"].astype(np.float64)
    head = calibrate_head(
        config.head("sentiment"),
        logits,
        np.asarray(posts.labels),
        method,
        f"TweetEval sentiment validation, {len(posts):,} posts, int8 logits",
    )
    config = with_version(replace_head(config, head), weights)
    save_config(config, weights)
    build(repository, weights=weights)
    return config


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    weights: Annotated[Path | None, typer.Option(help="Folder of the weights.")] = None,
    repository: Annotated[Path | None, typer.Option(help="Built model repository.")] = None,
    method: Annotated[str, typer.Option(help="temperature or vector.")] = "temperature",
) -> None:
    """Calibrate the shipped model on the validation split and build it again."""
    from models.build import DEFAULT_OUTPUT, WEIGHTS

    if method not in METHODS:
        raise typer.BadParameter(f"--method is one of {', '.join(METHODS)}, not {method!r}")
    try:
        config = calibrate_shipped(data, weights or WEIGHTS, repository or DEFAULT_OUTPUT, method)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    found = config.head("sentiment").calibration
    typer.echo(
        f"sentiment: {found.method}, scale {found.scale}, bias {found.bias}, expected calibration "
        f"error {found.ece_before} -> {found.ece_after} (cross-fitted); {config.version}"
    )


if __name__ == "__main__":
    typer.run(main)
