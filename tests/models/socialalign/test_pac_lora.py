"""PAC-LoRA on tiny random decoders: caches, spans, gates, padding, and what was released."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from models.encoder.lora import LoRALinear
from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.socialalign.pac_lora import (
    Gates,
    PacAdapter,
    PacSettings,
    Spans,
    Variant,
    equal_rank,
    imbalance,
)
from tests.models.popalm.training.tiny import tiny_folder

pytestmark = pytest.mark.train
torch.set_num_threads(1)
PROMPT, ANSWER = 12, 5
USER, NEWS = slice(1, 5), slice(6, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def adapted(folder: Path, variant: Variant) -> tuple[ReplyDecoder, PacAdapter]:
    """A decoder whose adapter changes what it says, and whose gates are far from even."""
    decoder = load_decoder(folder)
    output = decoder.network.get_output_embeddings()
    torch.manual_seed(3)
    adapter = PacAdapter(
        decoder.network, PacSettings(variant, rank=2, hidden=8),
        lambda _name, layer: layer is not output,
    )  # fmt: skip
    for name, parameter in adapter.parameters().items():
        torch.nn.init.normal_(parameter, std=2.0 if "_gate." in name else 0.3)
    return decoder, adapter


def sequences(seed: int = 0) -> tuple[Tensor, Spans]:
    """Two prompts with their answers, and where event and person stand."""
    torch.manual_seed(seed)
    tokens = torch.randint(3, 200, (2, PROMPT + ANSWER))
    news, user = torch.zeros_like(tokens), torch.zeros_like(tokens)
    news[:, NEWS], user[:, USER] = 1, 1
    return tokens, Spans(news.bool(), user.bool())


def cached(network: object, tokens: Tensor) -> Tensor:
    """The logits of the answer, read token by token after the prompt."""
    cache = DynamicCache()
    parts = [tokens[:, :PROMPT], *tokens[:, PROMPT:].split(1, dim=1)]
    found = [network(input_ids=one, past_key_values=cache).logits for one in parts]  # type: ignore[operator]
    return torch.cat(found, 1)[:, PROMPT:]


@torch.no_grad()
def test_one_gate_a_sequence_says_the_same_with_a_cache_and_without(folder: Path) -> None:
    decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    with adapter.reading(gates=adapter.gates(tokens, spans)):
        whole = decoder.network(input_ids=tokens).logits[:, PROMPT:]
        torch.testing.assert_close(cached(decoder.network, tokens), whole, atol=1e-4, rtol=0)


@torch.no_grad()
def test_what_was_released_says_another_thing_after_a_cache(folder: Path) -> None:
    decoder, adapter = adapted(folder, "released")
    tokens, spans = sequences()
    with adapter.reading(spans=spans):
        whole = decoder.network(input_ids=tokens).logits[:, PROMPT:]
        apart = (cached(decoder.network, tokens) - whole).abs().max()
    # Its first places are no part of the person's span here, so the last one has to be.
    started = Spans(spans.news, torch.arange(PROMPT + ANSWER).expand(2, -1) < 5)
    with adapter.reading(spans=started):
        whole = decoder.network(input_ids=tokens).logits[:, PROMPT:]
        restarted = (cached(decoder.network, tokens) - whole).abs().max()
    assert apart < 1e-3 < restarted


@torch.no_grad()
def test_released_gates_are_even_on_every_token_of_the_answer(folder: Path) -> None:
    decoder, adapter = adapted(folder, "released")
    tokens, spans = sequences()
    layer = next(iter(adapter.layers.values()))
    x = torch.randn(2, tokens.shape[1], layer.base_layer.in_features)
    gates = layer._own_gates(x, spans)
    third = torch.full((2, ANSWER, 3), 1 / 3)
    torch.testing.assert_close(gates.analysing[:, PROMPT:], third)
    torch.testing.assert_close(gates.writing[:, PROMPT:], third)
    assert (gates.writing[:, USER] - 1 / 3).abs().max() > 0.01
    assert (gates.analysing[:, NEWS] - 1 / 3).abs().max() > 0.01
    del decoder


@torch.no_grad()
def test_gates_move_with_their_own_span_and_with_no_other_token(folder: Path) -> None:
    _decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    before = adapter.gates(tokens, spans)
    other_user, other_news, other_answer = tokens.clone(), tokens.clone(), tokens.clone()
    other_user[:, USER] += 7
    other_news[:, NEWS] += 7
    other_answer[:, PROMPT:] += 7
    by_user = adapter.gates(other_user, spans)
    assert (by_user.writing - before.writing).abs().max() > 1e-3
    torch.testing.assert_close(by_user.analysing, before.analysing)
    by_news = adapter.gates(other_news, spans)
    assert (by_news.analysing - before.analysing).abs().max() > 1e-3
    torch.testing.assert_close(by_news.writing, before.writing)
    by_answer = adapter.gates(other_answer, spans)
    torch.testing.assert_close(by_answer.writing, before.writing, atol=0, rtol=0)
    torch.testing.assert_close(by_answer.analysing, before.analysing, atol=0, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["released", "sequence"])
def test_even_gates_are_plain_lora_of_the_mean_experts(folder: Path, variant: Variant) -> None:
    decoder, adapter = adapted(folder, variant)
    tokens, _spans = sequences()
    with adapter.reading(gates=adapter.even_gates(2)):
        mixed = decoder.network(input_ids=tokens).logits
    plain = load_decoder(folder)
    for name, layer in adapter.layers.items():
        parent, _, child = name.rpartition(".")
        module = plain.network.get_submodule(parent)
        own = LoRALinear(getattr(module, child), rank=2, alpha=16.0)
        own.lora_A.weight.copy_(layer.analysing.mean(0))
        own.lora_B.weight.copy_(layer.writing.mean(0))
        setattr(module, child, own)
    torch.testing.assert_close(mixed, plain.network(input_ids=tokens).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_padding_changes_nothing(folder: Path) -> None:
    decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    pad = torch.zeros(2, 4, dtype=torch.long)
    gates = adapter.gates(tokens, spans)
    with adapter.reading(gates=gates):
        bare = decoder.network(input_ids=tokens).logits
    for left in (True, False):
        sides = (pad, tokens) if left else (tokens, pad)
        longer = torch.cat(sides, 1)
        mask = torch.cat([torch.zeros_like(pad), torch.ones_like(tokens)][:: 1 if left else -1], 1)
        widened = Spans(
            *(
                torch.cat([pad.bool(), one] if left else [one, pad.bool()], 1)
                for one in (spans.news, spans.user)
            )
        )
        found = adapter.gates(longer, widened)
        torch.testing.assert_close(found.writing, gates.writing)
        torch.testing.assert_close(found.analysing, gates.analysing)
        places = (mask.cumsum(1) - 1).clamp(min=0)
        with adapter.reading(gates=found):
            out = decoder.network(input_ids=longer, attention_mask=mask, position_ids=places)
        own = out.logits[:, 4:] if left else out.logits[:, :-4]
        torch.testing.assert_close(own, bare, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["released", "sequence"])
def test_a_fresh_adapter_changes_nothing_and_is_not_read_unawares(
    folder: Path, variant: Variant
) -> None:
    decoder = load_decoder(folder)
    tokens, spans = sequences()
    before = decoder.network(input_ids=tokens).logits
    adapter = PacAdapter(
        decoder.network, PacSettings(variant), lambda name, _layer: name.endswith("q_proj")
    )
    with pytest.raises(RuntimeError, match=r"PacAdapter\.reading"):
        decoder.network(input_ids=tokens)
    asked = {"spans": spans} if variant == "released" else {"gates": adapter.gates(tokens, spans)}
    with adapter.reading(**asked):  # type: ignore[arg-type]
        assert torch.equal(decoder.network(input_ids=tokens).logits, before)


def test_an_empty_span_gives_even_gates(folder: Path) -> None:
    _decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    nobody = Spans(spans.news, torch.zeros_like(spans.user))
    even = torch.full((2, 3), 1 / 3)
    torch.testing.assert_close(adapter.gates(tokens, nobody).writing, even)


def test_gates_are_fp32_where_all_else_is_half(folder: Path) -> None:
    _decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    with torch.autocast("cpu", torch.bfloat16):
        assert adapter.gates(tokens, spans).writing.dtype is torch.float32


def test_use_of_one_expert_alone_is_uneven_and_use_of_all_in_turn_is_not() -> None:
    one, turns = torch.eye(3)[[0, 0, 0]], torch.eye(3)
    assert imbalance(Gates(one, one)) == pytest.approx(2.0)
    assert imbalance(Gates(turns, turns)) == pytest.approx(0.0, abs=1e-6)
    assert imbalance(Gates(one, turns)) == pytest.approx(1.0)


def test_balance_and_likelihood_reach_gates_and_experts_and_nothing_else(folder: Path) -> None:
    decoder, adapter = adapted(folder, "sequence")
    tokens, spans = sequences()
    gates = adapter.gates(tokens, spans)
    with adapter.reading(gates=gates):
        loss = decoder.network(input_ids=tokens, labels=tokens).loss + imbalance(gates)
    loss.backward()
    assert all(one.grad is not None for one in adapter.parameters().values())
    trained = {id(one) for one in adapter.parameters().values()}
    frozen = [one for one in decoder.network.parameters() if id(one) not in trained]
    assert all(one.grad is None and not one.requires_grad for one in frozen)


def test_plain_lora_of_equal_rank_has_about_as_many_weights(folder: Path) -> None:
    decoder, adapter = adapted(folder, "sequence")
    own = sum(one.numel() for one in adapter.parameters().values())
    layers = [one.base_layer for one in adapter.layers.values()]
    rank = equal_rank(layers, adapter.settings, decoder.width)
    plain = rank * sum(one.in_features + one.out_features for one in layers)
    assert plain == pytest.approx(own, rel=0.1)


def test_settings_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="variant 'best'"):
        PacSettings("best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above zero"):
        PacSettings(experts=0)
