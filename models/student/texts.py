"""The posts that the encoder is asked about, for its student to learn from; no test split.

Training parts of every head's posts, and posts without labels. What is held out teaches nothing: by
it probabilities and thresholds are chosen.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from models.encoder.data import posts_unlabelled
from models.encoder.heads import training_of
from models.encoder.heads.base import UNLABELLED
from models.encoder.tasks import TASKS

UNLABELLED_POSTS: Final = 28_000
HELD_OUT_POSTS: Final = 4_000
"""Posts without labels, of the same sources, for probabilities and thresholds."""
HELD_OUT: Final = "held_out"
SEED: Final = 20171


def texts_to_ask(
    root: Path, unlabelled: int = UNLABELLED_POSTS, held_out: int = HELD_OUT_POSTS
) -> Mapping[str, tuple[str, ...]]:
    """Return source -> raw texts: the tasks' training posts, unlabelled ones and `HELD_OUT`.

    Raises:
        ConfigError: The data is not there.
    """
    found: dict[str, tuple[str, ...]] = {}
    for task in TASKS:
        read = training_of(task).train
        if read is None:
            raise ConfigError(f"head {task!r} has no posts of its own to be trained on")
        found[task] = read(root, 0).texts
    drawn = posts_unlabelled(root, unlabelled + held_out, SEED)
    return found | {UNLABELLED: drawn[held_out:], HELD_OUT: drawn[:held_out]}
