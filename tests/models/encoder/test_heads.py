"""The shared battery of heads: every registered head passes, whatever it predicts."""

import pytest
import torch

from core.labels import HEADS as LABELS
from models.encoder.heads import HEADS
from models.encoder.heads.base import Head, balanced_class_weights

pytestmark = pytest.mark.train
WIDTH = 12


@pytest.fixture(params=HEADS.names())
def head(request: pytest.FixtureRequest) -> Head:
    torch.manual_seed(1)
    made: Head = HEADS.get(request.param)(WIDTH)
    return made


def target_for(head: Head, rows: int) -> torch.Tensor:
    classes = torch.arange(rows) % len(head.labels)
    if head.activation == "softmax":
        return classes
    return torch.nn.functional.one_hot(classes, len(head.labels)).float()


def test_classes_are_those_of_the_contract(head: Head) -> None:
    assert head.labels == LABELS[head.name]


def test_logits_have_one_column_per_class(head: Head) -> None:
    assert head(torch.randn(5, WIDTH)).shape == (5, len(head.labels))


def test_gradient_reaches_every_parameter_and_the_embedding(head: Head) -> None:
    embedding = torch.randn(6, WIDTH, requires_grad=True)
    head.loss(head(embedding), target_for(head, 6)).backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().sum() > 0
    for parameter in head.parameters():
        assert parameter.grad is not None


def test_saved_and_loaded_head_is_equal(head: Head) -> None:
    other: Head = HEADS.get(head.name)(WIDTH)
    other.load_state_dict(head.state_dict())
    x = torch.randn(3, WIDTH)
    torch.testing.assert_close(other.eval()(x), head.eval()(x), rtol=0, atol=0)


def test_order_of_the_batch_does_not_matter(head: Head) -> None:
    head.eval()
    x, order = torch.randn(8, WIDTH), torch.randperm(8)
    torch.testing.assert_close(head(x)[order], head(x[order]))


def test_loss_falls_when_the_right_class_is_raised(head: Head) -> None:
    target = target_for(head, 4)
    classes = torch.arange(4) % len(head.labels)
    right = torch.nn.functional.one_hot(classes, len(head.labels)).float() * 3
    assert head.loss(right, target) < head.loss(torch.zeros_like(right), target)


def test_class_weights_balance_the_classes() -> None:
    weights = balanced_class_weights([0, 0, 0, 1], 2)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 4 / 2]))
