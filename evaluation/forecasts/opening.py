"""Which model answers for which post: the shipped one, or those fitted here on other posts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from evaluation.forecasts.run import Answering, Plan, Way
from evaluation.forecasts.serving import Say, Scored, ask_of
from models.build_engagement import ENGAGEMENT_MODELS, weights_of
from models.scorers.engagement_in_process import InProcessEngagement
from models.serving.engagement import open_engagement

_TRAINING: Final = "training.json"


def open_way(plan: Plan, model: str, *, fit: bool, left_out: Sequence[str], say: Say) -> Way:
    """Return what answers for the posts of each set.

    Args:
        plan: What is to be measured.
        model: The name of a shipped model; with `fit`, of the one whose kind is fitted.
        fit: Whether models are fitted on the posts of the folder.
        left_out: Sets that are each served by a model fitted on all others; needs `fit`.
        say: Told how far fitting is.

    Raises:
        ConfigError: There is no such model, or nothing would be left to fit on.
    """
    if model not in ENGAGEMENT_MODELS:
        raise ConfigError(f"--model is {' or '.join(ENGAGEMENT_MODELS)}, not {model!r}")
    if not fit:
        if left_out:
            raise ConfigError("--left-out fits models: it needs --fit")
        return _shipped(model, weights_of(model), plan)
    if plan.split == "all" and not left_out:
        raise ConfigError(
            "--split all --fit leaves no post to fit on: time or author, or --left-out"
        )
    from evaluation.forecasts.fitting import Fitting

    return Fitting(plan, model, left_out, say).way()


def _shipped(model: str, weights: Path, plan: Plan) -> Way:
    """Return the shipped model, as it answers in process."""
    service = open_engagement(weights, is_built=False)
    ask = ask_of(InProcessEngagement(service))
    trained = _trained_on(weights)

    def answering(scored: Scored) -> Answering:
        is_own = scored.posts.digest == trained.get(scored.posts.name)
        notes = [_seen(plan.split)] if is_own else []
        return Answering(ask, notes=notes)

    return Way(answering, {"model": model, "model_version": service.version, "fitted": None})


def _seen(split: str) -> str:
    if split == "time":
        return "the model was trained on this file, on what was known before its last fifth"
    return "the model was trained on four fifths of this very file: these figures flatter it"


def _trained_on(weights: Path) -> Mapping[str, str]:
    """Return the digest of the file of each set that a model was trained on."""
    try:
        record = json.loads((weights / _TRAINING).read_bytes())
    except OSError:
        return {}
    return {name: of["digest"] for name, of in record["sets"].items()}
