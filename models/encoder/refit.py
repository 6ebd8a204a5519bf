"""Finish a head of few posts on the frozen encoder: a convex problem, solved to the end.

Ten posts a topic are too few for stochastic steps to take a head anywhere near its optimum (after
the joint stage the topics head ranks little better than chance), while moving the backbone further
for them would cost the other heads. So the linear layer alone is fitted once more, with a ridge
chosen by cross-validation on training and validation posts. Needs torch.

Shapes: `N` posts, `D` embedding width, `C` classes.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.batches import TokenisedTask
from models.encoder.model import PostEncoder, embed_all

STRENGTH: Final = {"topics": 0.03}
"""Head -> how much a post counts against the ridge, on standardised embeddings."""
_STEPS: Final = 300


def fit_linear(
    embeddings: Tensor, targets: Tensor, strength: float, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (C, D) and bias (C,) of C logistic regressions on (N, D) with a ridge on the weights.

    `targets` (N, C) are in [0, 1]; `weights` (N, C) say how much each answer counts, by default 1.

    The ridge is on embeddings that are centred and brought to a mean deviation of one, so that
    `strength` means the same for any encoder; the layer given back takes them as they are.
    """
    centre, spread = embeddings.mean(0), embeddings.std(0).mean()
    scaled = ((embeddings - centre) / spread).double()
    wanted = targets.double()
    counted = None if weights is None else weights.double()
    weight = torch.zeros(wanted.shape[1], scaled.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(wanted.shape[1], dtype=torch.double, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            scaled @ weight.T + bias, wanted, counted, reduction="sum"
        )
        total = strength * loss + 0.5 * weight.square().sum()
        total.backward()
        return total

    solver.step(objective)  # pyright: ignore[reportArgumentType] -- the stub wants a float
    with torch.no_grad():
        plain = (weight / spread).float()
        return plain, (bias - (weight / spread) @ centre.double()).float()


def refit(model: PostEncoder, task: TokenisedTask, head: str, strength: float) -> None:
    """Replace the linear layer of a head of independent classes; everything else stays."""
    lesson = next(lesson for lesson in task.lessons if lesson.head == head)
    embeddings = embed_all(model, task.token_ids)
    weight, bias = fit_linear(embeddings, torch.tensor(lesson.targets), strength)
    layer = model.head(head).linear
    assert isinstance(layer, nn.Linear)  # noqa: S101 -- what every head has
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
