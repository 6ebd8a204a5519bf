"""Sentence embeddings of the backbone as published, without torch: what adapters have to improve.

Shapes: `N` texts, `D` embedding width.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.popalm.encoders import english_encoder


def embed(texts: Sequence[str], backbone_folder: Path | None = None) -> NDArray[np.float32]:
    """Return the mean-pooled embeddings (N, D) of raw texts, each of length one.

    Raises:
        ConfigError: The backbone is not to be had, or openvino is not installed here.
    """
    return english_encoder(backbone_folder)(texts)
