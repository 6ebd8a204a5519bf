"""What engines are held against: texts of ours, and what fp32 says of them, beside a built model.

No part of the bits that a version names: nothing of it computes a score. So it is checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.encoder.config import EncoderConfig
from models.serving.engines import EMBEDDING, LOGITS_PREFIX
from models.tensors import Tensors, damaged, read_arrays, tensor_fault

REFERENCE_FILE: Final = "reference.npz"
_OUTPUT: Final = "output."
_AGAIN: Final = "`groundswell models build --force` makes it anew"


@dataclass(frozen=True, slots=True)
class TrialTexts:
    """Texts of ours as token ids, and what fp32 says of them, row i for text i."""

    token_ids: list[list[int]]
    outputs: Mapping[str, NDArray[np.float32]]

    def save(self, folder: Path) -> None:
        """Write it into a version folder."""
        lengths = np.array([len(ids) for ids in self.token_ids], np.int64)
        flat = np.concatenate([np.asarray(ids, np.int64) for ids in self.token_ids])
        arrays: dict[str, Any] = {f"{_OUTPUT}{name}": out for name, out in self.outputs.items()}
        np.savez(folder / REFERENCE_FILE, lengths=lengths, ids=flat, **arrays)


def load_reference(folder: Path, config: EncoderConfig) -> TrialTexts:
    """Read the reference of a version folder.

    Args:
        folder: The version folder.
        config: The model's.

    Raises:
        ConfigError: It is not there, or not what was written of such a model.
    """
    file = folder / REFERENCE_FILE
    found = read_arrays(file, _AGAIN)
    try:
        return _reference_of(found, config)
    except ValueError as error:
        raise damaged(file, str(error), _AGAIN) from error


def _reference_of(found: Tensors, config: EncoderConfig) -> TrialTexts:
    """Return the reference that arrays are.

    Raises:
        ValueError: They are none; with what was found and what was expected.
    """
    texts, tokens = (np.size(found.get(name, ())) for name in ("lengths", "ids"))
    widths = {EMBEDDING: config.embedding_size}
    widths |= {f"{LOGITS_PREFIX}{head.name}": head.logits for head in config.heads}
    shapes: dict[str, tuple[int, ...]] = {"lengths": (texts,), "ids": (tokens,)}
    shapes |= {f"{_OUTPUT}{name}": (texts, width) for name, width in widths.items()}
    if wrong := tensor_fault(found, shapes, whole=("lengths", "ids")):
        raise ValueError(wrong)
    lengths, ids = found["lengths"], found["ids"]
    if not texts or (lengths < 1).any() or (lengths > config.max_tokens).any():
        raise ValueError(f"has lengths of texts outside 1 to {config.max_tokens}, or no text")
    if lengths.sum() != tokens or (ids < 0).any():
        raise ValueError(f"has {tokens} ids, expected {lengths.sum()}, none of them below zero")
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    outputs = {name: found[f"{_OUTPUT}{name}"] for name in widths}
    return TrialTexts([part.tolist() for part in parts], outputs)
