"""Which training rows of the participation data belong together, and folds that respect it.

Two thirds of the rows were made from a few crowd-labelled ones (rewritten by a language model, or
found in the same thread and given the label), but the published file does not say from which.
Validation is meaningless while a row's relatives are in training, so the groups are rebuilt: each
made row joins the crowd row of the same label that it resembles most by the backbone's embedding,
and rows that nearly repeat one another join whatever their labels.

`models.encoder.anchor_groups` writes the groups. Shapes: `N` rows, `D` embedding width.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.encoder.data import CROWD, ParticipationTexts

GROUPS_FILE: Final = Path(__file__).with_name("participation-groups.json")
FOLDS: Final = 5
SAME_TEXT: Final = 0.90
"""Cosine from which two rows are taken for one text (the crowd's own rows reach 0.8 by topic)."""


def group_rows(embeddings: NDArray[np.float32], posts: ParticipationTexts) -> list[int]:
    """The group of every row, named by its lowest row number; `embeddings` is (N, D)."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosine = unit @ unit.T
    parent = list(range(len(posts)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(a: int, b: int) -> None:
        low, high = sorted((root(a), root(b)))
        parent[high] = low

    labels = np.asarray(posts.labels)
    is_crowd = np.asarray([source == CROWD for source in posts.sources])
    for row in np.flatnonzero(~is_crowd).tolist():
        anchors = np.flatnonzero(is_crowd & (labels == labels[row]))
        if len(anchors):
            join(row, int(anchors[cosine[row, anchors].argmax()]))
    for a, b in zip(*np.nonzero(np.triu(cosine >= SAME_TEXT, 1)), strict=True):
        join(int(a), int(b))
    return [root(row) for row in range(len(posts))]


def folds(groups: Sequence[int], posts: ParticipationTexts, count: int = FOLDS) -> list[int]:
    """The fold of every row: whole groups, with the crowd's levels spread evenly over folds.

    Groups are dealt level by level of their first crowd row, those with many rows first.
    """
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)

    def order(group: int) -> tuple[int, int, int]:
        crowd = [row for row in members[group] if posts.sources[row] == CROWD]
        level = posts.labels[crowd[0]] if crowd else -1
        return -level, -len(members[group]), group

    fold_of_group = {
        group: position % count for position, group in enumerate(sorted(members, key=order))
    }
    return [fold_of_group[group] for group in groups]


def fingerprint(posts: ParticipationTexts) -> str:
    """Return what tells these rows, in this order, from others."""
    return hashlib.sha256("\n".join(posts.texts).encode()).hexdigest()


def load_groups(posts: ParticipationTexts, file: Path = GROUPS_FILE) -> list[int]:
    """The groups as kept.

    Raises:
        ConfigError: they were made for other rows than `posts`.
    """
    kept = json.loads(file.read_text(encoding="utf-8"))
    if kept["rows_sha256"] != fingerprint(posts):
        raise ConfigError(
            f"{file} was made for other participation rows than these: make it again with "
            "python -m models.encoder.anchor_groups"
        )
    return kept["groups"]
