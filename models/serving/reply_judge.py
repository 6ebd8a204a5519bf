"""Who says which of a post's candidates is best: a reward model, or the decoder itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

from models.popalm.decoding import Candidate
from models.popalm.encoders import TextVectors, encoder_for
from models.popalm.reward import Reward

Judge = Callable[[str, Sequence[Candidate]], Sequence[float]]
"""Says of a post's candidates how good they are; higher is better. Finite, deterministic."""


def by_likelihood(post: str, candidates: Sequence[Candidate]) -> Sequence[float]:
    """Judge candidates by the decoder's own mean log-probability, where there is no reward."""
    del post
    return [one.likelihood for one in candidates]


def by_reward(folder: Path) -> Judge:
    """Return the judge that a reward model is.

    Args:
        folder: Its weights, as `models.popalm.reward` writes them.

    Raises:
        ConfigError: They cannot be read, or the encoder that they want is not there.
    """
    reward = Reward.load(folder)
    vectors_of: TextVectors = encoder_for(reward.config.encoder)

    def judge(post: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        texts = [one.text for one in candidates]
        vectors = vectors_of([post, *texts])
        return reward.total(vectors[0], texts, vectors[1:]).tolist()

    return judge
