"""What a reward says of real replies, each read among the other known replies to its post.

Liking alone reads a reply and its post. The reward as a whole adds relevance, which reads the
event's other replies too: both heads alike, not chosen by anything. Who wrote for likes what others
say as well is found by it. `total` is the same as decoders are judged by: at equal length, and with
likeness where that is known.

Shapes: `n` replies, `m` other replies, `R` replies of an event, `D` embedding width, `N` pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.encoders import TextVectors
from models.popalm.pairs import Pair, normalised
from models.popalm.reward import Reward
from models.popalm.text_shape import letters_score
from models.popalm.training.reward_data import LikedEvent

Floats = NDArray[np.float64]
Scores = Mapping[str, Floats]
HEADS: Final = ("reward", "liking", "among", "total")


def scores_among(
    reward: Reward,
    post_vector: NDArray[np.float32],
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    others: NDArray[np.float32],
    fold: int | None,
) -> dict[str, Floats]:
    """Return (n,) scores of replies by head: `HEADS`.

    Args:
        reward: The reward.
        post_vector: The (D,) vector of the post.
        texts: The replies.
        vectors: Their (n, D) vectors.
        others: The (m, D) vectors of the other replies to the post; none of those that are judged.
        fold: The fold whose posts the weights must not know.
    """
    liking = reward.popularity(vectors, texts, post_vector, fold).astype(np.float64)
    among = reward.relevance(post_vector, vectors, others, fold).astype(np.float64)
    total = reward.total(post_vector, texts, vectors, others, fold).astype(np.float64)
    whole = (liking + among) / np.sqrt(2)
    return {"reward": whole, "liking": liking, "among": among, "total": total}


def known_replies(
    posts: Iterable[Mapping[str, Any]], pairs: Iterable[Pair]
) -> dict[str, dict[str, str]]:
    """Return post -> reply -> its text, for all known replies; posts and replies normalised.

    Args:
        posts: Rows with `post` and `replies`.
        pairs: Pairs of replies to one post, liked or not.
    """
    found: dict[str, dict[str, str]] = {}
    said = [(row["post"], list(row["replies"])) for row in posts]
    said += [(pair.post, [pair.preferred, pair.rejected]) for pair in pairs]
    for post, replies in said:
        own = found.setdefault(normalised(post), {})
        for text in replies:
            own.setdefault(normalised(text), text)
    return found


def remembering(encode: TextVectors) -> TextVectors:
    """Return an encoder that reads each text once, however often it is asked for it."""
    kept: dict[str, NDArray[np.float32]] = {}

    def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return encode(texts)
        if fresh := [text for text in dict.fromkeys(texts) if text not in kept]:
            kept.update(zip(fresh, encode(fresh), strict=True))
        return np.stack([kept[text] for text in texts])

    return vectors


def pairs_ahead(
    reward: Reward,
    encode: TextVectors,
    pairs: Sequence[Pair],
    known: Mapping[str, Mapping[str, str]],
) -> Scores:
    """Return (N,) how far the preferred reply of each pair is ahead, by heads and by floors.

    Args:
        reward: The reward.
        encode: Its encoder.
        pairs: The pairs.
        known: All known replies, as `known_replies` gives them; neither of a pair is among the
            others of that pair.
    """
    asked = [*(t for pair in pairs for t in (pair.post, pair.preferred, pair.rejected))]
    asked += [text for pair in pairs for text in known.get(normalised(pair.post), {}).values()]
    texts = list(dict.fromkeys(asked))
    vectors = encode(texts)
    row = {text: number for number, text in enumerate(texts)}
    found: dict[str, list[float]] = {}
    for pair in pairs:
        both, fold = [pair.preferred, pair.rejected], reward.fold_for(pair.post)
        left_out = set(map(normalised, both))
        rest = [
            row[text] for one, text in known.get(normalised(pair.post), {}).items()
            if one not in left_out
        ]  # fmt: skip
        given = vectors[[row[text] for text in both]]
        scores = scores_among(reward, vectors[row[pair.post]], both, given, vectors[rest], fold)
        letters = reward.tensors["letters"][0 if fold is None else fold + 1]
        scores["letters"] = letters_score(both, letters.astype(np.float32)).astype(np.float64)
        scores["longer"] = np.array([len(text) for text in both], np.float64)
        for name, values in scores.items():
            found.setdefault(name, []).append(float(values[0] - values[1]))
    return {name: np.array(values) for name, values in found.items()}


def event_heads(reward: Reward, encode: TextVectors, event: LikedEvent) -> Scores:
    """Return (R,) scores of an event's replies by head, each read among all of the others.

    Weights are those that do not know the event's post.
    """
    texts = [reply.text for reply in event.replies]
    vectors = encode([event.post, *texts])
    post, own, fold = vectors[0], vectors[1:], reward.fold_for(event.post)
    rows = [
        scores_among(reward, post, texts[n : n + 1], own[n : n + 1], np.delete(own, n, 0), fold)
        for n in range(len(texts))
    ]
    return {name: np.concatenate([row[name] for row in rows]) for name in HEADS}
