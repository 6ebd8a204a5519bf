"""Encoders that compare replies, by language; none of them needs torch.

English is read by the backbone as published (no adapter: what was trained to tell tone from tone
is no judge of what is said). Chinese needs a folder that the caller names: an ONNX encoder whose
first position is the sentence, with its `tokenizer.json`, such as bge-small-zh-v1.5.

Shapes: `B` texts, `T` tokens, `D` embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from evaluation.baselines.embedding import embed, unit
from evaluation.responses.lift import Embed
from models.serving.engines import pad, plan_runs
from models.serving.tokenise import TextTokenizer

_TOKENIZER: Final = "tokenizer.json"
_MAX_TOKENS: Final = 128


def encoder_for(language: str, chinese: Path | None) -> Embed | None:
    """Return the encoder of a language; None where there is none.

    Raises:
        ConfigError: The folder that is named has no such encoder.
    """
    if language == "en":
        return embed
    return None if chinese is None else FirstPositionEncoder(chinese)


class FirstPositionEncoder:
    """An ONNX encoder of the BERT kind, read at its first position.

    Args:
        folder: Holds one `.onnx` file and `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        networks = sorted(folder.glob("*.onnx"))
        if len(networks) != 1 or not (folder / _TOKENIZER).is_file():
            raise ConfigError(
                f"{folder} has {len(networks)} .onnx files and "
                f"{'a' if (folder / _TOKENIZER).is_file() else 'no'} {_TOKENIZER}; expected one"
            )
        try:
            import openvino
        except ImportError as error:
            raise ConfigError("openvino is in the model server's environment: use that") from error
        self._tokenizer = TextTokenizer(folder / _TOKENIZER, _MAX_TOKENS)
        core: Any = openvino.Core()
        self._network: Any = core.compile_model(networks[0], "CPU")
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
        return unit(np.array([found[row] for row in range(len(texts))], np.float32))
