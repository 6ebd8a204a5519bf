"""Sentence embeddings of the backbone as published, without torch: what adapters have to improve.

The shipped skeleton is filled with the verified backbone and no adapter, and run in fp32.

Shapes: `N` texts, `D` embedding width.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.serving.normalise import normalise


def embed(texts: Sequence[str], backbone_folder: Path | None = None) -> NDArray[np.float32]:
    """Return the mean-pooled embeddings (N, D) of raw texts, each of length one.

    Raises:
        ConfigError: The backbone is not to be had, or openvino is not installed here.
    """
    import onnx
    from safetensors.numpy import load_file

    from models.assemble import fill_skeleton
    from models.backbone import find_backbone
    from models.build import HEADS_FILE, SKELETON_FILE, WEIGHTS
    from models.encoder.config import load_config
    from models.serving.engines import EMBEDDING, ONNX_FILE, OpenVinoEngine
    from models.serving.tokenise import TextTokenizer

    config = load_config(WEIGHTS)
    backbone = find_backbone(config.backbone, config.backbone_sha256, backbone_folder)
    tensors = {f"model.backbone.{k}": v for k, v in load_file(backbone.weights).items()}
    tensors |= {f"model.heads.{k}": v for k, v in load_file(WEIGHTS / HEADS_FILE).items()}
    tokenizer = TextTokenizer(backbone.tokenizer, config.max_tokens)
    with tempfile.TemporaryDirectory() as scratch:
        network = Path(scratch) / ONNX_FILE
        onnx.save_model(fill_skeleton(WEIGHTS / SKELETON_FILE, tensors), network)
        token_ids = tokenizer.encode([normalise(text) for text in texts])
        found = OpenVinoEngine(network).infer(token_ids)[EMBEDDING]
    return unit(found)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows (N, D) scaled to length one; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
