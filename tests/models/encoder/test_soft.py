import pytest
import torch

from models.encoder.soft import begin_at_mean, divergence

pytestmark = pytest.mark.train


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "ordinal"])
def test_a_head_that_says_what_its_teacher_says_has_nothing_to_learn(activation: str) -> None:
    said = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -4.0]])
    other = said + torch.tensor([1.0, 0.0, -1.0])
    assert divergence(activation, said, said).item() == pytest.approx(0.0, abs=1e-6)
    assert divergence(activation, other, said).item() > 0.1


def test_a_shift_of_all_logits_matters_to_questions_and_not_to_classes() -> None:
    said = torch.tensor([[2.0, -1.0, 0.5]])
    assert divergence("softmax", said + 3.0, said).item() == pytest.approx(0.0, abs=1e-5)
    assert divergence("sigmoid", said + 3.0, said).item() > 1.0


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_following_the_gradient_ends_at_the_teacher(activation: str) -> None:
    wanted = torch.tensor([[1.5, -2.0, 0.5]])
    asked = torch.zeros(1, 3, requires_grad=True)
    for _ in range(500):
        (gradient,) = torch.autograd.grad(divergence(activation, asked, wanted), asked)
        asked.data -= 0.5 * gradient
    found = asked.softmax(1) if activation == "softmax" else asked.sigmoid()
    aim = wanted.softmax(1) if activation == "softmax" else wanted.sigmoid()
    torch.testing.assert_close(found, aim, rtol=0, atol=1e-3)


def test_temperature_makes_a_small_answer_count_more() -> None:
    said, asked = torch.tensor([[-6.0]]), torch.tensor([[-3.0]])
    plain = divergence("sigmoid", asked, said, 1.0).item()
    assert divergence("sigmoid", asked, said, 2.0).item() > 5 * plain


def test_a_new_head_starts_at_the_mean_answer_of_its_teacher() -> None:
    layer = torch.nn.Linear(4, 2)
    begin_at_mean(layer, torch.tensor([[1.0, -5.0], [3.0, -7.0]]))
    torch.testing.assert_close(layer.bias.data, torch.tensor([2.0, -6.0]))
