from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
)

from core.errors import ConfigError
from models.encoder.model import (
    PostEncoder,
    adapt,
    load_backbone,
    load_trained_state,
    mean_pool,
    trained_parameters,
    trained_state,
)

pytestmark = pytest.mark.train
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def save_tiny(folder: Path, kind: str) -> Path:
    """A random checkpoint in the format of the models that research systems name."""
    torch.manual_seed(2)
    if kind == "bert":
        model = BertModel(BertConfig(vocab_size=40, **TINY))
    elif kind == "roberta":
        model = RobertaModel(RobertaConfig(vocab_size=40, max_position_embeddings=40, **TINY))
    else:
        model = DistilBertModel(
            DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
        )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=["bert", "roberta", "distilbert"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> PostEncoder:
    body = load_backbone(save_tiny(tmp_path, request.param))
    made = PostEncoder(body, 16, ["sentiment"])
    adapt(made, 4, 4.0)
    return made


def test_only_adapters_norms_biases_and_heads_are_trained(model: PostEncoder) -> None:
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert any("lora_A" in name for name in free)
    assert any("heads." in name for name in free)
    assert frozen
    for name in frozen:
        assert name.endswith("base_layer.weight") or "embeddings" in name
    assert not any("embeddings.weight" in name for name in free)
    norms = [n for n, m in model.backbone.named_modules() if isinstance(m, torch.nn.LayerNorm)]
    assert all(f"backbone.{name}.weight" in free for name in norms)


def test_padding_does_not_change_a_text(model: PostEncoder) -> None:
    model.eval()
    ids = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    short, _ = model(ids, torch.ones_like(ids))
    long, _ = model(padded, mask)
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-5)


def test_trained_state_carries_everything_that_was_trained(
    model: PostEncoder, tmp_path: Path
) -> None:
    torch.manual_seed(8)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    ids = torch.tensor([[5, 6, 7, 8]])
    expected = model.eval()(ids, torch.ones_like(ids))
    adapter, heads = trained_state(model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.zeros_(parameter)
    load_trained_state(model, adapter, heads)
    found = model(ids, torch.ones_like(ids))
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=0)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_dropping_layers_leaves_the_others_under_their_own_names(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, kind)
    whole, second = load_backbone(folder), load_backbone(folder, layers=(1,))
    kept = dict(second.named_parameters())
    assert any("layer.1." in name for name in kept)
    assert not any("layer.0." in name for name in kept)
    for name, value in whole.named_parameters():
        if name in kept:
            assert torch.equal(kept[name], value)
    ids = torch.tensor([[5, 6, 7]])
    mask = torch.ones_like(ids)
    short = second.eval()(input_ids=ids, attention_mask=mask).last_hidden_state
    long = whole.eval()(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    assert not torch.allclose(short, long.last_hidden_state)
    with pytest.raises(ConfigError, match="layers 0 to 1"):
        load_backbone(folder, layers=(0, 2))


def test_rank_nought_trains_the_whole_backbone(tmp_path: Path) -> None:
    made = PostEncoder(load_backbone(save_tiny(tmp_path, "bert")), 16, ["sentiment"])
    adapt(made, 0, 1.0)
    assert trained_parameters(made) == sum(p.numel() for p in made.parameters())
    adapter, _ = trained_state(made)
    assert not any("lora" in name for name in adapter)


def test_mean_pool_counts_real_tokens_only() -> None:
    hidden = torch.tensor([[[2.0], [4.0], [99.0]]])
    assert mean_pool(hidden, torch.tensor([[1, 1, 0]])).item() == 3.0


def test_the_shipped_shape_has_the_documented_number_of_parameters() -> None:
    from models.backbone import find_backbone

    encoder = PostEncoder(load_backbone(find_backbone().folder), 384, ["sentiment"])
    adapt(encoder, 16, 16.0)
    assert trained_parameters(encoder) == 694_272 + 3 * 385
