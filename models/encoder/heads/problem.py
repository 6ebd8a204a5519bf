"""Whether a post is about a collective problem at all: the gate before any participation.

No data set has this label, but the levels imply it: whoever participates in collective action
names (or belongs to a movement known for) a collective problem, so every level but none means
yes. None means no or not clear, so those posts count for little and lean to no. Posts from a
topics set that coders did not give to news and social concern are clear noes.
"""

from pathlib import Path
from typing import Final

import numpy as np

from models.encoder.heads import participation
from models.encoder.heads.base import UNLABELLED, CalibrationSample, HeadTraining
from models.metrics import average_precision

NO: Final = (0.0,)


def _sample(root: Path) -> CalibrationSample:
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
