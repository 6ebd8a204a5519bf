import pytest
import torch
from torch import Tensor

from models.encoder.refit import fit_linear
from models.encoder.teachers import Views, cross_fitted, level_teacher, topic_teacher

pytestmark = pytest.mark.train

WIDTH = 8


def clouds(per_class: int, seed: int = 7) -> tuple[Tensor, Tensor]:
    """Embeddings around three axes, and which axis each is around."""
    generator = torch.Generator().manual_seed(seed)
    around = torch.arange(3).repeat_interleave(per_class)
    noise = 0.3 * torch.randn(len(around), WIDTH, generator=generator)
    return torch.eye(WIDTH)[around] + noise, around


def levels_along_an_axis(posts: int = 120, seed: int = 11) -> tuple[Views, Tensor]:
    """Posts whose level rises along the first coordinate of both views."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.arange(posts) % 5
    views = [
        torch.randn(posts, WIDTH, generator=generator) * 0.3
        + torch.eye(WIDTH)[0] * level[:, None]
        + torch.eye(WIDTH)[1]
        for _ in range(2)
    ]
    return Views(*views), level


def test_topics_are_found_in_posts_that_were_not_shown() -> None:
    known, around = clouds(20)
    teach = topic_teacher(known, torch.eye(3)[around])
    asked, truth = clouds(15, seed=8)
    logits = teach(asked)
    assert logits.shape == (45, 3)
    assert (logits.argmax(1) == truth).float().mean() > 0.9
    assert bool(logits.isfinite().all())


def test_a_topic_that_never_occurs_is_unlikely_and_not_impossible() -> None:
    known, around = clouds(20)
    tags = torch.cat([torch.eye(3)[around], torch.zeros(60, 1)], dim=1)
    logits = topic_teacher(known, tags)(known)
    assert bool((logits[:, 3] < -2).all())
    assert bool(logits.isfinite().all())


def test_every_gate_ranks_levels_above_those_below() -> None:
    views, level = levels_along_an_axis()
    teach = level_teacher(views, level, torch.ones(len(level)))
    logits = teach(levels_along_an_axis(seed=12)[0])
    assert logits.shape == (120, 4)
    for gate in range(4):
        above, below = logits[level > gate, gate], logits[level == gate, gate]
        assert above.mean() > below.mean() + 1


def test_a_post_of_no_weight_teaches_nothing() -> None:
    views, level = levels_along_an_axis()
    weights = torch.ones(len(level))
    weights[:30] = 0.0
    wrong = level.clone()
    wrong[:30] = 4 - wrong[:30]
    # The balance of the gates counts posts, so both have as many of each level.
    assert wrong.bincount().tolist() == level.bincount().tolist()
    said = [level_teacher(views, one, weights)(views) for one in (level, wrong)]
    torch.testing.assert_close(*said, rtol=1e-3, atol=1e-3)


def test_a_post_has_no_part_in_what_is_said_of_its_own_fold() -> None:
    views, level = levels_along_an_axis()
    folds = [row // 30 for row in range(120)]
    weights = torch.ones(len(level))
    honest = cross_fitted(views, level, weights, folds)
    flipped = level.clone()
    flipped[:30] = 4 - flipped[:30]
    other = cross_fitted(views, flipped, weights, folds)
    torch.testing.assert_close(other[:30], honest[:30])
    assert (other[30:] - honest[30:]).abs().max() > 0.1


def test_weights_of_answers_decide_what_is_learned() -> None:
    points = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    answers = torch.tensor([[1.0], [0.0], [0.0], [1.0]])
    trusted = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    slope = fit_linear(points, answers, 1.0, trusted)[0].item()
    against = fit_linear(points, answers, 1.0, 1 - trusted)[0].item()
    assert slope > 0.3
    assert against == pytest.approx(-slope, abs=1e-4)
    assert fit_linear(points, answers, 1.0)[0].item() == pytest.approx(0.0, abs=1e-4)
