"""What a teacher says of a post, and how a head is drawn towards it. Needs torch.

Logits of teacher and student are divided by one temperature before they are compared, so that the
small answers count as well (Hinton et al. 2015, arXiv 1503.02531, section 2).

Shapes: `N` posts, `B` batch, `L` logits of a head, `D` embedding width.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE: Final = 2.0


@dataclass(frozen=True, slots=True)
class SoftLesson:
    """A teacher's logits (N, L) for the head of a task's posts, and how much each post counts."""

    head: str
    logits: Tensor
    weight: float = 1.0


def divergence(
    activation: str, student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Mean Kullback-Leibler divergence of a batch; `student` and `teacher` are logits (B, L).

    Classes that exclude one another are one distribution; independent classes and gates are as many
    yes-or-no questions, whose divergences are added. It is 0 only where both say the same. Scaled
    by the squared temperature, so that gradients do not shrink with it.
    """
    asked, wanted = student.float() / temperature, teacher.float() / temperature
    if activation == "softmax":
        each = functional.kl_div(
            asked.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True
        )
    else:
        yes = wanted.sigmoid()
        surprise = functional.binary_cross_entropy_with_logits(asked, yes, reduction="none")
        own = functional.binary_cross_entropy_with_logits(wanted, yes, reduction="none")
        each = surprise - own
    return each.sum(1).mean() * temperature**2


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """How far embeddings (B, D) are from a teacher's: 0 the same, 1 as far as their mean is.

    Relative to the batch's spread, so that one weight serves encoders of any scale.
    """
    wanted = teacher.float()
    spread = (wanted - wanted.mean(0)).square().sum(1).mean()
    return (student.float() - wanted).square().sum(1).mean() / spread.clamp(min=1e-9)


@torch.no_grad()
def begin_at_mean(layer: torch.nn.Linear, teacher: Tensor) -> None:
    """Set the biases to the teacher's mean logits (N, L), so that rare answers start out rare.

    From zero the first steps would all be spent on learning how frequent the classes are.
    """
    layer.bias.copy_(teacher.float().mean(0))
