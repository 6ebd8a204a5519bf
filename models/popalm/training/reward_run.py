"""Train the rewards that ship, in the model server's environment.

python -m models.popalm.training.reward_run --data ../shared/data --which zh
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from safetensors.numpy import save_file

from core.errors import ConfigError
from models.popalm.encoders import TextVectors, encoder_for
from models.popalm.pairs import Pair, normalised
from models.popalm.reward import CONFIG_FILE, REWARD_WEIGHTS, WEIGHTS_FILE, RewardConfig, nearness
from models.popalm.training.reward import fit, read_pairs, train_popularity
from models.popalm.training.reward_data import (
    SEED,
    pairs_of,
    ranked_pairs,
    reddit_events,
    rumour_events,
    weibo_pairs,
    weibo_posts,
)

VERSION: Final = "reward-1"
_REPLIES: Final = 10
"""Replies of a post that relevance learns from, at most; the others of one are the rest."""
_STRENGTH: Final = 1e-3
_Thread = tuple[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Training:
    """What a reward learns from.

    Attributes:
        language: `en` or `zh`.
        encoder: What makes its vectors.
        pairs: Pairs of which one is liked more.
        threads: Posts with replies, from which relevance learns.
    """

    language: str
    encoder: str
    pairs: Sequence[Pair]
    threads: Sequence[_Thread]


def training_of(which: str, data: Path) -> Training:
    """Return what `en`, `zh`, `en-heldout` or `zh-heldout` learns from.

    Raises:
        ConfigError: There is no such reward, or its data are not there.
    """
    language = which.removesuffix("-heldout")
    if language not in ("en", "zh"):
        raise ConfigError(f"reward {which!r}: expected en, zh, en-heldout or zh-heldout")
    encoder = "letters" if which.endswith("-heldout") else language
    if language == "zh":
        judged = {normalised(row["post"]) for row in weibo_posts(data) if row["split"] != "train"}
        rows = [row for row in weibo_posts(data) if row["split"] == "train"]
        own = [
            (row["post"], row["replies"]) for row in rows if normalised(row["post"]) not in judged
        ]
        pairs = weibo_pairs(data).rebuilt if encoder == "zh" else ranked_pairs(data)
        return Training(language, encoder, pairs, own)
    events = reddit_events(data) if encoder == "en" else rumour_events(data)
    # Likes are learnt from one source each, so that the other reward is a judge of its own.
    threads = [*rumour_events(data), *(events if encoder == "en" else [])]
    drawn = [(event.post, [reply.text for reply in event.replies]) for event in threads]
    return Training(language, encoder, pairs_of(events), drawn)


def train_relevance(threads: Sequence[_Thread], encode: TextVectors) -> dict[str, NDArray[Any]]:
    """Return the tensors of the head of relevance: own replies against those of another post."""
    rng = random.Random(SEED)
    few = [(post, rng.sample(list(own), min(_REPLIES, len(own)))) for post, own in threads]
    few = [(post, own) for post, own in few if len(own) > 1]
    texts = list(dict.fromkeys(text for post, own in few for text in (post, *own)))
    vectors = dict(zip(texts, encode(texts), strict=True))
    near: list[NDArray[np.float32]] = []
    far: list[NDArray[np.float32]] = []
    for row, (post, own) in enumerate(few):
        foreign = rng.choice(few[(row + rng.randrange(1, len(few))) % len(few)][1])
        others = np.stack([vectors[text] for text in own[1:]])
        both = nearness(vectors[post], np.stack([vectors[own[0]], vectors[foreign]]), others)
        near.append(both[0])
        far.append(both[1])
    own_near = np.array(near, np.float64)
    weights = fit(own_near - np.array(far), np.ones(len(near)), _STRENGTH)
    usual = own_near[:, 1:].mean(axis=0)
    among = (own_near - np.array([0, *usual])) @ weights
    alone = own_near[:, 0]
    return {
        "relevance": weights.astype(np.float32),
        "relevance_usual": usual.astype(np.float32),
        "relevance_alone": np.array([[alone.mean(), alone.std()]], np.float32),
        "relevance_among": np.array([[among.mean(), among.std()]], np.float32),
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    which: Annotated[str, typer.Option(help="en, zh, en-heldout or zh-heldout.")],
    out: Annotated[
        Path, typer.Option(help="Folder of rewards; a folder for each.")
    ] = REWARD_WEIGHTS,
) -> None:
    """Train a reward and write its weights."""
    training = training_of(which, data)
    encode = encoder_for(training.encoder)
    tensors = train_popularity(read_pairs(training.pairs, encode))
    tensors |= train_relevance(training.threads, encode)
    folder = out / which
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()},
        folder / WEIGHTS_FILE,
    )
    config = RewardConfig(
        version=f"{VERSION}-{which}", language=training.language, encoder=training.encoder
    )
    (folder / CONFIG_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(config)) + b"\n")
    typer.echo(f"{which}: {len(training.pairs)} pairs, {len(tensors['learnt_posts'])} posts")


if __name__ == "__main__":
    typer.run(main)
