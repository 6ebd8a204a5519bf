"""Teachers of few labels: cheap classifiers on frozen embeddings, which no training has spoiled.

Topics are best told apart by the bare backbone, participation by the encoder of sentiment (see the
model card for the cross-validations that these settings come from). Their answers for posts that
have no such label are what the student learns from. Needs torch.

Shapes: `N` labelled posts, `M` posts asked about, `D` embedding width, `C` classes, `G` gates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from core.heads import PARTICIPATION
from models.encoder.heads.participation import MAX_GATE_BALANCE
from models.encoder.neighbours import neighbour_scores
from models.encoder.refit import fit_linear

TOPIC_STRENGTH: Final = 0.03
TOPIC_NEIGHBOURS: Final = 20
PRIOR_SHARE: Final = 0.1
"""How much of a neighbour vote is the topic's overall share: no vote is ever unanimous."""
LEVEL_STRENGTH: Final = 0.03


def topic_teacher(known: Tensor, tags: Tensor) -> Callable[[Tensor], Tensor]:
    """From bare embeddings (N, D) and 0/1 tags (N, C) to logits (M, C) of bare embeddings (M, D).

    The mean of a ridge logistic regression's logits and those of the nearest neighbours' vote:
    either alone ranks worse in cross-validation.
    """
    tags = tags.float()
    weight, bias = fit_linear(known, tags, TOPIC_STRENGTH)
    share = tags.mean(0)
    unit = functional.normalize(known)

    def teach(asked: Tensor) -> Tensor:
        votes = torch.from_numpy(
            neighbour_scores(
                functional.normalize(asked).numpy(),
                unit.numpy(),
                tags.bool().numpy(),
                min(TOPIC_NEIGHBOURS, len(known)),
            )
        )
        votes = (1 - PRIOR_SHARE) * votes + PRIOR_SHARE * share
        return (asked @ weight.T + bias + votes.logit(eps=1e-3)) / 2

    return teach


@dataclass(frozen=True, slots=True)
class Views:
    """Two embeddings of the same posts, (N, D) each."""

    tone: Tensor
    """By the encoder of sentiment."""
    matter: Tensor
    """By the bare backbone."""

    def select(self, rows: Tensor) -> "Views":
        """The posts of those row numbers or of that mask."""
        return Views(self.tone[rows], self.matter[rows])


def _gate_weights(levels: Tensor, weights: Tensor, gates: int) -> Tensor:
    """How much each post counts for each gate (N, G): 0 where it does not come to it, balanced."""
    found = []
    for gate in range(gates):
        passes = levels > gate
        ratio = (levels == gate).sum() / passes.sum().clamp(min=1)
        balance = ratio.clamp(1 / MAX_GATE_BALANCE, MAX_GATE_BALANCE)
        own = weights * (levels >= gate)
        found.append(torch.where(passes, own * balance, own))
    return torch.stack(found, dim=1)


def level_teacher(views: Views, levels: Tensor, weights: Tensor) -> Callable[[Views], Tensor]:
    """Gate logits (M, G) for other posts, learned from levels (N,) and how much each counts (N,).

    Every gate is a ridge logistic regression on the tone. To the first, which tells participation
    from none, the centroids of both on the matter are added, with equal spread.
    """
    gates = torch.arange(len(PARTICIPATION) - 1)
    passes = (levels[:, None] > gates).float()
    counted = _gate_weights(levels, weights, len(gates))
    weight, bias = fit_linear(views.tone, passes, LEVEL_STRENGTH, counted)
    unit = functional.normalize(views.matter)
    ours = (passes[:, 0] * weights)[:, None]
    others = ((1 - passes[:, 0]) * weights)[:, None]
    axis = (unit * ours).sum(0) / ours.sum() - (unit * others).sum(0) / others.sum()
    linear, near = views.tone @ weight[0] + bias[0], unit @ axis
    spread = linear.std() / near.std()

    def teach(asked: Views) -> Tensor:
        logits = asked.tone @ weight.T + bias
        nearness = functional.normalize(asked.matter) @ axis
        second = (nearness - near.mean()) * spread + linear.mean()
        logits[:, 0] = (logits[:, 0] + second) / 2
        return logits

    return teach


def cross_fitted(views: Views, levels: Tensor, weights: Tensor, folds: Sequence[int]) -> Tensor:
    """Gate logits (N, G) of the labelled posts, each by a teacher that saw none of its fold."""
    fold_of = torch.tensor(folds)
    found = torch.zeros(len(levels), len(PARTICIPATION) - 1)
    for fold in fold_of.unique():
        inside, outside = fold_of == fold, fold_of != fold
        teach = level_teacher(views.select(outside), levels[outside], weights[outside])
        found[inside] = teach(views.select(inside))
    return found
