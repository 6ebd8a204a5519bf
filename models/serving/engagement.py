"""A loaded engagement model: used by Triton's model, by the twin in this process, by evaluation."""

from functools import cache
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from core.errors import ConfigError
from models.engagement.answer import quantiles_of
from models.engagement.config import (
    ENGAGEMENT_TENSORS,
    EngagementConfig,
    load_engagement_config,
)
from models.engagement.exact import Doubles
from models.engagement.features import FEATURES, SEQUENCE, Floats
from models.engagement.layout import OUTCOMES
from models.engagement.network import Perceptron, Tensors, Transformer
from models.serving.opening import open_tensors

ROWS_AT_ONCE: Final = 64
"""More are answered in parts: what lies between layers stays in the cache of the processor."""


class _Network(Protocol):
    def run(self, features: Floats, sequence: Floats) -> Doubles: ...


class EngagementService:
    """A model that answers in this thread; its numbers of a row do not depend on the batch."""

    def __init__(self, config: EngagementConfig, tensors: Tensors) -> None:
        """Take a model.

        Raises:
            ConfigError: Its tensors are not those of its kind.
        """
        self.config = config
        try:
            self._network: _Network = (
                Perceptron(tensors) if config.kind == "mlp" else Transformer(tensors, config.heads)
            )
        except ValueError as error:
            raise ConfigError(f"engagement model {config.version} {error}") from error

    @property
    def version(self) -> str:
        """The model version that every answer carries."""
        return self.config.version

    def predict(self, features: NDArray[np.float32], sequence: NDArray[np.float32]) -> Floats:
        """Return (B, 3, 5) quantiles of log1p of the counts; arguments as `EngagementModel`.

        Raises:
            ValueError: The arguments have other shapes.
        """
        rows = len(features)
        for name, values, shape in (
            ("features", features, (rows, len(FEATURES))),
            ("sequence", sequence, (rows, OUTCOMES, len(SEQUENCE))),
        ):
            if values.shape != shape:
                raise ValueError(f"{name} of shape {values.shape}, expected {shape}")
        starts = range(0, max(rows, 1), ROWS_AT_ONCE)
        parts = [slice(start, start + ROWS_AT_ONCE) for start in starts]
        # A product takes microseconds: threads that wait for each other on busy cores take
        # a hundred times as long.
        with _libraries().limit(limits=1, user_api="blas"):
            return np.concatenate([self._part(features[part], sequence[part]) for part in parts])

    def _part(self, features: Floats, sequence: Floats) -> Floats:
        return quantiles_of(self._network.run(features, sequence), features)


@cache
def _libraries() -> ThreadpoolController:
    """Return what sets the threads of the libraries that numpy computes with."""
    return ThreadpoolController()


def open_engagement(folder: Path, is_built: bool = True) -> EngagementService:
    """Load a model.

    Args:
        folder: A version folder of a model repository, or a folder of weights.
        is_built: Whether its version must name the bits of its files, as a built one's does.

    Raises:
        ConfigError: The folder holds no model, or another than it names.
    """
    config = load_engagement_config(folder)
    return open_tensors(folder / ENGAGEMENT_TENSORS, config, EngagementService, is_built)
