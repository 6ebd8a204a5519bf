"""PPO, from top to bottom: replies are drawn, judged, and made likelier where they were good.

    rollout      draw replies, let a reward judge them, keep what was said of their tokens
    advantages   rewards a token, and how much better than expected each was (GAE)
    update       clipped steps on policy and value (Schulman et al. 2017, arXiv 1707.06347)

The reference is the adapter that training began from; the weight of the divergence from it follows
a target (Ziegler et al. 2019, arXiv 1909.08593, section 2.2). With a curriculum (`curriculum`) only
some of the drawn replies are learnt from.

Shapes: `B` posts, `m` replies a post, `N = B m`, `R` reply tokens, `H` hidden width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.popalm.training.adapters import as_reference
from models.popalm.training.curriculum import Floats, SelfPacing, choose, enhanced
from models.popalm.training.decoder import Replies, ReplyDecoder
from models.popalm.training.examples import PostReplies
from models.popalm.training.loop import LoopSettings, TrainingLoop
from models.popalm.training.monitors import Score, monitored


class PpoSettings(LoopSettings, frozen=True, kw_only=True):
    """Settings of PPO; the paper's, but for what a small scale needs.

    Attributes:
        each: Replies that are drawn to a post.
        temperature: Of drawing.
        top_p: Of drawing.
        kl_weight: The first weight of the divergence.
        kl_target: The divergence, in nats a reply, that the weight steers to.
        kl_horizon: Replies in which the weight may change by a factor of about e.
        gamma: The discount of a token.
        lam: The discount of GAE.
        clip: How far ratios and values may move in an update.
        value_weight: Of the value's loss.
        minibatch: Replies of a step of the optimiser.
        is_curriculum: Whether the curriculum chooses what is learnt from.
        one_in: The curriculum's ranking keeps one reply in so many.
        first_share: The share that its pacing accepts at the beginning.
    """

    batch: int = 8
    learning_rate: float = 3e-4
    each: int = 3
    temperature: float = 0.95
    top_p: float = 0.7
    kl_weight: float = 0.1
    kl_target: float = 6.0
    kl_horizon: float = 10_000.0
    gamma: float = 1.0
    lam: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.1
    minibatch: int = 8
    is_curriculum: bool = False
    one_in: int = 3
    first_share: float = 0.3


class ValueHead(nn.Module):
    """Says what reward is to come, from a hidden state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (N, R, H) to (N, R)."""
        return self.linear(hidden)[..., 0]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Replies that were drawn, and what was said of them then.

    Attributes:
        threads: (N) the post of each, with its real replies.
        prompts: (N) what the decoder was asked.
        replies: N replies as tokens.
        texts: (N) as texts.
        old: (N, R) log-probabilities by the policy that drew them.
        values: (N, R) what reward was expected.
        rewards: (N,) of the reward model.
    """

    threads: Sequence[PostReplies]
    prompts: Sequence[list[int]]
    replies: Replies
    texts: Sequence[str]
    old: Tensor
    values: Tensor
    rewards: Floats

    @property
    def likelihoods(self) -> Floats:
        """(N,) mean log-probabilities a token."""
        mask = self.replies.mask
        return ((self.old * mask).sum(1) / mask.sum(1)).cpu().numpy()


@dataclass(frozen=True, slots=True)
class Learnt:
    """The part of a rollout that is learnt from: `n` replies, and what they are worth.

    Attributes:
        prompts: (n) what the decoder was asked.
        replies: n replies.
        old: (n, R) log-probabilities by the policy that drew them.
        values: (n, R) what was expected.
        advantages: (n, R) how much better each token was, whitened over all that was drawn.
        returns: (n, R) what values should have been.
        kl: The divergence of all that was drawn from the reference, in nats a reply.
    """

    prompts: Sequence[list[int]]
    replies: Replies
    old: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    kl: float

    def select(self, rows: Tensor) -> "Learnt":
        """Return some of the replies, by number."""
        replies = self.replies.select(rows)
        width = replies.tokens.shape[1]
        every = (self.old, self.values, self.advantages, self.returns)
        old, values, better, returns = (one[rows, :width] for one in every)
        prompts = [self.prompts[row] for row in rows.tolist()]
        return Learnt(prompts, replies, old, values, better, returns, self.kl)


def rollout(
    decoder: ReplyDecoder, head: ValueHead, threads: Sequence[PostReplies], score: Score,
    generator: torch.Generator, settings: PpoSettings,
) -> Rollout:  # fmt: skip
    """Draw replies to B posts and let a reward judge them."""
    asked = [decoder.prompt_tokens(one.post) for one in threads]
    each = settings.each
    drawn = decoder.sample(asked, generator, each, settings.temperature, settings.top_p)
    with torch.no_grad():
        values = head(drawn.hidden)
    repeated = [one for one in threads for _ in range(each)]
    texts = decoder.texts(drawn.replies)
    rewards = score([one.post for one in repeated], texts)
    prompts = [prompt for prompt in asked for _ in range(each)]
    return Rollout(
        repeated, prompts, drawn.replies, texts, drawn.log_probabilities, values, rewards
    )


def chosen_rows(
    done: Rollout, settings: PpoSettings, pacing: SelfPacing, progress: float
) -> tuple[Tensor, Floats]:
    """Return which replies are learnt from, and (N,) their rewards, enhanced by the curriculum."""
    if not settings.is_curriculum:
        return torch.arange(len(done.texts)), done.rewards
    rewards = enhanced(done.rewards, done.texts, [one.replies for one in done.threads])
    rows = choose(rewards, done.likelihoods, pacing, progress, settings.one_in)
    return torch.from_numpy(rows), rewards


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Return (N, R) generalised advantages (Schulman et al. 2016, arXiv 1506.02438, equation 16).

    delta_t = r_t + gamma V_{t+1} - V_t, and A_t = delta_t + gamma lam A_{t+1}; nothing comes after
    the last token of a reply.
    """
    following, value = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    found: list[Tensor] = []
    for place in reversed(range(rewards.shape[1])):
        now = mask[:, place]
        delta = rewards[:, place] + gamma * value - values[:, place]
        following = (delta + gamma * lam * following) * now
        value = values[:, place] * now
        found.append(following)
    return torch.stack(found[::-1], 1)


def whitened(values: Tensor, mask: Tensor) -> Tensor:
    """Return values with mean 0 and variance 1 over the places of a mask, 0 elsewhere."""
    known = values[mask]
    centred = (values - known.mean()) / (known.var(unbiased=False) + 1e-8).sqrt()
    return centred * mask


def token_rewards(
    rewards: Tensor, old: Tensor, reference: Tensor, mask: Tensor, weight: float
) -> Tensor:
    """Return (N, R): less the weighted divergence at every token, plus the reward at the last."""
    last = mask.sum(1, keepdim=True) - 1
    found = -weight * (old - reference) * mask
    return found.scatter_add(1, last, rewards[:, None].to(found.dtype))


def advantages(
    decoder: ReplyDecoder, start: Mapping[str, Tensor], done: Rollout, rows: Tensor,
    rewards: Floats, weight: float, settings: PpoSettings,
) -> Learnt:  # fmt: skip
    """Return what the chosen rows of a rollout are worth, beside all of it.

    Advantages are whitened over all that was drawn: among the chosen alone, which are the good
    ones, half would be below the mean and made less likely.

    Args:
        decoder: The policy.
        start: The adapter that training began from: the reference.
        done: The rollout.
        rows: (n,) the chosen rows.
        rewards: (N,) of all rows.
        weight: Of the divergence.
        settings: The discounts.
    """
    mask = done.replies.mask
    with as_reference(decoder, start):
        reference, _hidden = decoder.outputs(done.prompts, done.replies)
    given = torch.as_tensor(np.asarray(rewards), dtype=done.old.dtype, device=done.old.device)
    by_token = token_rewards(given, done.old, reference, mask, weight)
    plain = gae(by_token, done.values, mask, settings.gamma, settings.lam)
    kl = float(((done.old - reference) * mask).sum(1).mean())
    every = (done.old, done.values, whitened(plain, mask), plain + done.values)
    return Learnt(done.prompts, done.replies, *every, kl).select(rows)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the places of a mask."""
    return (values * mask).sum() / mask.sum()


def policy_loss(new: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Return the clipped loss of the policy: what moves too far gains no more."""
    ratio = (new - old).exp()
    plain, clipped = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
    return masked_mean(torch.maximum(plain, clipped), mask)


def value_loss(new: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Return half the clipped squared error of values."""
    near = old + (new - old).clamp(-clip, clip)
    return 0.5 * masked_mean(torch.maximum((new - returns) ** 2, (near - returns) ** 2), mask)


def update(
    decoder: ReplyDecoder, head: ValueHead, learnt: Learnt, loop: TrainingLoop,
    settings: PpoSettings,
) -> dict[str, float]:  # fmt: skip
    """Take a step of the optimiser for each part of what is learnt from, once."""
    order = torch.randperm(len(learnt.prompts), generator=loop.generator())
    sums: dict[str, float] = {"policy_loss": 0.0, "value_loss": 0.0, "gradient": 0.0}
    parts = order.split(settings.minibatch)
    for rows in parts:
        part = learnt.select(rows)
        mask = part.replies.mask
        new, hidden = decoder.outputs(part.prompts, part.replies)
        policy = policy_loss(new, part.old, part.advantages, mask, settings.clip)
        value = value_loss(head(hidden), part.values, part.returns, mask, settings.clip)
        gradient = loop.descend(policy + settings.value_weight * value)
        for name, one in (("policy_loss", policy), ("value_loss", value)):
            sums[name] += float(one.detach())
        sums["gradient"] += gradient
    return {name: value / len(parts) for name, value in sums.items()}


def next_kl_weight(weight: float, kl: float, replies: int, settings: PpoSettings) -> float:
    """Return the weight of the divergence after a batch: up above the target, down below it."""
    error = min(max(kl / settings.kl_target - 1, -0.2), 0.2)
    return weight * (1 + error * replies / settings.kl_horizon)


def ppo_step(
    decoder: ReplyDecoder, head: ValueHead, start: Mapping[str, Tensor],
    threads: Sequence[PostReplies], score: Score, held_out: Score, loop: TrainingLoop,
    settings: PpoSettings,
) -> dict[str, Any]:  # fmt: skip
    """Take one whole step on B posts; return its figures."""
    done = rollout(decoder, head, threads, score, loop.generator(), settings)
    pacing = SelfPacing(settings.first_share)
    pacing.seen.extend(loop.extra["seen"])
    rows, rewards = chosen_rows(done, settings, pacing, loop.progress)
    weight = loop.extra["kl_weight"]
    learnt = advantages(decoder, start, done, rows, rewards, weight, settings)
    posts = [one.post for one in done.threads]
    figures = monitored(posts, done.texts, done.rewards, held_out(posts, done.texts))
    figures |= {"kl": learnt.kl, "kl_weight": weight, "accepted": len(rows) / len(done.texts)}
    figures |= update(decoder, head, learnt, loop, settings)
    loop.extra["seen"] = list(pacing.seen)
    loop.extra["kl_weight"] = next_kl_weight(weight, learnt.kl, len(rows), settings)
    return figures
