"""A loaded crowd model: used by Triton's model, by the twin in this process, by evaluation.

Sums are exact and functions of one number are our own (`models.engagement.exact`), so that an
answer has the same bits in every process, whatever numpy it has and whatever else is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.ports import CrowdAnswer, CrowdQuestions
from models.engagement.exact import Doubles, activations, exponential, logarithm, weights
from models.serving.opening import open_tensors
from models.socialalign.crowd_config import (
    CROWD_TENSORS,
    HEAD_CLASSES,
    LABELS,
    CrowdConfig,
    load_crowd_config,
)
from models.socialalign.posterior import LEAST_SHARE
from models.socialalign.reaction import KINDS, feature_count, known_features
from models.socialalign.tone import BUCKETS, TextTone
from models.tensors import Tensors, tensor_fault

MOST_SEEN: Final = 2.0**24
"""No more labels of a kind can be told apart in float32."""
_WIDTH: Final = feature_count(LABELS) + LABELS  # what is known, and the tone of the text
_SHAPES: Final = {
    "reaction.mean": (_WIDTH,), "reaction.scale": (_WIDTH,),
    "reaction.weights": (_WIDTH + 1, LABELS),
    "heads.mean": (HEAD_CLASSES,), "heads.scale": (HEAD_CLASSES,),
    "heads.weights": (HEAD_CLASSES + 1, LABELS),
    "tone.rarity": (BUCKETS,), "tone.weights": (BUCKETS, LABELS),
}  # fmt: skip


class CrowdService:
    """A model that answers in this thread."""

    def __init__(self, config: CrowdConfig, tensors: Tensors) -> None:
        """Take a model.

        Raises:
            ConfigError: Its tensors are not those of a crowd model.
        """
        self.config = config
        if wrong := _fault_of(tensors):
            raise ConfigError(f"crowd model {config.version} {wrong}")
        kept = {name: np.asarray(one, np.float64) for name, one in tensors.items()}
        self._reaction = _CrowdLayer(kept, "reaction")
        self._heads = _CrowdLayer(kept, "heads")
        self._tone = TextTone(kept["tone.rarity"], kept["tone.weights"], np.zeros(LABELS))

    @property
    def version(self) -> str:
        """The model version that every answer carries."""
        return self.config.version

    def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """Return what is expected; see `core.ports.CrowdModel.expect`.

        Raises:
            ValueError: Something in the questions cannot be; the message has its name and row.
        """
        usual, heads, seen, flags = checked_questions(questions)
        # A text at a time: sums over all of them would depend on those before it.
        tone = [self._tone.moved([text])[0] for text in questions.texts]
        known = known_features(usual, seen, flags)
        features = np.concatenate([known, np.array(tone).reshape(len(usual), LABELS)], axis=1)
        forecast = _softmax(logarithm(usual) + self._heads.of(heads))
        reaction = _softmax(self._reaction.of(features))
        return CrowdAnswer(self.version, _bounded(forecast), _bounded(reaction))


class _CrowdLayer:
    def __init__(self, tensors: Tensors, name: str) -> None:
        self._mean, self._scale = tensors[f"{name}.mean"], tensors[f"{name}.scale"]
        rows = weights(tensors[f"{name}.weights"])
        self._weights, self._bias = rows[:-1], rows[-1]

    def of(self, values: Doubles) -> Doubles:
        """Return (B, 3) sums of (B, W) values; one that is NaN counts nothing."""
        return activations((values - self._mean) / self._scale) @ self._weights + self._bias


def _fault_of(tensors: Tensors) -> str:
    """Return what is wrong with tensors; "" for nothing."""
    if wrong := tensor_fault(tensors, _SHAPES):
        return wrong
    for name in ("reaction.scale", "heads.scale"):
        if (tensors[name] <= 0).any():
            return f"has a number in {name} that is not above zero"
    return ""


def checked_questions(asked: CrowdQuestions) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Return usual shares that sum to one, heads, what was seen, and flags.

    Raises:
        ValueError: One of them cannot be; the message has its name and row.
    """
    rows = len(asked.texts)
    for name, values, shape in (
        ("usual", asked.usual, (rows, LABELS)), ("heads", asked.heads, (rows, HEAD_CLASSES)),
        ("seen", asked.seen, (rows, KINDS, LABELS)), ("flags", asked.flags, (rows, 2)),
    ):  # fmt: skip
        if values.shape != shape:
            raise ValueError(f"{name} of shape {values.shape}, expected {shape}")
    usual, heads, seen, flags = (
        np.asarray(one, np.float64) for one in (asked.usual, asked.heads, asked.seen, asked.flags)
    )
    total = usual[:, :1] + usual[:, 1:2] + usual[:, 2:]
    for name, wrong in (
        ("usual", ~(np.isfinite(total[:, 0]) & (total[:, 0] > 0) & (usual >= 0).all(axis=1))),
        ("heads", (~np.isnan(heads) & ~((heads >= -1e-6) & (heads <= 1 + 1e-6))).any(axis=1)),
        ("seen", ~((seen >= 0) & (seen <= MOST_SEEN)).all(axis=(1, 2))),
        ("flags", ~((flags == 0) | (flags == 1)).all(axis=1)),
    ):
        if wrong.any():
            raise ValueError(f"{name} of row {int(wrong.argmax())} cannot be")
    return usual / total * (1 - LEAST_SHARE * LABELS) + LEAST_SHARE, heads, seen, flags


def _softmax(logits: Doubles) -> Doubles:
    whole = exponential(logits - logits.max(axis=1, keepdims=True))
    return whole / (whole[:, :1] + whole[:, 1:2] + whole[:, 2:])


def _bounded(shares: Doubles) -> NDArray[np.float32]:
    """Return shares of which none is below the least: nothing is impossible."""
    return (shares * (1 - LEAST_SHARE * LABELS) + LEAST_SHARE).astype(np.float32)


def open_crowd(folder: Path, is_built: bool = True) -> CrowdService:
    """Load a model.

    Args:
        folder: A version folder of a model repository, or a folder of weights.
        is_built: Whether its version must name the bits of its files, as a built one's does.

    Raises:
        ConfigError: The folder holds no model, or another than it names.
    """
    config = load_crowd_config(folder)
    return open_tensors(folder / CROWD_TENSORS, config, CrowdService, is_built)
