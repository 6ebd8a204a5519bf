"""Which model answers for which post: the shipped one, or those fitted here on other posts."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import ConfigError
from evaluation.forecasts.run import Answering, Plan, Way
from evaluation.forecasts.serving import Say, ask_of


def open_way(plan: Plan, model: str, *, fit: bool, left_out: Sequence[str], say: Say) -> Way:
    """Return what answers for the posts of each set.

    Args:
        plan: What is to be measured.
        model: The name of a shipped model; with `fit`, of the one whose kind is fitted.
        fit: Whether models are fitted on the posts of the folder.
        left_out: Sets that are each served by a model fitted on all others; needs `fit`.
        say: Told how far fitting is.

    Raises:
        ConfigError: The model is not there, or nothing would be left to fit on.
    """
    if not fit:
        if left_out:
            raise ConfigError("--left-out fits models: it needs --fit")
        return _shipped(model)
    if plan.split == "all" and not left_out:
        raise ConfigError(
            "--split all --fit leaves no post to fit on: time or author, or --left-out"
        )
    from evaluation.forecasts.fitting import Fitting

    return Fitting(plan, model, left_out, say).way()
