"""The participation posts a baseline learns from, and a cut that was chosen on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.encoder.anchors import folds, load_groups
from models.encoder.data import CROWD, ParticipationTexts
from models.encoder.heads import participation
from models.encoder.heads.participation import SOURCES

TASKS: Final = ("binary", "direct", "layered")


@dataclass(frozen=True, slots=True)
class Shown:
    """Training posts of the chosen sources with their folds, and the official test.

    `fold_of` keeps every rewritten or inherited post with the post it came from.
    """

    train: ParticipationTexts
    fold_of: tuple[int, ...]
    test: ParticipationTexts

    @property
    def levels(self) -> NDArray[np.int64]:
        """Levels of the training posts."""
        return np.asarray(self.train.labels, np.int64)

    @property
    def is_crowd(self) -> NDArray[np.bool_]:
        """Which training posts people labelled."""
        return np.asarray([source == CROWD for source in self.train.sources])


def load_shown(root: Path, sources: Sequence[str] = (CROWD, "synthetic")) -> Shown:
    """Return the training posts of some sources; the papers' best saw crowd and synthetic ones.

    Raises:
        ConfigError: A source is unknown, or the data is missing.
    """
    unknown = sorted(set(sources) - set(SOURCES.values()))
    if unknown:
        raise ConfigError(f"unknown source {unknown[0]!r}; expected {sorted(SOURCES.values())}")
    posts = participation.train(root)
    fold_of = folds(load_groups(posts), posts)
    rows = [row for row, source in enumerate(posts.sources) if source in sources]
    chosen = tuple(fold_of[row] for row in rows)
    return Shown(posts.select(rows), chosen, participation.test(root))


def cut_for_prior(
    scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_], prior: float
) -> float:
    """Return the cut with the best macro F1 at a `prior` of positive posts; equal ones averaged.

    Posts are weighted, not drawn: training posts participate three times as often as those in use.
    """
    share = float(positive.mean())
    weight = np.where(positive, prior / share, (1 - prior) / (1 - share))
    tried = np.quantile(scores, np.linspace(0.02, 0.98, 97))
    figures = np.array([_weighted_macro_f1(scores >= cut, positive, weight) for cut in tried])
    return float(tried[figures >= figures.max() - 1e-12].mean())


def _weighted_macro_f1(
    called: NDArray[np.bool_], positive: NDArray[np.bool_], weight: NDArray[np.floating[Any]]
) -> float:
    figures = []
    for said, true in ((called, positive), (~called, ~positive)):
        total = weight[said].sum() + weight[true].sum()
        figures.append(2 * weight[said & true].sum() / total if total else 0.0)
    return float(np.mean(figures))
