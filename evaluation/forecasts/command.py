"""``groundswell models evaluate engagement``: started where it can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.cli.model_environments import options, run_module


def evaluate_engagement(
    arguments: Sequence[str], data: Path, server_python: Path, train_python: Path | None
) -> None:
    """Measure forecasts on recorded posts, by the shipped model or by models fitted on them.

    Args:
        arguments: What `evaluation.forecasts` is called with.
        data: The folder of the data sets.
        server_python: The interpreter of the model server's environment, which makes head scores.
        train_python: The interpreter of training; None where nothing is fitted.
    """
    if train_python is None:
        run_module(server_python, "setup", "evaluation.forecasts", arguments)
        return
    scoring = options(data=data)
    run_module(server_python, "setup", "models.engagement.training.heads", scoring)
    run_module(train_python, "setup-train", "evaluation.forecasts", [*arguments, "--fit"])
