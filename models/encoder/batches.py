"""Texts to padded token batches, in an order that wastes little padding. Needs torch.

Shapes: `B` batch, `T` tokens of the batch's longest text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.encoder.heads.base import Lesson
from models.encoder.soft import SoftLesson
from models.serving.normalise import normalise

PAD_ID = 0


@dataclass(frozen=True, slots=True)
class TokenisedTask:
    """A task's posts as token ids, and what its heads learn from them."""

    name: str
    token_ids: tuple[tuple[int, ...], ...]
    lessons: tuple[Lesson, ...]
    soft: tuple[SoftLesson, ...] = ()
    """What teachers say of the same posts."""
    embeddings: Tensor | None = None
    """A teacher's embeddings (N, D) of the same posts, to be matched."""

    def select(self, rows: Sequence[int]) -> "TokenisedTask":
        """The posts of those row numbers, in that order, with all that is learned from them."""
        lessons = tuple(
            Lesson(
                one.head,
                tuple(one.targets[row] for row in rows),
                tuple(one.weights[row] for row in rows),
            )
            for one in self.lessons
        )
        soft = tuple(SoftLesson(one.head, one.logits[list(rows)], one.weight) for one in self.soft)
        embeddings = None if self.embeddings is None else self.embeddings[list(rows)]
        ids = tuple(self.token_ids[row] for row in rows)
        return TokenisedTask(self.name, ids, lessons, soft, embeddings)


def tokenise(
    texts: Sequence[str], tokenizer_file: Path, max_tokens: int
) -> tuple[tuple[int, ...], ...]:
    """Normalise and tokenise, special tokens included, cut at `max_tokens`."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    encodings = tokenizer.encode_batch_fast([normalise(text) for text in texts])
    return tuple(tuple(encoding.ids) for encoding in encodings)


def pad(token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask, both (B, T)."""
    width = max(len(ids) for ids in token_ids)
    padded = torch.full((len(token_ids), width), PAD_ID, dtype=torch.long)
    mask = torch.zeros((len(token_ids), width), dtype=torch.long)
    for row, ids in enumerate(token_ids):
        padded[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = 1
    return padded, mask


def plan_epoch(
    lengths: Sequence[int], batch_posts: int, seed: int, epoch: int, pool_batches: int = 50
) -> list[list[int]]:
    """Row numbers of each batch of an epoch; every row exactly once.

    Rows are shuffled, then sorted by length inside pools of `pool_batches` batches, then the
    batches are shuffled: near-equal lengths inside a batch without a fixed order of batches.
    A pure function of its arguments, so a resumed run continues with the same batches.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    pool = batch_posts * pool_batches
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        rows = sorted(order[start : start + pool].tolist(), key=lambda row: (lengths[row], row))
        batches += [rows[i : i + batch_posts] for i in range(0, len(rows), batch_posts)]
    return [batches[i] for i in rng.permutation(len(batches))]


def plan_passes(
    lengths: Sequence[int], batch_posts: int, seed: int, epoch: int, passes: float
) -> list[list[int]]:
    """Batches of `passes` passes over the rows in one epoch; a share below one takes that share.

    Different epochs take different rows of a large set, so five epochs of a tenth see half of it.
    """
    whole, part = divmod(passes, 1.0)
    batches: list[list[int]] = []
    for number in range(int(whole)):
        batches += plan_epoch(lengths, batch_posts, seed, epoch * max(1, int(whole)) + number)
    if part:
        rest = plan_epoch(lengths, batch_posts, seed + 1, epoch)
        batches += rest[: max(1, round(part * len(rest)))]
    return batches


def in_length_order(lengths: Sequence[int], batch_posts: int) -> Iterator[list[int]]:
    """Row numbers in batches, shortest texts first: for evaluation, where order is free."""
    rows = sorted(range(len(lengths)), key=lambda row: lengths[row])
    for start in range(0, len(rows), batch_posts):
        yield rows[start : start + batch_posts]
