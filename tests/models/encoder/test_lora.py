import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.encoder.lora import (
    LoRALinear,
    adapter_state,
    inject,
    load_adapter_state,
    merge,
    unmerge,
)

pytestmark = pytest.mark.train


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 10)
        self.LayerNorm = nn.LayerNorm(10)
        self.second = nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.LayerNorm(self.first(x))))


def adapted(seed: int, rank: int = 2) -> Small:
    torch.manual_seed(seed)
    model = Small()
    inject(model, rank, 2.0 * rank)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def test_an_untrained_adapter_changes_nothing() -> None:
    torch.manual_seed(0)
    model, x = Small(), torch.randn(5, 6)
    before = model(x)
    assert inject(model, 4, 8.0) == ["first", "second"]
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), rank=st.integers(1, 6))
def test_merging_keeps_the_output_and_unmerging_restores_every_bit(seed: int, rank: int) -> None:
    model, x = adapted(seed, rank), torch.randn(5, 6)
    before, weights = model(x), {k: v.clone() for k, v in model.state_dict().items()}
    merge(model)
    merge(model)  # twice is once
    assert not torch.equal(model.first.base_layer.weight, weights["first.base_layer.weight"])
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-4)
    unmerge(model)
    unmerge(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_state_of_one_model_makes_another_equal() -> None:
    model, other, x = adapted(1), adapted(1), torch.randn(5, 6)
    for parameter in other.parameters():
        if parameter.requires_grad:
            nn.init.zeros_(parameter)
    load_adapter_state(other, adapter_state(model))
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)


def test_state_of_another_shape_of_model_is_refused() -> None:
    with pytest.raises(KeyError, match="unknown to the model"):
        load_adapter_state(nn.Linear(2, 2), adapter_state(adapted(1)))


def test_rank_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LoRALinear(nn.Linear(2, 2), 0, 1.0)


def test_peft_reads_our_state_and_gives_the_same_output() -> None:
    from peft import LoraConfig, get_peft_model
    from peft.utils import set_peft_model_state_dict

    torch.manual_seed(3)
    base = Small()
    ours, theirs = Small(), Small()
    ours.load_state_dict(base.state_dict())
    theirs.load_state_dict(base.state_dict())
    inject(ours, 2, 6.0)
    for name, parameter in ours.named_parameters():
        is_free = "lora_" in name or "LayerNorm" in name or name.endswith(".bias")
        parameter.requires_grad_(is_free)
        if is_free:
            nn.init.normal_(parameter, std=0.5)
    peft = get_peft_model(
        theirs,
        LoraConfig(
            r=2, lora_alpha=6, lora_dropout=0.0, target_modules=["first", "second"],
            bias="all", modules_to_save=["LayerNorm"],
        ),
    )  # fmt: skip
    found = set_peft_model_state_dict(peft, adapter_state(ours))
    assert not found.unexpected_keys
    x = torch.randn(7, 6)
    torch.testing.assert_close(peft(x), ours(x), rtol=1e-5, atol=1e-6)


def test_our_code_reads_the_state_that_peft_saves() -> None:
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    torch.manual_seed(4)
    base = Small()
    ours, theirs = Small(), Small()
    ours.load_state_dict(base.state_dict())
    theirs.load_state_dict(base.state_dict())
    peft = get_peft_model(theirs, LoraConfig(r=2, lora_alpha=6, target_modules=["first"]))
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.5)
    inject(ours, 2, 6.0, wants=lambda name, layer: name == "first")
    load_adapter_state(ours, get_peft_model_state_dict(peft))
    x = torch.randn(7, 6)
    torch.testing.assert_close(peft(x), ours(x), rtol=1e-5, atol=1e-6)
