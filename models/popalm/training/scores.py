"""The reward of `models.popalm.reward` as PPO and DPO ask it: posts and replies to numbers.

The vectors of MiniLM as published are made by torch, which is here anyway, and openvino is not;
they are those of `models.popalm.encoders` up to rounding.

Shapes: `N` replies, `D` embedding width, `T` tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from models.backbone import find_backbone
from models.popalm.encoders import encoder_for, unit
from models.popalm.reward import Reward
from models.popalm.training.monitors import Score, is_copied, score_of
from models.serving.normalise import normalise

_TORCH: Final = "en"
_MAX_TOKENS: Final = 128
COPY_REWARD: Final = -2.0
"""Two deviations below a real reply."""


class MiniLmVectors:
    """MiniLM as published, mean-pooled."""

    def __init__(self) -> None:
        folder = find_backbone().folder
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._network: Any = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (N, D) vectors of length one."""
        given = self._tokenizer(
            [normalise(text) for text in texts], padding=True, truncation=True,
            max_length=_MAX_TOKENS, return_tensors="pt",
        )  # fmt: skip
        hidden = self._network(**given).last_hidden_state
        mask = given["attention_mask"][..., None]
        return unit(((hidden * mask).sum(1) / mask.sum(1)).numpy())


def load_score(folder: Path) -> Score:
    """Load a reward and what makes its vectors.

    Raises:
        ConfigError: There is no such reward, or nothing here makes its vectors.
    """
    reward = Reward.load(folder)
    of = reward.config.encoder
    return score_of(reward, MiniLmVectors() if of == _TORCH else encoder_for(of))


def without_copies(score: Score, of_a_copy: float = COPY_REWARD) -> Score:
    """Return a score that gives little for what copies its post: near to it, and no reply."""

    def guarded(posts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.asarray(score(posts, texts), np.float32)
        copied = [is_copied(text, post) for text, post in zip(texts, posts, strict=True)]
        return np.where(copied, np.minimum(found, of_a_copy), found).astype(np.float32)

    return guarded
