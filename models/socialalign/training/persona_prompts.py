"""What a decoder is asked of a person and an event, as tokens with the spans of both.

The order is the persona's: instruction, the person's own posts, the event, the answer. Spans are
built while tokens are put together, so what stands twice in a text is not taken for the answer. A
prompt that is too long loses the person's oldest posts first, then the end of the event, and never
a token of the answer.

Shapes: `B` examples, `T` tokens.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from core.errors import ConfigError
from models.popalm.prompt import as_data
from models.popalm.training.decoder import ReplyDecoder
from models.socialalign.pac_lora import Spans

MAX_NEWS_TOKENS: Final = 96
MAX_USER_TOKENS: Final = 160
_HEAD: Final = "<|im_start|>system\nYou are the person who wrote these posts.<|im_end|>\n"
_USER: Final = "<|im_start|>user\nMy posts:"
_NEWS: Final = "\nReply to this post as I would:\n"
_TAIL: Final = "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class PersonaExample:
    """A reply with who wrote it and what to.

    Attributes:
        topic: What the event is about; expert use is told by topic.
        posts: What the person wrote before the reply and elsewhere, the oldest first.
        news: The text of the event.
        reply: The reply.
    """

    topic: str
    posts: tuple[str, ...]
    news: str
    reply: str


@dataclass(frozen=True, slots=True)
class PersonaBatch:
    """Examples as tokens, padded on the right.

    Attributes:
        tokens: (B, T) prompts with their replies.
        mask: (B, T) which are no padding.
        answers: (B, T) which are part of a reply.
        spans: Where events and persons stand.
    """

    tokens: Tensor
    mask: Tensor
    answers: Tensor
    spans: Spans


def read_personas(file: Path) -> list[PersonaExample]:
    """Read examples, a JSON object a line.

    Raises:
        ConfigError: The file is not there, is empty, or a line is not what it should be.
    """
    found: list[PersonaExample] = []
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            texts = [row["topic"], row["news"], row["reply"], *row["posts"]]
            if not all(isinstance(text, str) for text in texts) or not row["reply"].strip():
                raise ConfigError(f"{file}, line {number}: expected topic, posts, news and reply")
            found.append(
                PersonaExample(row["topic"], tuple(row["posts"]), row["news"], row["reply"])
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no file of personas ({error!r})") from error
    if len(found) < 2:
        raise ConfigError(f"{file} has {len(found)} examples: two are needed to swap persons")
    return found


def swapped(examples: Sequence[PersonaExample]) -> list[PersonaExample]:
    """Return the examples with the posts of another person: the next one whose posts differ."""
    found: list[PersonaExample] = []
    for row, one in enumerate(examples):
        others = (examples[(row + step) % len(examples)].posts for step in range(1, len(examples)))
        posts = next((other for other in others if other != one.posts), one.posts)
        found.append(PersonaExample(one.topic, posts, one.news, one.reply))
    return found


class PersonaTokens:
    """Cuts examples into tokens for one decoder.

    Args:
        decoder: The decoder.
    """

    def __init__(self, decoder: ReplyDecoder) -> None:
        self._decoder = decoder
        self._head = decoder.raw_tokens(_HEAD + _USER)
        self._between = decoder.raw_tokens(_NEWS)
        self._tail = decoder.raw_tokens(_TAIL)

    def user_tokens(self, posts: Sequence[str]) -> list[int]:
        """Return the tokens of a person's posts: the newest whole ones that fit."""
        kept: list[int] = []
        for post in reversed(posts):
            tokens = self._decoder.raw_tokens("\n- " + as_data(post))
            if len(tokens) + len(kept) > MAX_USER_TOKENS:
                break
            kept = tokens + kept
        return kept

    def batch(self, examples: Sequence[PersonaExample]) -> PersonaBatch:
        """Return examples as one batch."""
        rows = [self._parts(one) for one in examples]
        width = max(sum(map(len, parts)) for parts in rows)
        tokens = torch.full((len(rows), width), self._decoder.stop)
        # Of each place the part of the prompt that it belongs to; -1 where it is padding.
        places = torch.full((len(rows), width), -1)
        for row, parts in enumerate(rows):
            flat = [token for part in parts for token in part]
            tokens[row, : len(flat)] = torch.tensor(flat)
            numbers = [number for number, part in enumerate(parts) for _ in part]
            places[row, : len(flat)] = torch.tensor(numbers)
        device = self._decoder.device
        tokens, places = tokens.to(device), places.to(device)
        spans = Spans(news=places == 3, user=places == 1)
        return PersonaBatch(tokens, places >= 0, places == 5, spans)

    def _parts(self, one: PersonaExample) -> list[list[int]]:
        news = self._decoder.raw_tokens(as_data(one.news))[:MAX_NEWS_TOKENS]
        reply = self._decoder.reply_tokens(one.reply)
        return [self._head, self.user_tokens(one.posts), self._between, news, self._tail, reply]
