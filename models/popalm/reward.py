"""What people will think of a reply to a post: heads for liking, relevance and likeness.

Liking (`popularity`) is a small text prior: what a reply looks like, its letters and its vector.
Relevance is how close a reply is to its post and to the event's other replies. Likeness is how
much it is like what people answer to this very post, and not like what a decoder draws, what could
be said to any post, or what was said to another one. Likes that a real reply has by now say far
more than all and are no part of it: `expected_likes` has them.

Long replies are liked more and share more with their post. What a reply is worth in all (`total`)
is read against real replies of its length, so that nobody gains by writing more.

Everything is a sum of weights, in numpy. Beside the weights from all posts stand one set for each
fold of posts, which has learnt from all posts but those: a known post is judged by the one that
did not see it.

Shapes: `n` replies, `m` other replies, `D` embedding width, `F` features of shape, `L` buckets of
letters, `W` sets of weights, the first from all posts, `P` posts that were learnt from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.descriptions import read_description
from models.popalm.pairs import normalised
from models.popalm.text_shape import BUCKETS, COLUMNS, letters_score, shapes_of

Floats = NDArray[np.float32]
FOLDS: Final = 5
_FEW: Final = 2.0
"""Other replies by which closeness to them counts half."""
WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
REWARD_WEIGHTS: Final = Path(__file__).resolve().parents[1] / "weights" / "reward"
"""The shipped ones, a folder each: `en` and `zh`, and `en-heldout` and `zh-heldout`, which learnt
from other posts and read words or letters in place of vectors, so that they can judge what was
trained against the first two."""
CLOSENESS: Final = 3
"""What likeness reads of a cosine to the post: its root, itself and its square."""
_LENGTHS: Final = (1.5, 6.5)
"""Logarithms of characters between which lengths are told apart: 3 to 660."""


class RewardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reward is and how its numbers are read.

    Attributes:
        version: Its name and the number of its training.
        language: `en` or `zh`.
        encoder: What makes its vectors: `en`, `zh`, `letters` or `words` (`encoders.encoder_for`).
        columns: The features of shape that it was trained with.
    """

    version: str
    language: str
    encoder: str
    columns: tuple[str, ...] = COLUMNS


def post_key(post: str) -> int:
    """Return the 64-bit number by which a post that was learnt from is known again."""
    return int.from_bytes(hashlib.sha256(normalised(post).encode()).digest()[:8], "big")


def fold_of(post: str) -> int:
    """Return the fold of a post, 0 to `FOLDS` - 1; the same for all that say the same."""
    return post_key(post) % FOLDS


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward. Read-only, and so safe for concurrent calls.

    Attributes:
        config: What it is.
        tensors: Its numbers by name, as `expected_tensors` lists them.
    """

    config: RewardConfig
    tensors: dict[str, NDArray[np.generic]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a reward from its folder.

        Raises:
            ConfigError: A file is not there, or not what this program reads.
        """
        from models.tensors import damaged, read_tensors, tensor_fault

        config = read_description(folder / CONFIG_FILE, RewardConfig, "reward")
        tensors = read_tensors(folder / WEIGHTS_FILE)
        if config.columns != COLUMNS:
            raise ConfigError(f"reward in {folder} was trained with other features of shape")
        width, posts = (np.size(tensors.get(name, ())) for name in ("vectors", "learnt_posts"))
        shapes = expected_tensors(width // (FOLDS + 1), "likeness" in tensors)
        wrong = tensor_fault(tensors, shapes | {"learnt_posts": (posts,)}, whole=("learnt_posts",))
        if not wrong and tensors["learnt_posts"].dtype != np.uint64:
            wrong = f"has learnt_posts of type {tensors['learnt_posts'].dtype}, expected uint64"
        if wrong:
            raise damaged(folder / WEIGHTS_FILE, f"{wrong}: no reward of this program")
        return cls(config, tensors)

    @property
    def width(self) -> int:
        """The width of the vectors that it reads."""
        return self._of("vectors").shape[1]

    def _of(self, name: str) -> NDArray[np.float64]:
        return self.tensors[name].astype(np.float64)

    def fold_for(self, post: str) -> int | None:
        """Return the fold of a post that was learnt from; None of one that is unknown."""
        known = np.isin(np.uint64(post_key(post)), self.tensors["learnt_posts"])
        return fold_of(post) if bool(known) else None

    def popularity(
        self,
        vectors: Floats,
        texts: Sequence[str],
        post_vector: Floats | None = None,
        fold: int | None = None,
    ) -> Floats:
        """Return (n,) how much people like replies, mean 0 and deviation 1 over real ones.

        Args:
            vectors: The (n, D) vectors of the replies.
            texts: The replies.
            post_vector: The (D,) vector of the post; None leaves out how close a reply is to it.
            fold: The fold whose posts the weights must not know; None for those from all posts.
        """
        row = 0 if fold is None else fold + 1
        shapes = (shapes_of(texts) - self._of("shape_mean")) / self._of("shape_scale")
        score = shapes @ self._of("shape")[row] + vectors @ self._of("vectors")[row]
        score = score + letters_score(texts, self._of("letters")[row])
        if post_vector is not None:
            usual = self._of("close_mean")[row]
            score = score + (vectors @ post_vector - usual) * self._of("close")[row]
        return self._standard(score, "popularity", row)

    def relevance(
        self,
        post_vector: Floats,
        vectors: Floats,
        others: Floats | None,
        fold: int | None = None,
    ) -> Floats:
        """Return (n,) how much replies are about the post, mean 0 and deviation 1 over real ones.

        Args:
            post_vector: The (D,) vector of the post.
            vectors: The (n, D) vectors of the replies.
            others: The (m, D) vectors of the event's other replies; None or none leaves them out.
            fold: The fold whose posts the weights must not know; None for those from all posts.
        """
        row = 0 if fold is None else fold + 1
        if others is None or not len(others):
            return self._standard(vectors @ post_vector, "relevance_alone", row)
        near = nearness(post_vector, vectors, others)
        # A few other replies say little of what an event is about.
        near[:, 1:] -= self._of("relevance_usual")[row]
        near[:, 1:] *= len(others) / (len(others) + _FEW)
        score = near @ self._of("relevance")[row]
        return self._standard(score, "relevance_among", row)

    @property
    def has_likeness(self) -> bool:
        """Whether it knows what a decoder draws: so far the English ones do."""
        return "likeness" in self.tensors

    def likeness(
        self,
        post_vector: Floats,
        texts: Sequence[str],
        vectors: Floats,
        fold: int | None = None,
    ) -> Floats:
        """Return (n,) how much replies are like people's to this post; mean 0, deviation 1.

        Args:
            post_vector: The (D,) vector of the post.
            texts: The replies.
            vectors: The (n, D) vectors of the replies.
            fold: The fold whose posts the weights must not know; None for those from all posts.
        """
        row = 0 if fold is None else fold + 1
        near = closeness(post_vector, vectors, self._of("terms"))
        score = np.hstack([shapes_of(texts), near]) @ self._of("likeness")[row]
        return self._at_length(score, texts, "likeness", row)

    def total(
        self,
        post_vector: Floats,
        texts: Sequence[str],
        vectors: Floats,
        others: Floats | None = None,
        fold: int | None = None,
    ) -> Floats:
        """Return (n,) what replies are worth: all heads alike, deviation about 1 on real ones.

        Likeness, where it is known, holds how close a reply is to the post.

        Args:
            post_vector: The (D,) vector of the post.
            texts: The replies.
            vectors: The (n, D) vectors of the replies.
            others: The (m, D) vectors of the event's other replies; None where there are none.
            fold: The fold whose posts the weights must not know.
        """
        row = 0 if fold is None else fold + 1
        liked = self.popularity(vectors, texts, post_vector, fold)
        heads = [self._at_length(liked, texts, "popularity", row)]
        if self.has_likeness:
            heads.append(self.likeness(post_vector, texts, vectors, fold))
        if not self.has_likeness or (others is not None and len(others)):
            heads.append(self.relevance(post_vector, vectors, others, fold))
        return (np.sum(heads, axis=0) / np.sqrt(len(heads))).astype(np.float32)

    def _at_length(
        self, score: NDArray[np.floating], texts: Sequence[str], head: str, row: int
    ) -> Floats:
        """Return (n,) scores against those of real replies of the same length."""
        *usual, deviation = self._of(f"{head}_by_length")[row]
        return ((score - lengths_of(texts) @ usual) / deviation).astype(np.float32)

    def _standard(self, score: NDArray[np.floating], head: str, row: int) -> Floats:
        mean, deviation = self._of(head)[row]
        return ((score - mean) / deviation).astype(np.float32)


def nearness(post_vector: Floats, vectors: Floats, others: Floats) -> Floats:
    """Return (n, 3): the cosine to the post, the mean one to other replies, and the nearest one."""
    among = vectors @ others.T
    return np.stack([vectors @ post_vector, among.mean(axis=1), among.max(axis=1)], axis=1)


def closeness(
    post_vector: Floats, vectors: Floats, terms: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return (n, `CLOSENESS`) what likeness reads of the cosines to the post.

    Args:
        post_vector: The (D,) vector of the post, or (n, D), one for each reply.
        vectors: The (n, D) vectors of the replies.
        terms: The (D,) weights of the vectors' numbers: how rare a word is, or ones.
    """
    post, own = post_vector * terms, vectors * terms
    length = np.linalg.norm(post, axis=-1) * np.linalg.norm(own, axis=1)
    cosine = (post * own).sum(axis=1) / np.maximum(length, 1e-9)
    return np.stack([np.sqrt(np.maximum(cosine, 0)), cosine, cosine**2], axis=1)


def lengths_of(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, 3) one, the logarithm of the characters of a text, and its square."""
    long = np.clip([log1p(len(text.strip())) for text in texts], *_LENGTHS)
    return np.stack([np.ones(len(texts)), long, long**2], axis=1)


def expected_tensors(width: int, has_likeness: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a reward's numbers by name, but for `learnt_posts` (P,)."""
    sets, features = FOLDS + 1, len(COLUMNS)
    likeness = {
        "likeness": (sets, features + CLOSENESS), "likeness_by_length": (sets, 4),
        "terms": (width,),
    }  # fmt: skip
    return {
        "shape_mean": (features,), "shape_scale": (features,), "shape": (sets, features),
        "letters": (sets, BUCKETS), "vectors": (sets, width), "close": (sets,),
        "close_mean": (sets,), "popularity": (sets, 2), "popularity_by_length": (sets, 4),
        "relevance": (sets, 3), "relevance_usual": (sets, 2),
        "relevance_alone": (sets, 2), "relevance_among": (sets, 2),
    } | (likeness if has_likeness else {})  # fmt: skip
