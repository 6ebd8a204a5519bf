"""What a decoder says of replies does not depend on how they are read, and adapters travel."""

import json
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from models.popalm.prompt import MAX_POST_TOKENS, MAX_REPLY_TOKENS
from models.popalm.training.adapters import (
    adapt,
    as_reference,
    load_adapter,
    save_adapter,
    trained_state,
)
from models.popalm.training.decoder import ReplyDecoder, draw, load_decoder
from tests.models.popalm.training.tiny import shaken, tiny_decoder, tiny_folder

pytestmark = pytest.mark.train
POSTS = ["The bridge is closed.", "a", "Rain again, and the trains are late as always!"]
REPLIES = ["ok", "Not again, please", "no"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def decoder(folder: Path) -> ReplyDecoder:
    found = load_decoder(folder)
    torch.manual_seed(1)
    adapt(found, 2, 4.0)
    return shaken(found)


def uncached(decoder: ReplyDecoder, prompt: list[int], reply: list[int]) -> torch.Tensor:
    """The log-probabilities of one reply by the bare network, without cache or padding."""
    whole = torch.tensor([[*prompt, *reply]])
    with torch.no_grad():
        logits = decoder.network(input_ids=whole, use_cache=False).logits[0].float()
    rows = torch.arange(len(prompt) - 1, len(prompt) + len(reply) - 1)
    return logits.log_softmax(-1)[rows, torch.tensor(reply)]


def test_likelihood_with_cache_and_padding_is_that_without(decoder: ReplyDecoder) -> None:
    prompts = [decoder.prompt_tokens(post) for post in POSTS]
    replies = [decoder.reply_tokens(reply) for reply in REPLIES]
    known, hidden = decoder.outputs(prompts, decoder.padded(replies))
    assert hidden.shape == (*known.shape, decoder.width)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        expected = uncached(decoder, prompt, reply)
        torch.testing.assert_close(known[row, : len(reply)], expected, atol=1e-4, rtol=0)


def test_gradients_with_cache_are_those_without(decoder: ReplyDecoder) -> None:
    prompts = [decoder.prompt_tokens(post) for post in POSTS]
    batch = decoder.padded([decoder.reply_tokens(reply) for reply in REPLIES])
    weight = next(one for one in decoder.network.parameters() if one.requires_grad)
    (decoder.outputs(prompts, batch)[0] * batch.mask).sum().backward()
    together = weight.grad.clone()
    weight.grad = None
    for row, prompt in enumerate(prompts):
        one = batch.select(torch.tensor([row]))
        decoder.outputs([prompt], one)[0].sum().backward()
    torch.testing.assert_close(weight.grad, together, atol=1e-3, rtol=1e-3)


def test_several_replies_to_a_post_are_read_after_one_prompt(decoder: ReplyDecoder) -> None:
    prompts = [decoder.prompt_tokens(post) for post in POSTS[:2]]
    batch = decoder.padded([decoder.reply_tokens(text) for text in ["a", "bc", "d", "ef"]])
    each, _ = decoder.outputs(prompts, batch, each=2)
    alone, _ = decoder.outputs([prompts[0]] * 2 + [prompts[1]] * 2, batch)
    torch.testing.assert_close(each * batch.mask, alone * batch.mask, atol=1e-4, rtol=0)


def test_what_is_sampled_has_the_likelihood_that_sampling_says(decoder: ReplyDecoder) -> None:
    prompts = [decoder.prompt_tokens(post) for post in POSTS]
    drawn = decoder.sample(prompts, torch.Generator().manual_seed(3), each=2)
    replies = drawn.replies
    known, hidden = decoder.outputs(prompts, replies, each=2)
    kept = replies.mask
    torch.testing.assert_close(known * kept, drawn.log_probabilities, atol=1e-4, rtol=0)
    torch.testing.assert_close(hidden[kept], drawn.hidden[kept], atol=1e-3, rtol=0)
    assert replies.tokens.shape[1] <= MAX_REPLY_TOKENS
    for tokens, mask in zip(replies.tokens, replies.mask, strict=True):
        own = tokens[mask].tolist()
        assert decoder.stop not in own[:-1]
        assert own[-1] == decoder.stop or len(own) == replies.tokens.shape[1]


def test_the_same_seed_draws_the_same_replies(decoder: ReplyDecoder) -> None:
    prompts = [decoder.prompt_tokens(post) for post in POSTS]
    draws = [
        decoder.sample(prompts, torch.Generator().manual_seed(seed)).replies.tokens.tolist()
        for seed in (5, 5, 6)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_only_the_likeliest_tokens_are_drawn() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(2_000, 1)
    drawn = draw(logits, torch.Generator().manual_seed(0), 1.0, 0.7)
    assert set(drawn.tolist()) == {0, 1}  # 0.5 alone is less than 0.7
    assert abs((drawn == 0).float().mean().item() - 0.5 / 0.8) < 0.05
    assert set(draw(logits, torch.Generator(), 0.0, 0.7).tolist()) == {0}


def test_flat_shares_are_drawn_from_as_far_down_as_they_reach() -> None:
    drawn = draw(torch.zeros(4_000, 1_000), torch.Generator().manual_seed(0), 1.0, 0.7)
    assert 690 < len(set(drawn.tolist())) <= 700


def test_posts_and_replies_are_cut_and_a_whole_reply_has_its_end(decoder: ReplyDecoder) -> None:
    empty = len(decoder.prompt_tokens(""))
    assert len(decoder.prompt_tokens("x" * 500)) == empty + MAX_POST_TOKENS
    assert decoder.reply_tokens("ok")[-1] == decoder.stop
    assert decoder.stop not in decoder.reply_tokens("x" * 500)
    assert len(decoder.reply_tokens("x" * 500)) == MAX_REPLY_TOKENS
    assert decoder.text_of(decoder.reply_tokens("Well,\n no <|im_end|> é!")) == "Well, no é!"


def test_an_adapter_comes_back_from_disk(
    decoder: ReplyDecoder, folder: Path, tmp_path: Path
) -> None:
    save_adapter(decoder, tmp_path)
    other = load_decoder(folder)
    load_adapter(other, tmp_path)
    prompts = [decoder.prompt_tokens(post) for post in POSTS]
    batch = decoder.padded([decoder.reply_tokens(reply) for reply in REPLIES])
    with torch.no_grad():
        ours, theirs = decoder.outputs(prompts, batch)[0], other.outputs(prompts, batch)[0]
    torch.testing.assert_close(ours * batch.mask, theirs * batch.mask, atol=0.02, rtol=0)


def test_an_adapter_bears_the_name_of_its_decoder(folder: Path, tmp_path: Path) -> None:
    named = load_decoder(folder, "tests/tiny")
    adapt(named, 2, 4.0)
    save_adapter(named, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tests/tiny"


def test_peft_reads_the_adapter(decoder: ReplyDecoder, folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    save_adapter(decoder, tmp_path)
    theirs = PeftModel.from_pretrained(load_decoder(folder).network, str(tmp_path))
    prompt, reply = decoder.prompt_tokens(POSTS[0]), decoder.reply_tokens(REPLIES[1])
    whole = torch.tensor([[*prompt, *reply]])
    with torch.no_grad():
        expected = theirs(input_ids=whole).logits
        found = decoder.network(input_ids=whole).logits
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_an_adapter_that_is_not_there_or_is_another_s_is_refused(
    decoder: ReplyDecoder, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="has no adapter"):
        load_adapter(load_decoder(folder), tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        load_decoder(tmp_path / "nothing")


def test_the_reference_is_what_the_decoder_was_and_leaves_it_as_it_is(
    folder: Path, tmp_path: Path
) -> None:
    decoder = tiny_decoder(tmp_path)
    before = trained_state(decoder)
    shaken(decoder)
    after = trained_state(decoder)
    prompts = [decoder.prompt_tokens(POSTS[0])]
    batch = decoder.padded([decoder.reply_tokens("ok")])
    with as_reference(decoder, before):
        old, _ = decoder.outputs(prompts, batch)
        assert not old.requires_grad
    new, _ = decoder.outputs(prompts, batch)
    assert not torch.allclose(old, new)
    for name, value in trained_state(decoder).items():
        assert torch.equal(value, after[name])


def test_layers_below_the_first_have_no_adapter(folder: Path) -> None:
    decoder = load_decoder(folder)
    names = adapt(decoder, 2, 4.0, first_layer=1)
    assert names
    assert all(".layers.1." in name for name in names)
