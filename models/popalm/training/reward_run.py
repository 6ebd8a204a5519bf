"""Train the rewards that ship, in the model server's environment.

    python -m models.popalm.training.reward_run --data ../shared/data --which zh
    python -m models.popalm.training.reward_run --data DATA --which en --threads FILE --drawn DIR

English ones learn likeness too: from threads (`evaluation.responses.training_threads`), and from
what decoders drew to some of them (`models.popalm.training.answer`). A reward and its held-out
one learn from different posts.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
from models.popalm.reward import (
    CONFIG_FILE,
    FOLDS,
    REWARD_WEIGHTS,
    WEIGHTS_FILE,
    Reward,
    RewardConfig,
    post_key,
)
from models.popalm.training.reward import read_pairs, train_popularity
from models.popalm.training.reward_data import (
    Thread,
    pairs_of,
    ranked_pairs,
    read_drawn,
    read_threads,
    reddit_events,
    rumour_events,
    weibo_pairs,
    weibo_posts,
)
from models.popalm.training.reward_likeness import (
    LEADING,
    by_length,
    likely_pairs,
    rarity,
    sayable,
    train_likeness,
    train_relevance,
)

VERSION: Final = "reward-2"
THREADS: Final = 500
"""Posts of threads that relevance and likeness learn from, at most."""
_ORDER: Final = 1616
_NEUTRAL: Final = np.tile(np.array([0, 0, 0, 1], np.float32), (FOLDS + 1, 1))


@dataclass(frozen=True, slots=True)
class Training:
    """What a reward learns from.

    Attributes:
        language: `en` or `zh`.
        encoder: What makes its vectors.
        pairs: Pairs of which one is liked more.
        threads: Posts with replies as they are found where the reward is asked.
        liked: Further posts with replies, from which relevance learns.
        drawn: What decoders drew to some of the posts; empty leaves out likeness.
    """

    language: str
    encoder: str
    pairs: Sequence[Pair]
    threads: Sequence[Thread]
    liked: Sequence[Thread] = ()
    drawn: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def own_threads(
    threads: Sequence[Thread], is_held_out: bool, first: Collection[str] = ()
) -> list[Thread]:
    """Return `THREADS` threads of the half of posts that a reward learns from.

    Args:
        threads: All threads.
        is_held_out: Which half.
        first: Posts that are taken before others.
    """
    drawn = list(threads)
    random.Random(_ORDER).shuffle(drawn)
    own = [one for one in drawn if post_key(one[0]) // FOLDS % 2 == is_held_out]
    return sorted(own, key=lambda one: one[0] not in first)[:THREADS]


def training_of(
    which: str, data: Path, threads: Path | None = None, drawn: Path | None = None
) -> Training:
    """Return what `en`, `zh`, `en-heldout` or `zh-heldout` learns from.

    Args:
        which: The reward.
        data: The folder of the data sets.
        threads: The file of English threads.
        drawn: The folder of what decoders drew to some of them.

    Raises:
        ConfigError: There is no such reward, or its data are not there.
    """
    language, is_held_out = which.removesuffix("-heldout"), which.endswith("-heldout")
    if language not in ("en", "zh"):
        raise ConfigError(f"reward {which!r}: expected en, zh, en-heldout or zh-heldout")
    if language == "zh":
        judged = {normalised(row["post"]) for row in weibo_posts(data) if row["split"] != "train"}
        rows = [row for row in weibo_posts(data) if row["split"] == "train"]
        own = [
            (row["post"], row["replies"]) for row in rows if normalised(row["post"]) not in judged
        ]
        pairs = ranked_pairs(data) if is_held_out else weibo_pairs(data).rebuilt
        encoder = "letters" if is_held_out else "zh"
        return Training(language, encoder, pairs, own_threads(own, is_held_out))
    if threads is None or drawn is None:
        raise ConfigError(f"reward {which!r}: expected --threads and --drawn")
    # Likes are learnt from one source each, so that the other reward is a judge of its own.
    events = rumour_events(data) if is_held_out else reddit_events(data)
    liked = [(event.post, [reply.text for reply in event.replies]) for event in events]
    answers = read_drawn(drawn)
    own = own_threads(read_threads(threads), is_held_out, answers)
    encoder = "words" if is_held_out else "en"
    return Training(language, encoder, pairs_of(events), own, liked, answers)


def trained(training: Training, encode: TextVectors, version: str) -> Reward:
    """Return a reward that has learnt."""
    has_words = training.encoder == "words"
    tensors = train_popularity(read_pairs(training.pairs, encode), with_vectors=not has_words)
    return with_threads(training, encode, version, tensors)


def with_threads(
    training: Training, encode: TextVectors, version: str, liking: Mapping[str, NDArray[Any]]
) -> Reward:
    """Return a reward whose liking is learnt, with what it learns from threads.

    Args:
        training: What it learns from.
        encode: Its encoder.
        version: Its version.
        liking: The tensors of its liking.
    """
    tensors: dict[str, NDArray[Any]] = {**liking, "popularity_by_length": _NEUTRAL}
    tensors |= train_relevance([*training.liked, *training.threads], encode)
    threads = [(post, list(replies[:LEADING])) for post, replies in training.threads]
    texts = list(dict.fromkeys(text for _post, replies in threads for text in replies))
    if training.drawn:
        vectors = encode(texts)
        terms = rarity(vectors) if training.encoder == "words" else np.ones(vectors.shape[1])
        pairs = likely_pairs(threads, training.drawn, sayable(texts, vectors))
        for kind, found in pairs.items():
            sys.stderr.write(f"likeness: {len(found)} pairs, {kind}\n")
        tensors |= train_likeness(pairs, encode, terms) | {"likeness_by_length": _NEUTRAL}
    posts = [post for post, _replies in [*training.liked, *training.threads]]
    learnt = {*map(int, tensors["learnt_posts"]), *map(post_key, posts)}
    tensors["learnt_posts"] = np.array(sorted(learnt), np.uint64)
    config = RewardConfig(version=version, language=training.language, encoder=training.encoder)
    return _at_lengths(Reward(config, tensors), threads, encode)


def _at_lengths(reward: Reward, threads: Sequence[Thread], encode: TextVectors) -> Reward:
    """Return a reward that knows what is usual at each length of real replies."""
    posts = encode([post for post, _replies in threads])
    read = [
        (post, encode(list(own)), own) for post, (_post, own) in zip(posts, threads, strict=True)
    ]
    texts = [text for _post, own in threads for text in own]
    heads = {
        "popularity": lambda post, vectors, own, fold: reward.popularity(vectors, own, post, fold)
    }
    if reward.has_likeness:
        heads["likeness"] = lambda post, vectors, own, fold: reward.likeness(
            post, own, vectors, fold
        )
    found = dict(reward.tensors)
    for name, head in heads.items():
        rows: list[NDArray[np.float32]] = []
        for fold in (None, *range(FOLDS)):
            scores = np.concatenate([head(post, vectors, own, fold) for post, vectors, own in read])
            rows.append(by_length(scores.astype(np.float64), texts))
        found[f"{name}_by_length"] = np.stack(rows)
    return Reward(reward.config, found)


def write_reward(reward: Reward, folder: Path) -> None:
    """Write a reward's files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(value) for name, value in reward.tensors.items()},
        folder / WEIGHTS_FILE,
    )
    text = msgspec.json.format(msgspec.json.encode(reward.config))
    (folder / CONFIG_FILE).write_bytes(text + b"\n")


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    which: Annotated[str, typer.Option(help="en, zh, en-heldout or zh-heldout.")],
    threads: Annotated[Path | None, typer.Option(help="File of English threads.")] = None,
    drawn: Annotated[Path | None, typer.Option(help="Folder of what decoders drew.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of rewards; a folder for each.")
    ] = REWARD_WEIGHTS,
) -> None:
    """Train a reward and write its weights."""
    training = training_of(which, data, threads, drawn)
    reward = trained(training, encoder_for(training.encoder), f"{VERSION}-{which}")
    write_reward(reward, out / which)
    typer.echo(f"{which}: {len(training.pairs)} pairs, {len(reward.tensors['learnt_posts'])} posts")


if __name__ == "__main__":
    typer.run(main)
