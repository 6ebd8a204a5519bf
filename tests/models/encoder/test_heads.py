"""The shared battery of heads: every registered head passes, whatever it predicts."""

import pytest
import torch

from core.heads import HEADS as LABELS
from models.encoder.config import uncalibrated
from models.encoder.heads import HEADS
from models.encoder.heads.layers import Head, balanced_class_weights, make_head
from models.encoder.refit import fit_linear

pytestmark = pytest.mark.train
WIDTH = 12


@pytest.fixture(params=HEADS.names())
def head(request: pytest.FixtureRequest) -> Head:
    torch.manual_seed(1)
    made: Head = make_head(request.param, WIDTH)
    return made


def target_for(head: Head, rows: int) -> torch.Tensor:
    classes = torch.arange(rows) % len(head.labels)
    if head.activation in ("softmax", "ordinal"):
        return classes
    return torch.nn.functional.one_hot(classes, len(head.labels)).float()


def test_classes_are_those_of_the_contract(head: Head) -> None:
    assert head.labels == LABELS[head.name]


def test_logits_are_as_many_as_the_configuration_says(head: Head) -> None:
    described = uncalibrated(head.name)
    assert described.activation == head.activation
    assert described.labels == head.labels
    assert head(torch.randn(5, WIDTH)).shape == (5, described.logits)


def test_gradient_reaches_every_parameter_and_the_embedding(head: Head) -> None:
    embedding = torch.randn(6, WIDTH, requires_grad=True)
    head.loss(head(embedding), target_for(head, 6)).backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().sum() > 0
    for parameter in head.parameters():
        assert parameter.grad is not None


def test_saved_and_loaded_head_is_equal(head: Head) -> None:
    other: Head = make_head(head.name, WIDTH)
    other.load_state_dict(head.state_dict())
    x = torch.randn(3, WIDTH)
    torch.testing.assert_close(other.eval()(x), head.eval()(x), rtol=0, atol=0)


def test_order_of_the_batch_does_not_matter(head: Head) -> None:
    head.eval()
    x, order = torch.randn(8, WIDTH), torch.randperm(8)
    torch.testing.assert_close(head(x)[order], head(x[order]))


def test_loss_falls_when_the_right_answer_is_raised(head: Head) -> None:
    target = target_for(head, 4)
    right = torch.nn.functional.one_hot(torch.arange(4) % len(head.labels), len(head.labels))
    if head.activation == "ordinal":
        right = torch.arange(head.logit_count()) < target[:, None]
    raised = right.float() * 6 - 3
    assert head.loss(raised, target) < head.loss(torch.zeros_like(raised), target)


def test_a_post_of_weight_nought_has_no_say(head: Head) -> None:
    logits = torch.randn(4, head.logit_count())
    target = target_for(head, 4)
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(
        head.loss(logits, target, weight), head.loss(logits[:2], target[:2], torch.ones(2))
    )
    assert head.loss(logits, target, torch.zeros(4)).item() == 0.0


def test_preparing_makes_rare_answers_count_more() -> None:
    topics: Head = make_head("topics", WIDTH)
    topics.prepare([tuple(int(column < 1 + row % 2) for column in range(19)) for row in range(8)])
    assert topics.positive_weights[1] >= topics.positive_weights[0]
    assert topics.positive_weights.max() <= 5.0
    levels: Head = make_head("participation", WIDTH)
    levels.prepare([0] * 10 + [1] * 80 + [2] * 8 + [3, 4])
    assert levels.positive_weights[1] > levels.positive_weights[0]


def test_class_weights_balance_the_classes() -> None:
    weights = balanced_class_weights([0, 0, 0, 1], 2)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 4 / 2]))


def test_a_head_fitted_to_the_end_gives_back_the_answers_it_was_drawn_from() -> None:
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.randn(4_000, 3, generator=generator) * 0.1 + 0.5
    weight, bias = torch.tensor([[20.0, -10.0, 0.0]]), torch.tensor([-5.0])
    chances = torch.sigmoid(embeddings @ weight.T + bias)
    tags = (torch.rand(chances.shape, generator=generator) < chances).float()
    found, shift = fit_linear(embeddings, tags, strength=10.0)
    torch.testing.assert_close(found, weight, atol=2.0, rtol=0)
    torch.testing.assert_close(
        torch.sigmoid(embeddings @ found.T + shift).mean(), tags.mean(), atol=1e-3, rtol=0
    )
    flat, _ = fit_linear(embeddings, tags, strength=1e-6)
    assert flat.abs().max() < 0.5
