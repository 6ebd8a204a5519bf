"""Whether a post is about a collective problem at all: the gate before any participation.

No data set has this label, but the levels imply it: whoever participates in collective action
names (or belongs to a movement known for) a collective problem, so every level but none means
yes. None means no or not clear, so those posts count for little and lean to no. Posts from a
topics set that coders did not give to news and social concern are clear noes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from models.encoder.heads.base import UNLABELLED, CalibrationSample, HeadTraining, Lesson
from models.metrics import average_precision

NONE_IS_NO: Final = 0.5
"""Weight of a post whose level is none: its problem may be absent or unclear."""
UNCLEAR: Final = (0.15,)
YES: Final = (1.0,)
NO: Final = (0.0,)


def lesson(levels: Sequence[int], weights: Sequence[float]) -> Lesson:
    """What levels of participation, each counting so much, say of collective problems."""
    targets = tuple(YES if level else UNCLEAR for level in levels)
    pairs = zip(weights, levels, strict=True)
    return Lesson("problem", targets, tuple(w if level else w * NONE_IS_NO for w, level in pairs))


def _sample(root: Path) -> CalibrationSample:
    from models.encoder.heads import participation

    held = participation.sample(root)
    yes = (held.truth > 0).astype(np.int64)[:, None]
    share = participation.DEPLOYED_PARTICIPATION
    said = held.said + " (which implies a problem)"
    return CalibrationSample(held.texts, yes, said, (1 - share, share), (0.0,))


TRAINING = HeadTraining(
    figure=lambda logits, truth: average_precision(logits.ravel(), truth.ravel() > 0),
    taught_by="participation",
    sample=_sample,
    teacher_asked=("sentiment", UNLABELLED),
)
