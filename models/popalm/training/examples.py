"""Posts and replies to learn from: a file of threads, cut to what a decoder reads.

The file is what `python -m evaluation.responses.training_threads` writes: a JSON object on each
line, `{"post": …, "replies": […]}`, the oldest first, without what is judged. Its last part in time
is held out for validation.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from core.errors import ConfigError
from models.popalm.training.decoder import ReplyDecoder

HELD_OUT_SHARE: Final = 0.05
LEAST_REPLY_TOKENS: Final = 3
"""Two and the end."""
_WINDOW: Final = 16


@dataclass(frozen=True, slots=True)
class PostReplies:
    """A post and the replies that it got, the best liked first where that is known."""

    post: str
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One reply to one post, as tokens."""

    prompt: list[int]
    reply: list[int]


AnyExample = TypeVar("AnyExample", bound=Example)


def read_threads(file: Path) -> list[PostReplies]:
    """Read a file of threads.

    Raises:
        ConfigError: It is not there, or a line is not what it should be.
    """
    found: list[PostReplies] = []
    try:
        with file.open(encoding="utf-8") as opened:
            for number, line in enumerate(opened, 1):
                row = json.loads(line)
                post, replies = row["post"], row["replies"]
                if not (isinstance(post, str) and replies and all(map(_is_text, replies))):
                    raise ConfigError(f"{file}, line {number}: expected a post with replies")
                found.append(PostReplies(post, tuple(replies)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no file of threads ({error})") from error
    if len(found) < 2:
        raise ConfigError(f"{file} has {len(found)} threads: one to learn from, one held out")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def parted(threads: Sequence[PostReplies]) -> tuple[list[PostReplies], list[PostReplies]]:
    """Return the threads to learn from, and the last ones, which are held out."""
    held = max(1, int(len(threads) * HELD_OUT_SHARE))
    return list(threads[:-held]), list(threads[-held:])


def whole_examples(
    decoder: ReplyDecoder, threads: Sequence[PostReplies], number: int, seed: int, longest: int
) -> list[Example]:
    """Draw replies that fit whole, their end with them: what is cut would not teach to end.

    Args:
        decoder: Cuts texts into tokens.
        threads: Where replies are drawn from, one for each thread and pass.
        number: So many at most.
        seed: Of the chance.
        longest: Posts of more tokens are left out.
    """
    rng = np.random.default_rng(seed)
    empty = len(decoder.prompt_tokens(""))
    found: list[Example] = []
    for _ in range(max((len(one.replies) for one in threads), default=0)):
        for row in rng.permutation(len(threads)).tolist():
            one = threads[row]
            reply = decoder.reply_tokens(one.replies[int(rng.integers(len(one.replies)))])
            if reply[-1] != decoder.stop or len(reply) < LEAST_REPLY_TOKENS:
                continue
            prompt = decoder.prompt_tokens(one.post)
            if len(prompt) <= empty + longest:
                found.append(Example(prompt, reply))
            if len(found) == number:
                return found
    return found


def by_length(examples: Sequence[AnyExample], batch: int, seed: int) -> list[AnyExample]:
    """Return examples so that those of a batch are about as long: little is padded.

    Only within a window of some batches, and batches in any order: lengths do not rise.
    """
    rng = np.random.default_rng(seed)
    found: list[AnyExample] = []
    for start in range(0, len(examples), batch * _WINDOW):
        window = sorted(
            examples[start : start + batch * _WINDOW],
            key=lambda one: (len(one.prompt), len(one.reply)),
        )
        batches = [window[row : row + batch] for row in range(0, len(window), batch)]
        for row in rng.permutation(len(batches)).tolist():
            found.extend(batches[row])
    return found
