"""``groundswell models evaluate responses``: started where it can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.cli.model_environments import run_module


def evaluate_responses(arguments: Sequence[str], server_python: Path) -> None:
    """Measure replies on recorded posts, beside floors.

    Args:
        arguments: What `evaluation.responses` is called with.
        server_python: The interpreter of the model server's environment, which has an encoder.
    """
    run_module(server_python, "setup", "evaluation.responses", arguments)
