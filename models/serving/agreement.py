"""How near two forms of one network are, on the same texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.encoder.config import EncoderConfig
from models.serving.calibration import probabilities
from models.serving.engines import EMBEDDING, LOGITS_PREFIX

MIN_COSINE: Final = 0.99
"""Least mean cosine between the embedding of a form and that of fp32."""
MAX_MEAN_GAP: Final = 0.02
"""Largest mean difference of a probability to that of fp32."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near a form is to fp32 on sentences neither was fitted to."""

    cosine: float
    mean_gap: float
    largest_gap: float
    same_class: float

    def fault(self) -> str:
        """What is too far from fp32, with figures and limits; empty if nothing is."""
        # Of NaN, too, neither holds.
        if self.cosine >= MIN_COSINE and self.mean_gap <= MAX_MEAN_GAP:
            return ""
        return (
            f"mean cosine {self.cosine:.4f} to fp32 (at least {MIN_COSINE}), mean difference of a "
            f"probability {self.mean_gap:.4f} (at most {MAX_MEAN_GAP})"
        )

    def check(self) -> None:
        """Refuse a model that lost too much.

        Raises:
            ConfigError: with the figures and the limits.
        """
        if fault := self.fault():
            raise ConfigError(
                f"the int8 model differs too much from fp32: {fault}; were the calibration "
                "sentences changed?"
            )


def agreement(
    form: Mapping[str, NDArray[np.float32]],
    fp32: Mapping[str, NDArray[np.float32]],
    config: EncoderConfig,
) -> Agreement:
    """Compare the outputs of two forms for the same texts."""
    a, b = form[EMBEDDING].astype(np.float64), fp32[EMBEDDING].astype(np.float64)
    cosine = np.sum(a * b, 1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    gaps, same = [], []
    for head in config.heads:
        name = LOGITS_PREFIX + head.name
        small, full = probabilities(form[name], head), probabilities(fp32[name], head)
        gaps.append(np.abs(small - full))
        if head.activation != "sigmoid":
            same.append(small.argmax(1) == full.argmax(1))
    return Agreement(
        cosine=float(cosine.mean()),
        # Of the worst head: nineteen topics that are nearly always nought would hide it.
        mean_gap=max(float(gap.mean()) for gap in gaps),
        largest_gap=max(float(gap.max()) for gap in gaps),
        same_class=float(np.concatenate(same).mean()),
    )
