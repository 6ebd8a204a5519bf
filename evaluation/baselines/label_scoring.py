"""How likely a language model finds each answer of a closed set. Needs torch.

No text is generated and none is searched for a label: the log-probability of every complete answer
is computed, the end of text included, so no answer can be the beginning of another, and the result
is a distribution over exactly those answers.

Shapes: `B` batch, `T` tokens, `N` texts, `C` answers, `V` vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from core.errors import ConfigError

IGNORED: Final = -100


@dataclass(frozen=True, slots=True)
class Answered:
    """Token batches (B, T) with the answer at the end of each row.

    Attributes:
        ids: The tokens, padded on the left, so that answers end together.
        mask: 1 on real tokens.
        targets: The tokens of the answer where it stands, `IGNORED` elsewhere.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor


class LabelCodec:
    """Prompts and answers to tokens, for one tokenizer and one closed set of answers."""

    def __init__(self, tokenizer: Any, labels: Sequence[str], max_tokens: int) -> None:
        """Tokenise the answers once.

        Raises:
            ConfigError: The tokenizer has no end-of-text token, two answers are the same tokens,
                or they leave no room for a prompt.
        """
        if tokenizer.eos_token_id is None:
            raise ConfigError("the checkpoint's tokenizer has no end-of-text token")
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self.labels = tuple(labels)
        end = [int(tokenizer.eos_token_id)]
        self.answers = tuple(
            tuple(tokenizer(f" {label}", add_special_tokens=False)["input_ids"]) + tuple(end)
            for label in labels
        )
        if len(set(self.answers)) < len(labels):
            raise ConfigError(f"two of the labels {list(labels)} are the same tokens")
        if max(map(len, self.answers)) >= max_tokens:
            raise ConfigError(f"{max_tokens} tokens leave no room for a prompt")

    def parse(self, tokens: Sequence[int]) -> int | None:
        """Return the class whose whole answer these tokens are; None if they are no answer."""
        given = tuple(tokens)
        return self.answers.index(given) if given in self.answers else None

    def batch(
        self, prompts: Sequence[str], classes: Sequence[int], where: torch.device
    ) -> Answered:
        """Return each prompt followed by its answer; over-long prompts lose their beginning."""
        rows: list[tuple[list[int], tuple[int, ...]]] = []
        for prompt, label in zip(prompts, classes, strict=True):
            answer = self.answers[label]
            ids = self._tokenizer(prompt)["input_ids"]
            if ids and ids[-1] == self._tokenizer.eos_token_id:
                ids = ids[:-1]  # some tokenizers end every text
            rows.append((ids[-(self._max_tokens - len(answer)) :], answer))
        width = max(len(ids) + len(answer) for ids, answer in rows)
        shape = (len(rows), width)
        padding = self._tokenizer.pad_token_id
        padding = self._tokenizer.eos_token_id if padding is None else padding
        found = torch.full(shape, int(padding), dtype=torch.long)
        mask = torch.zeros(shape, dtype=torch.long)
        targets = torch.full(shape, IGNORED, dtype=torch.long)
        for row, (ids, answer) in enumerate(rows):
            length = len(ids) + len(answer)
            found[row, -length:] = torch.tensor([*ids, *answer])
            mask[row, -length:] = 1
            targets[row, -len(answer) :] = torch.tensor(answer)
        return Answered(found.to(where), mask.to(where), targets.to(where))


def answer_log_probabilities(model: Any, batch: Answered) -> Tensor:
    """Return the log-probability (B,) of each row's answer given what stands before it."""
    positions = (batch.mask.cumsum(-1) - 1).clamp(min=0)
    output = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions)
    logits = output.logits[:, :-1].float()  # (B, T - 1, V): what comes next
    targets = batch.targets[:, 1:]
    is_answer = targets != IGNORED
    chosen = logits.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    each = chosen - logits.logsumexp(-1)
    return (each * is_answer).sum(-1)


def answer_tokens(batch: Answered) -> Tensor:
    """Return the number of tokens of each row's answer (B,)."""
    return (batch.targets != IGNORED).sum(-1)


@torch.no_grad()
def label_probabilities(
    model: Any, codec: LabelCodec, prompts: Sequence[str], where: torch.device
) -> Tensor:
    """Return the probability of every answer (N, C) to each prompt; rows add up to one."""
    rows = []
    classes = range(len(codec.labels))
    for prompt in prompts:
        batch = codec.batch([prompt] * len(codec.labels), list(classes), where)
        rows.append(answer_log_probabilities(model, batch))
    return torch.stack(rows).softmax(-1).cpu()
