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
from models.popalm.encoders import TextVectors, encoder_for, unit
from models.popalm.training.monitors import Score
from models.popalm.reward import Reward
from models.serving.normalise import normalise

_TORCH: Final = "en"
_MAX_TOKENS: Final = 128


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


def score_of(reward: Reward, vectors_of: TextVectors) -> Score:
    """Return a reward as a function of posts and a reply to each.

    A post that the reward has learnt from is judged by the weights that did not see it.
    """

    def score(posts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        distinct = list(dict.fromkeys([*posts, *texts]))
        vectors = dict(zip(distinct, vectors_of(distinct), strict=True))
        found = [
            reward.total(
                vectors[post], [text], vectors[text][None], None, reward.fold_for(post)
            )[0]
            for post, text in zip(posts, texts, strict=True)
        ]  # fmt: skip
        return np.asarray(found, np.float32)

    return score


def load_score(folder: Path) -> Score:
    """Load a reward and what makes its vectors.

    Raises:
        ConfigError: There is no such reward, or nothing here makes its vectors.
    """
    reward = Reward.load(folder)
    of = reward.config.encoder
    return score_of(reward, MiniLmVectors() if of == _TORCH else encoder_for(of))
