"""PPO's parts are what their equations say, and together they raise a reward that can be raised."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.popalm.training.adapters import trained_state
from models.popalm.training.align import ADAPTER, How, prompts_of, train_dpo, train_ppo
from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.popalm.training.dpo import DpoSettings, dpo_loss
from models.popalm.training.examples import PostReplies
from models.popalm.training.loop import read_steps
from models.popalm.training.monitors import MONITORS, is_copied, monitored
from models.popalm.training.ppo import (
    PpoSettings,
    ValueHead,
    advantages,
    gae,
    next_kl_weight,
    policy_loss,
    rollout,
    token_rewards,
    value_loss,
    whitened,
)
from tests.models.popalm.training.tiny import tiny_decoder, tiny_folder

pytestmark = pytest.mark.train
THREADS = [PostReplies(f"post {row}", ("yes", "no way")) for row in range(8)]
TINY = PpoSettings(
    steps=8, batch=8, each=8, minibatch=8, learning_rate=0.03, warmup_share=0.0, top_p=1.0,
    temperature=1.0, kl_weight=0.01, checkpoint_every=4,
)  # fmt: skip


def wanted(posts: Any, texts: Any) -> np.ndarray:
    """A reward that can be had by anybody: for a reply that begins with a Latin letter."""
    del posts
    return np.array([2.0 * (text[:1].isascii() and text[:1].isalpha()) for text in texts])


def letters_first(decoder: ReplyDecoder) -> float:
    """The exact likelihood that a reply begins with a letter: what `wanted` rewards."""
    with torch.no_grad():
        read = decoder.prefill([decoder.prompt_tokens(one.post) for one in THREADS])
    shares = read.logits.softmax(-1).mean(0)
    return sum(
        float(share)
        for row, share in enumerate(shares)
        if (text := decoder.text_of([row])).isascii() and text.isalpha()
    )


def lengths_mask(lengths: list[int], width: int) -> torch.Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    gamma=st.sampled_from([1.0, 0.9]),
    lam=st.sampled_from([0.0, 0.95, 1.0]),
)
def test_advantages_are_the_sums_of_the_definition(
    seed: int, lengths: list[int], gamma: float, lam: float
) -> None:
    made = torch.Generator().manual_seed(seed)
    rewards, values = (torch.randn(len(lengths), 6, generator=made) for _ in range(2))
    mask = lengths_mask(lengths, 6)
    found = gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths):
        for now in range(6):
            expected = 0.0
            for later in range(now, length):
                value = float(values[row, later + 1]) if later + 1 < length else 0.0
                delta = float(rewards[row, later]) + gamma * value - float(values[row, later])
                expected += (gamma * lam) ** (later - now) * delta
            assert float(found[row, now]) == pytest.approx(expected, abs=1e-4)


def test_whitening_is_over_what_is_there() -> None:
    mask = lengths_mask([3, 1], 4)
    found = whitened(torch.tensor([[1.0, 2.0, 6.0, 99.0], [3.0, 99.0, 99.0, 99.0]]), mask)
    assert float(found[mask].mean()) == pytest.approx(0, abs=1e-6)
    assert float(found[mask].std(unbiased=False)) == pytest.approx(1, abs=1e-5)
    assert not found[~mask].any()


def test_the_reward_comes_at_the_last_token_and_divergence_costs_at_each() -> None:
    old, reference = torch.full((2, 3), -1.0), torch.full((2, 3), -1.5)
    mask = lengths_mask([3, 2], 3)
    found = token_rewards(torch.tensor([2.0, -1.0]), old, reference, mask, 0.1)
    expected = torch.tensor([[-0.05, -0.05, 1.95], [-0.05, -1.05, 0.0]])
    torch.testing.assert_close(found, expected)


def test_a_ratio_beyond_the_clip_gains_nothing_and_one_that_is_worse_costs() -> None:
    mask, old = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1)

    def loss(ratio: float, advantage: float) -> tuple[float, float]:
        new = torch.tensor([[ratio]]).log().requires_grad_()
        found = policy_loss(new, old, torch.tensor([[advantage]]), mask, 0.2)
        (slope,) = torch.autograd.grad(found, new)
        return float(found.detach()), float(slope)

    assert loss(1.5, 1.0) == (pytest.approx(-1.2), 0.0)
    assert loss(0.5, 1.0) == (pytest.approx(-0.5), pytest.approx(-0.5))
    assert loss(0.5, -1.0) == (pytest.approx(0.8), 0.0)
    assert loss(1.5, -1.0) == (pytest.approx(1.5), pytest.approx(1.5))


def test_a_value_may_not_jump_to_its_return() -> None:
    mask, old = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1)
    found = [
        float(value_loss(torch.tensor([[new]]), old, torch.ones(1, 1), mask, 0.2))
        for new in (0.1, 1.0)
    ]
    assert found == [pytest.approx(0.5 * 0.81), pytest.approx(0.5 * 0.64)]


def test_the_weight_of_divergence_steers_to_its_target() -> None:
    settings = PpoSettings(kl_target=6.0, kl_horizon=100.0)
    assert next_kl_weight(0.1, 6.0, 10, settings) == pytest.approx(0.1)
    assert next_kl_weight(0.1, 60.0, 10, settings) == pytest.approx(0.1 * 1.02)
    assert next_kl_weight(0.1, 0.0, 10, settings) == pytest.approx(0.1 * 0.98)
    assert next_kl_weight(0.1, 6.6, 10, settings) == pytest.approx(0.1 * 1.01)


@pytest.mark.parametrize("is_curriculum", [False, True])
def test_ppo_raises_a_reward_and_keeps_all_monitors(tmp_path: Path, is_curriculum: bool) -> None:
    settings = msgspec.structs.replace(TINY, is_curriculum=is_curriculum, one_in=2, steps=16)
    decoder = tiny_decoder(tmp_path / "base", rank=8)
    before = letters_first(decoder)
    loop = train_ppo(decoder, THREADS, wanted, wanted, tmp_path / "out", settings)
    # What is drawn differs by processor, in the last bit first: of seven seeds the least gain of
    # sixteen steps was 0.06.
    assert letters_first(decoder) > before + 0.02
    steps = read_steps(tmp_path / "out")
    assert loop.step == len(steps) == settings.steps
    assert {*MONITORS, "accepted", "kl_weight", "policy_loss", "value_loss"} <= set(steps[0])
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert steps[-1]["kl"] != 0
    assert all(0 < row["accepted"] <= (0.5 if is_curriculum else 1) for row in steps)
    assert (tmp_path / "out" / ADAPTER / "adapter_model.safetensors").is_file()


def test_a_stopped_ppo_ends_as_one_that_was_not(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(TINY, steps=4, checkpoint_every=2, is_curriculum=True)
    whole = tmp_path / "whole"
    train_ppo(tiny_decoder(tmp_path / "b"), THREADS, wanted, wanted, whole, settings)
    parts = tmp_path / "parts"
    for _ in range(settings.steps):
        decoder = tiny_decoder(tmp_path / "b")
        train_ppo(decoder, THREADS, wanted, wanted, parts, settings, limit_s=1e-9)
    found = [[row["reward"] for row in read_steps(one)] for one in (whole, parts)]
    assert len(found[1]) == 0  # no time for a step: nothing is lost, nothing is made up
    train_ppo(tiny_decoder(tmp_path / "b"), THREADS, wanted, wanted, parts, settings)
    assert [row["reward"] for row in read_steps(parts)] == found[0]


def test_dpo_makes_what_is_preferred_likelier(tmp_path: Path) -> None:
    settings = DpoSettings(steps=6, batch=4, learning_rate=0.02, warmup_share=0.0, top_p=1.0)
    decoder = tiny_decoder(tmp_path / "base")
    train_dpo(decoder, THREADS, wanted, tmp_path / "out", settings)
    steps = [row for row in read_steps(tmp_path / "out") if row["pairs"]]
    assert steps[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    late = steps[-2:]
    assert np.mean([row["moved_better"] - row["moved_worse"] for row in late]) > 0.5


def test_preference_loss_is_that_of_the_definition() -> None:
    policy = (torch.tensor([-3.0]), torch.tensor([-5.0]))
    reference = (torch.tensor([-4.0]), torch.tensor([-4.5]))
    margin = (-3 + 4) - (-5 + 4.5)
    expected = -np.log(1 / (1 + np.exp(-0.3 * margin)))
    assert float(dpo_loss(policy, reference, 0.3)) == pytest.approx(expected, rel=1e-5)


def test_monitors_see_copies_and_repeats() -> None:
    posts = ["the bridge over the river is closed"] * 3
    texts = ["The bridge over the river!", "ok then", "ok, then"]
    found = monitored(posts, texts, np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 3.0]))
    assert found["copied"] == pytest.approx(1 / 3)
    assert found["distinct"] == pytest.approx(2 / 3)
    assert (found["reward"], found["held_out"]) == (2.0, 1.0)
    assert not is_copied("ok then", "ok then")  # too short to be a copy


def test_no_post_that_is_longer_than_asked_for_is_replied_to(tmp_path: Path) -> None:
    from tests.models.popalm.training.test_sft import write_threads

    decoder = load_decoder(tiny_folder(tmp_path / "base"))
    threads = write_threads(tmp_path)
    assert [one.post for one in prompts_of(decoder, threads, 50, 5, 0)] == []
    assert len(prompts_of(decoder, threads, 50, 6, 0)) == 10  # post 0 to 9
    assert {how.value for how in How} == {"ppo", "curriculum", "dpo"}


def test_what_the_curriculum_chooses_is_better_than_all_that_was_drawn(tmp_path: Path) -> None:
    decoder = tiny_decoder(tmp_path)
    head, start = ValueHead(decoder.width), trained_state(decoder)
    done = rollout(decoder, head, THREADS, wanted, torch.Generator().manual_seed(1), TINY)
    best = torch.from_numpy(np.argsort(-done.rewards, kind="stable")[:6].copy())
    assert len({*done.rewards.tolist()}) == 2
    learnt = advantages(decoder, start, done, best, done.rewards, 0.0, TINY)
    last = learnt.replies.mask.sum(1) - 1
    assert (learnt.advantages[torch.arange(6), last] > 0).all(), "none of the best is unlearnt"
    everything = advantages(
        decoder, start, done, torch.arange(len(done.texts)), done.rewards, 0.0, TINY
    )
    width = learnt.advantages.shape[1]
    assert torch.allclose(learnt.advantages, everything.advantages[best, :width])
    assert everything.advantages[everything.replies.mask].mean().abs() < 1e-5
