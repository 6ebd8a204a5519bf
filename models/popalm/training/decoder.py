"""One interface over causal language models: prompts, replies, their likelihood, and sampling.

Any model of transformers will do that has linear layers and a cache of keys and values: a folder, a
name on the hub, or the GGUF file of `models.popalm.base`. Replies are read and written after a
cache of their prompts, in training too: what all prompts of a batch begin with (the instruction)
is read once for all of them, and so is a post with several replies.

Shapes: `B` prompts, `S` tokens by now, `m` replies a prompt, `N = B m` replies, `R` reply tokens,
`H` hidden width, `V` vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from core.errors import ConfigError
from models.popalm.base import SMOLLM2_ID, SMOLLM2_SHA256, find_base
from models.popalm.prompt import HEAD, MAX_POST_TOKENS, MAX_REPLY_TOKENS, STOP, TAIL, as_data

_LIKELIEST: Final = 256


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Prompts that a network has read.

    Attributes:
        cache: The keys and values of B prompts; it is used up by what reads on.
        mask: (B, S) which places are tokens.
        logits: (B, V) of the first token of a reply.
        hidden: (B, H) of the last token of the prompt.
    """

    cache: Any
    mask: Tensor
    logits: Tensor
    hidden: Tensor


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies as tokens, padded on the right.

    Attributes:
        tokens: (N, R) with the token that ends a reply, where it was reached.
        mask: (N, R) which places are part of a reply.
    """

    tokens: Tensor
    mask: Tensor

    def select(self, rows: Tensor) -> "Replies":
        """Return some of the replies, by number, without columns that none of them needs."""
        mask = self.mask[rows]
        longest = max(1, int(mask.sum(1).max())) if len(rows) else 1
        return Replies(self.tokens[rows, :longest], mask[:, :longest])


@dataclass(frozen=True, slots=True)
class Drawn:
    """Replies that were drawn, and what the network said of them.

    Attributes:
        replies: N replies.
        log_probabilities: (N, R) of their tokens, neither cut nor tempered; 0 after the end.
        hidden: (N, R, H) before each token is read.
    """

    replies: Replies
    log_probabilities: Tensor
    hidden: Tensor


class ReplyDecoder:
    """A causal language model that replies to posts.

    Args:
        network: The model of transformers.
        tokenizer: Its tokenizer.
        is_bf16: Whether to compute in bfloat16 where that is safe.
        identity: Its name, which its adapters bear.
    """

    def __init__(
        self, network: Any, tokenizer: Any, is_bf16: bool = False, identity: str = SMOLLM2_ID
    ) -> None:
        self.network = network
        self.is_bf16 = is_bf16
        self.identity = identity
        self._tokenizer = tokenizer
        stop = self.tokens_of(STOP)
        # A model that does not know the mark ends with its own token.
        self.stop: int = stop[0] if len(stop) == 1 else tokenizer.eos_token_id

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def width(self) -> int:
        """The width of what the value head reads."""
        return int(self.network.config.get_text_config().hidden_size)

    def tokens_of(self, text: str) -> list[int]:
        """Return a text as tokens, with no mark of beginning or end."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt_tokens(self, post: str) -> list[int]:
        """Return what the network is asked of a post, which is cut to `MAX_POST_TOKENS`."""
        cut = self.tokens_of(as_data(post))[:MAX_POST_TOKENS]
        return self.tokens_of(HEAD) + cut + self.tokens_of(TAIL)

    def reply_tokens(self, reply: str) -> list[int]:
        """Return a reply with its end; one that is too long is cut and has no end."""
        return [*self.tokens_of(as_data(reply)), self.stop][:MAX_REPLY_TOKENS]

    def text_of(self, tokens: Sequence[int]) -> str:
        """Return a reply as text, on one line and without its end."""
        whole = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return " ".join(whole.split())

    def texts(self, replies: Replies) -> list[str]:
        """Return replies as texts."""
        rows = zip(replies.tokens.tolist(), replies.mask.sum(1).tolist(), strict=True)
        return [self.text_of(row[:length]) for row, length in rows]

    def padded(self, replies: Sequence[Sequence[int]]) -> Replies:
        """Return replies of several lengths as one batch."""
        width = max(map(len, replies))
        rows = [[*reply, *[self.stop] * (width - len(reply))] for reply in replies]
        lengths = torch.tensor([len(reply) for reply in replies], device=self.device)
        mask = torch.arange(width, device=self.device) < lengths[:, None]
        return Replies(torch.tensor(rows, device=self.device), mask)

    def _read(self, tokens: Tensor, mask: Tensor, cache: Any, kept: int) -> tuple[Tensor, Tensor]:
        """Read (B, T) on after a cache; return logits and hidden of the last `kept` places."""
        width = tokens.shape[1]
        positions = (mask.long().cumsum(1) - 1).clamp(min=0)[:, -width:]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
            out = self.network(
                input_ids=tokens, attention_mask=mask.long(), position_ids=positions,
                past_key_values=cache, use_cache=True, output_hidden_states=True,
                logits_to_keep=kept,
            )  # fmt: skip
        return out.logits.float(), out.hidden_states[-1][:, -kept:].float()

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Prefilled:
        """Read prompts; what all of them begin with is read once."""
        shared = _shared_length(prompts)
        cache = DynamicCache(config=self.network.config)
        if shared and len(prompts) > 1:
            head = torch.tensor([list(prompts[0][:shared])], device=self.device)
            self._read(head, torch.ones_like(head, dtype=torch.bool), cache, 1)
            cache.batch_repeat_interleave(len(prompts))
        else:
            shared = 0
        rests = [list(prompt[shared:]) for prompt in prompts]
        width = max(map(len, rests))
        # Padded between what is shared and the rest, so that all prompts end in one column.
        tokens = [[self.stop] * (width - len(rest)) + rest for rest in rests]
        starts = torch.tensor([width - len(rest) for rest in rests], device=self.device)
        own = torch.arange(width, device=self.device) >= starts[:, None]
        head_mask = own.new_ones((len(prompts), shared))
        mask = torch.cat([head_mask, own], 1)
        logits, hidden = self._read(torch.tensor(tokens, device=self.device), mask, cache, 1)
        return Prefilled(cache, mask, logits[:, -1], hidden[:, -1])

    def outputs(
        self, prompts: Sequence[Sequence[int]], replies: Replies, each: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return what the network says of every token of replies, before it reads that token.

        Args:
            prompts: B prompts.
            replies: N replies, `each` of them in a row to the same prompt.
            each: How many replies a prompt has.

        Returns:
            (N, R) log-probabilities of the tokens, and (N, R, H) hidden states.
        """
        read = _repeated(self.prefill(prompts), each)
        logits, hidden = read.logits[:, None], read.hidden[:, None]
        width = replies.tokens.shape[1]
        if width > 1:
            mask = torch.cat([read.mask, replies.mask[:, :-1]], 1)
            more = self._read(replies.tokens[:, :-1], mask, read.cache, width - 1)
            logits, hidden = torch.cat([logits, more[0]], 1), torch.cat([hidden, more[1]], 1)
        return log_probabilities(logits, replies.tokens), hidden

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        generator: torch.Generator,
        each: int = 1,
        temperature: float = 0.95,
        top_p: float = 0.7,
    ) -> Drawn:
        """Draw replies, `each` in a row to a prompt, of `MAX_REPLY_TOKENS` at most."""
        read = _repeated(self.prefill(prompts), each)
        logits, hidden, mask = read.logits, read.hidden, read.mask
        alive = mask.new_ones(len(mask))
        columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        while len(columns) < MAX_REPLY_TOKENS and alive.any():
            if columns:
                more = self._read(columns[-1][0][:, None], mask, read.cache, 1)
                logits, hidden = more[0][:, -1], more[1][:, -1]
            tokens = draw(logits, generator, temperature, top_p)
            tokens = torch.where(alive, tokens, self.stop)
            known = log_probabilities(logits[:, None], tokens[:, None])[:, 0]
            columns.append((tokens, alive, known * alive, hidden))
            mask = torch.cat([mask, alive[:, None]], 1)
            alive = alive & (tokens != self.stop)
        drawn = [torch.stack(one, 1) for one in zip(*columns, strict=True)]
        return Drawn(Replies(drawn[0], drawn[1]), drawn[2], drawn[3])


def _shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all prompts begin with; each keeps one of its own at least."""
    shortest = min(map(len, prompts)) - 1
    for place in range(shortest):
        if len({prompt[place] for prompt in prompts}) > 1:
            return place
    return max(shortest, 0)


def _repeated(read: Prefilled, each: int) -> Prefilled:
    if each == 1:
        return read
    read.cache.batch_repeat_interleave(each)
    again = [one.repeat_interleave(each, 0) for one in (read.mask, read.logits, read.hidden)]
    return Prefilled(read.cache, *again)


def log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return (N, R) log-probabilities of tokens by (N, R, V) logits."""
    chosen = logits.gather(-1, tokens[..., None])[..., 0]
    return chosen - logits.logsumexp(-1)


def draw(logits: Tensor, generator: torch.Generator, temperature: float, top_p: float) -> Tensor:
    """Draw (N,) tokens among the likeliest that have `top_p` together (Holtzman et al., 2020).

    A temperature of 0 takes the likeliest.
    """
    if temperature == 0:
        return logits.argmax(-1)
    whole = (logits / temperature).softmax(-1)
    # Sorting a whole vocabulary costs as much as the network; few tokens nearly always do.
    shares, order = whole.topk(min(_LIKELIEST, whole.shape[-1]))
    if bool((shares.sum(-1) < top_p).any()):
        shares, order = whole.sort(-1, descending=True)
    # The token that crosses the limit is still in.
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= top_p, 0.0)
    place = torch.multinomial(shares, 1, generator=generator)
    return order.gather(-1, place)[:, 0]


def load_decoder(
    path: Path | None = None, identity: str = SMOLLM2_ID, is_bf16: bool = False
) -> ReplyDecoder:
    """Load a decoder: a folder of transformers, a GGUF file, else the package or the hub.

    Args:
        path: A folder or a GGUF file; None looks where `models.popalm.base` says.
        identity: Its name; a file of the usual name has to be the one that is pinned.
        is_bf16: Whether to compute in bfloat16 where that is safe.

    Raises:
        ConfigError: There is no such decoder, or it is not the one that is expected.
    """
    options: dict[str, Any] = {}
    where: str | Path = identity
    if path is not None and not path.exists():
        raise ConfigError(f"decoder {path} does not exist: expected a folder or a GGUF file")
    if path is not None and path.is_dir():
        where = path
    elif path is not None or identity == SMOLLM2_ID:
        sha256 = SMOLLM2_SHA256 if identity == SMOLLM2_ID else None
        gguf = find_base(identity, sha256, path).gguf
        where, options = gguf.parent, {"gguf_file": gguf.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        network = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **options)
    except (OSError, ValueError) as error:
        raise ConfigError(f"decoder {where} cannot be loaded: {error}") from error
    return ReplyDecoder(network.eval().requires_grad_(False), tokenizer, is_bf16, identity)
