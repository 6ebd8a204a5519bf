"""What the shipped crowd model says of reactions, asked as the stream would ask it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.ports import CrowdQuestions
from models.build_crowd import CROWD_WEIGHTS
from models.scorers.crowd_edge import as_sent
from models.serving.crowd import open_crowd
from models.socialalign.crowd_config import HEAD_CLASSES
from models.socialalign.posterior import Floats
from models.socialalign.reaction import AnsweredPost, PastReactions, flags_of

_AT_ONCE = 256


def served_shares(past: PastReactions, asked: Sequence[AnsweredPost]) -> Floats:
    """Return (n, C) how each person reacts, by the shipped weights and what is known of each.

    Raises:
        ConfigError: The weights are not there, or are of another program.
    """
    service = open_crowd(CROWD_WEIGHTS, is_built=False)
    found = [np.zeros((0, past.labels))]
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        found.append(service.expect(as_sent(questions_of(past, part))).reaction.astype(np.float64))
    return np.concatenate(found)


def questions_of(past: PastReactions, asked: Sequence[AnsweredPost]) -> CrowdQuestions:
    """Return what is asked of each person; of the heads of posts nothing is known."""
    return CrowdQuestions(
        np.array([past.usual(one) for one in asked], np.float32),
        np.full((len(asked), HEAD_CLASSES), np.nan, np.float32),
        np.array([past.seen(one) for one in asked], np.float32),
        np.array([flags_of(one) for one in asked], np.float32),
        [one.post for one in asked],
    )
