"""A pretrained encoder fine-tuned whole, as the papers do it: RoBERTa and its like. Needs torch.

The defaults are the paper's: 30 epochs of batches of 16 at 4e-5, 128 tokens, seed 0, and
cross-entropy with class weights N / (2 N_c), whose factor 2 the normalisation takes out.

Shapes: `B` batch, `T` tokens, `N` posts, `C` classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.errors import ConfigError
from evaluation.baselines.fitting import FitSettings, device, fit


class SequenceSettings(FitSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paper's settings, and how texts and classes are treated.

    Attributes:
        max_tokens: Longer texts are cut.
        is_weighted: Whether classes are weighted inversely to their frequency.
        bf16: Whether to autocast to bfloat16.
    """

    max_tokens: int = 128
    is_weighted: bool = True
    bf16: bool = False


def class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """Return N / (2 N_c) for each class (C,); a class that does not occur weighs nothing."""
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    return torch.where(counts > 0, len(labels) / (2 * counts.clamp(min=1)), 0.0)


class SequenceClassifier:
    """A checkpoint with a new classification layer: fit, then ask."""

    def __init__(self, checkpoint: str, classes: int, settings: SequenceSettings) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: Local folder or hub name, with its tokenizer.
            classes: Of the new layer.
            settings: How to train.

        Raises:
            ConfigError: It cannot be loaded.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(settings.seed)  # the new layer begins at random
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(
                checkpoint, num_labels=classes, dtype=torch.float32, ignore_mismatched_sizes=True
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"checkpoint {checkpoint!r} cannot be loaded: {error}") from error
        self._model.to(device())
        self._classes = classes
        self._settings = settings

    def _logits(self, texts: Sequence[str]) -> Tensor:
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._settings.max_tokens,
            padding=True,
            return_tensors="pt",
        ).to(device())
        with torch.autocast(device().type, torch.bfloat16, enabled=self._settings.bf16):
            return self._model(**encoded).logits.float()

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[int],
        tell: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    ) -> list[float]:
        """Train on raw texts and class numbers; returns the losses."""
        weights = class_weights(labels, self._classes) if self._settings.is_weighted else None
        weights = weights.to(device()) if weights is not None else None
        target = torch.tensor(labels, device=device())

        def loss_of(rows: Sequence[int]) -> Tensor:
            logits = self._logits([texts[row] for row in rows])
            return functional.cross_entropy(logits, target[list(rows)], weight=weights)

        return fit(self._model, len(texts), loss_of, self._settings, tell)

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the probabilities (N, C) of raw texts, in their order."""
        self._model.eval()
        found = np.zeros((len(texts), self._classes), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            found[rows] = self._logits([texts[row] for row in rows]).softmax(-1).cpu().numpy()
        return found
