"""Direct preference optimisation on the reward's own preferences, to compare with PPO. Needs torch.

Of several replies that the starting adapter draws to a post, the best by the reward is preferred to
the worst; no more is drawn while training (Rafailov et al. 2023, arXiv 2305.18290, equation 7).

Shapes: `N` pairs, `R` reply tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.popalm.training.decoder import Replies, ReplyDecoder
from models.popalm.training.examples import PostReplies
from models.popalm.training.loop import LoopSettings, TrainingLoop
from models.popalm.training.monitors import Score
from models.popalm.training.ppo import masked_mean


class DpoSettings(LoopSettings, frozen=True, kw_only=True):
    """Settings of preference optimisation.

    Attributes:
        beta: How much likelihood a preference is worth: small values lead far away.
        each: Replies that are drawn to a post.
        temperature: Of drawing.
        top_p: Of drawing.
        least_gap: Pairs whose rewards are nearer are no preference.
    """

    batch: int = 8
    learning_rate: float = 3e-4
    beta: float = 0.1
    each: int = 3
    temperature: float = 0.95
    top_p: float = 0.7
    least_gap: float = 0.2


@dataclass(frozen=True, slots=True)
class Preference:
    """Two replies to a prompt, as tokens, the better one first."""

    prompt: list[int]
    better: list[int]
    worse: list[int]


def drawn_preferences(
    decoder: ReplyDecoder, threads: Sequence[PostReplies], score: Score,
    generator: torch.Generator, settings: DpoSettings,
) -> list[Preference]:  # fmt: skip
    """Draw replies to posts and return the best and the worst of each, where they differ."""
    asked = [decoder.prompt_tokens(one.post) for one in threads]
    each = settings.each
    drawn = decoder.sample(asked, generator, each, settings.temperature, settings.top_p).replies
    posts = [one.post for one in threads for _ in range(each)]
    rewards = score(posts, decoder.texts(drawn)).reshape(-1, each)
    lengths = drawn.mask.sum(1).tolist()
    rows = [row[:length] for row, length in zip(drawn.tokens.tolist(), lengths, strict=True)]
    found: list[Preference] = []
    for place, (prompt, given) in enumerate(zip(asked, rewards, strict=True)):
        best, worst = int(given.argmax()), int(given.argmin())
        if given[best] - given[worst] >= settings.least_gap:
            first = place * each
            found.append(Preference(prompt, rows[first + best], rows[first + worst]))
    return found


def pair_log_probabilities(
    decoder: ReplyDecoder, pairs: Sequence[Preference]
) -> tuple[Tensor, Tensor, Replies]:
    """Return (N) log-probabilities of better and of worse replies, and all replies, in pairs."""
    replies = decoder.padded([one for pair in pairs for one in (pair.better, pair.worse)])
    known, _hidden = decoder.outputs([pair.prompt for pair in pairs], replies, each=2)
    sums = (known * replies.mask).sum(1)
    return sums[0::2], sums[1::2], replies


def dpo_loss(
    policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], beta: float
) -> Tensor:
    """Return the mean of -log sigmoid of beta times the margin over the reference's."""
    margin = (policy[0] - reference[0]) - (policy[1] - reference[1])
    return -functional.logsigmoid(beta * margin).mean()


def dpo_step(
    decoder: ReplyDecoder, pairs: Sequence[Preference], reference: tuple[Tensor, Tensor],
    loop: TrainingLoop, settings: DpoSettings,
) -> dict[str, float]:  # fmt: skip
    """Take a step on N pairs; return its figures.

    Args:
        decoder: The policy.
        pairs: The pairs.
        reference: (N) log-probabilities of better and worse replies by the reference.
        loop: The training.
        settings: Its settings.
    """
    better, worse, replies = pair_log_probabilities(decoder, pairs)
    loss = dpo_loss((better, worse), reference, settings.beta)
    moved = torch.stack([better - reference[0], worse - reference[1]]).detach()
    figures = {
        "loss": float(loss.detach()),
        "preferred": float((moved[0] > moved[1]).float().mean()),
        "moved_better": float(moved[0].mean()),
        "moved_worse": float(moved[1].mean()),
        "tokens": float(masked_mean(replies.mask.sum(1).float(), replies.mask[:, 0])),
    }
    return figures | {"gradient": loop.descend(loss)}
