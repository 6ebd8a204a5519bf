"""Replies with their author and post, as tokens, and batches of them that are read at once.

Shapes: `B` sequences, `T` tokens of the longest, `R` tokens of the longest reply.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor

from models.popalm.prompt import as_data
from models.popalm.training.decoder import ReplyDecoder, log_probabilities
from models.popalm.training.examples import Example
from models.socialalign.pac_lora import Spans
from models.socialalign.persona_prompt import (
    MAX_PERSON_TOKENS,
    MAX_POST_TOKENS,
    PERSON_HEAD,
    POST_HEAD,
    TAIL,
)
from models.socialalign.persona_reply import PersonReply


@dataclass(frozen=True, slots=True)
class PersonExample(Example):
    """A reply as tokens.

    Attributes:
        person: The places of the person in the prompt: the first, and the one after the last.
        post: Those of the post.
    """

    person: tuple[int, int]
    post: tuple[int, int]


@dataclass(frozen=True, slots=True)
class PersonBatch:
    """Sequences that end their prompts in one column.

    Attributes:
        tokens: (B, T) prompts, padded on the left, with their replies, padded on the right.
        mask: (B, T) which places are tokens.
        spans: Where person and post stand.
        replies: (B, R) which of the last R places are tokens of a reply.
    """

    tokens: Tensor
    mask: Tensor
    spans: Spans
    replies: Tensor


def person_example(decoder: ReplyDecoder, one: PersonReply) -> PersonExample:
    """Return a reply as tokens; spans are known from how the prompt is put together."""
    parts = [
        decoder.tokens_of(PERSON_HEAD),
        decoder.tokens_of(as_data(one.person))[:MAX_PERSON_TOKENS],
        decoder.tokens_of(POST_HEAD),
        decoder.tokens_of(as_data(one.post))[:MAX_POST_TOKENS],
        decoder.tokens_of(TAIL),
    ]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    prompt = [token for part in parts for token in part]
    reply = decoder.reply_tokens(one.reply)
    return PersonExample(prompt, reply, (ends[0], ends[1]), (ends[2], ends[3]))


def batch_of(decoder: ReplyDecoder, examples: Sequence[PersonExample]) -> PersonBatch:
    """Return sequences as one batch."""
    left = max(len(one.prompt) for one in examples)
    right = max(len(one.reply) for one in examples)
    tokens = torch.full((len(examples), left + right), decoder.stop)
    mask, news, user = (torch.zeros_like(tokens, dtype=torch.bool) for _ in range(3))
    for row, one in enumerate(examples):
        start = left - len(one.prompt)
        tokens[row, start : left + len(one.reply)] = torch.tensor([*one.prompt, *one.reply])
        mask[row, start : left + len(one.reply)] = True
        user[row, start + one.person[0] : start + one.person[1]] = True
        news[row, start + one.post[0] : start + one.post[1]] = True
    device = decoder.device
    spans = Spans(news.to(device), user.to(device))
    mask = mask.to(device)
    return PersonBatch(tokens.to(device), mask, spans, mask[:, left:])


def reply_log_probabilities(decoder: ReplyDecoder, batch: PersonBatch) -> Tensor:
    """Return (B, R) log-probabilities of the tokens of replies; 0 after their ends."""
    width = batch.replies.shape[1]
    positions = (batch.mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.autocast(decoder.device.type, torch.bfloat16, enabled=decoder.is_bf16):
        logits = decoder.network(
            input_ids=batch.tokens, attention_mask=batch.mask.long(), position_ids=positions,
            use_cache=False, logits_to_keep=width + 1,
        ).logits  # fmt: skip
    known = log_probabilities(logits[:, :-1].float(), batch.tokens[:, -width:])
    return known * batch.replies


def swapped(replies: Sequence[PersonReply], seed: int) -> list[PersonReply]:
    """Return the replies, each with another person of the same set in place of its author.

    A person who stands for several replies is never swapped for themselves; where a set has but
    one person, theirs stay.
    """
    rng = np.random.default_rng(seed)
    found: list[PersonReply] = []
    for one in replies:
        others = sorted(
            {other.person for other in replies if other.source == one.source} - {one.person}
        )
        person = others[int(rng.integers(len(others)))] if others else one.person
        found.append(msgspec.structs.replace(one, person=person))
    return found
