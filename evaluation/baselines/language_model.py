"""A decoder with adapters as a classifier: supervised, then by preferences. Needs torch.

*Supervised* (SFT): cross-entropy on the tokens of the answer alone; the prompt has no loss.
*Preferences* (DPO, Rafailov et al. 2023, arXiv 2305.18290, equation 7): starts from the supervised
model, whose adapters are folded into the base; the reference is the same model with the new
adapters switched off. A wrong answer is drawn among the other classes, never the right one.

Shapes: `B` batch, `N` texts, `C` answers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from core.errors import ConfigError
from evaluation.baselines.fitting import FitSettings, device, fit
from evaluation.baselines.label_scoring import (
    LabelCodec,
    answer_log_probabilities,
    answer_tokens,
    label_probabilities,
)
from evaluation.baselines.prompts import Question
from models.encoder.lora import (
    LoRALinear,
    adapted_layers,
    adapter_state,
    inject,
    load_adapter_state,
    merge,
)

Tell = Callable[[int, int, float], object]


class LanguageModelSettings(FitSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paper's settings for its decoder, and those of the adapters and pairs.

    Attributes:
        rank: The rank of the adapters, on every linear layer but the output.
        alpha: Their scaling numerator.
        dropout: The share that is dropped before them.
        max_tokens: Longer prompts lose their beginning.
        beta: How, in DPO, far preferences may lead away from the reference.
        dpo_epochs: The number of passes over the pairs.
        pairs_a_post: The number of wrong answers drawn for each post.
        bf16: Whether to load the base in bfloat16.
    """

    epochs: int = 20
    batch_posts: int = 1
    accumulate: int = 8
    learning_rate: float = 2e-4
    schedule: Literal["linear", "cosine"] = "cosine"
    warmup_share: float = 0.03
    weight_decay: float = 1e-3
    max_gradient_norm: float = 0.3
    seed: int = 42
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.05
    max_tokens: int = 512
    beta: float = 0.1
    dpo_epochs: int = 10
    pairs_a_post: int = 2
    bf16: bool = False


def dpo_loss(
    policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], beta: float
) -> Tensor:
    """Return the mean of -log sigmoid(beta (policy margin - reference margin)).

    Each pair holds log-probabilities (B,) of the right and of the wrong answer.
    """
    margin = (policy[0] - policy[1]) - (reference[0] - reference[1])
    return -functional.logsigmoid(beta * margin).mean()


def wrong_answers(
    labels: Sequence[int], classes: int, repeats: int, seed: int
) -> list[tuple[int, int]]:
    """Return (row, wrong class) for every post, `repeats` times; a post's own class is never drawn.

    Raises:
        ConfigError: There is nothing else to answer.
    """
    if classes < 2:
        raise ConfigError("preferences need two classes at least")
    rng = np.random.default_rng(seed)
    return [
        (row, (label + int(shift)) % classes)
        for row, label in enumerate(labels)
        for shift in rng.integers(1, classes, repeats)
    ]


class LabelModel:
    """A causal language model that answers one question about texts."""

    def __init__(
        self, checkpoint: str, question: Question, settings: LanguageModelSettings
    ) -> None:
        """Load a checkpoint from a folder or the hub.

        Raises:
            ConfigError: It cannot be loaded, or cannot give these answers.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint, dtype=torch.bfloat16 if settings.bf16 else torch.float32
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"checkpoint {checkpoint!r} cannot be loaded: {error}") from error
        self._where = device()
        self._model.to(self._where).eval()
        self._question = question
        self._settings = settings
        self.codec = LabelCodec(tokenizer, question.labels, settings.max_tokens)

    @property
    def model(self) -> nn.Module:
        """The network, adapters included."""
        return cast(nn.Module, self._model)

    def _add_adapters(self) -> None:
        torch.manual_seed(self._settings.seed)
        self._model.requires_grad_(False)
        output = self._model.get_output_embeddings()
        inject(
            self._model,
            self._settings.rank,
            self._settings.alpha,
            self._settings.dropout,
            lambda name, layer: layer is not output,
        )
        for _, layer in adapted_layers(self._model):
            layer.lora_A.to(self._where)
            layer.lora_B.to(self._where)

    def fit_answers(
        self, texts: Sequence[str], labels: Sequence[int], tell: Tell = lambda *_: None
    ) -> list[float]:
        """Supervised: new adapters, loss on the answer's tokens only; returns the losses."""
        self._add_adapters()
        prompts = [self._question.prompt(text) for text in texts]

        def loss_of(rows: Sequence[int]) -> Tensor:
            batch = self.codec.batch(
                [prompts[row] for row in rows], [labels[row] for row in rows], self._where
            )
            log_probability = answer_log_probabilities(self._model, batch)
            return -log_probability.sum() / answer_tokens(batch).sum()

        return fit(self._model, len(texts), loss_of, self._settings, tell)

    def fit_preferences(
        self, texts: Sequence[str], labels: Sequence[int], tell: Tell = lambda *_: None
    ) -> list[float]:
        """By preferences, from the model as it is; returns the losses."""
        fold_adapters(self._model)
        self._add_adapters()
        prompts = [self._question.prompt(text) for text in texts]
        classes = len(self._question.labels)
        pairs = wrong_answers(labels, classes, self._settings.pairs_a_post, self._settings.seed)

        def both(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
            chosen = [pairs[row] for row in rows]
            asked = [prompts[row] for row, _ in chosen]
            answers = [labels[row] for row, _ in chosen] + [wrong for _, wrong in chosen]
            batch = self.codec.batch(asked * 2, answers, self._where)
            right, wrong = answer_log_probabilities(self._model, batch).chunk(2)
            return right, wrong

        def loss_of(rows: Sequence[int]) -> Tensor:
            with torch.no_grad(), adapters_off(self._model):
                reference = both(rows)
            return dpo_loss(both(rows), reference, self._settings.beta)

        settings = self._settings
        longer = _with_epochs(settings, settings.dpo_epochs)
        return fit(self._model, len(pairs), loss_of, longer, tell)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the probability (N, C) of each answer about raw texts."""
        self._model.eval()
        prompts = [self._question.prompt(text) for text in texts]
        return label_probabilities(self._model, self.codec, prompts, self._where).numpy()

    def save(self, file: Path) -> None:
        """Write the adapters under PEFT's names (safetensors)."""
        save_file(adapter_state(self._model), file, metadata={"format": "pt"})

    def load(self, file: Path) -> None:
        """Add adapters and read what `save` wrote.

        Raises:
            KeyError: They were made for another model.
        """
        self._add_adapters()
        load_adapter_state(self._model, load_file(file))


def _with_epochs(settings: LanguageModelSettings, epochs: int) -> LanguageModelSettings:
    return msgspec.structs.replace(settings, epochs=epochs)


def fold_adapters(model: nn.Module) -> None:
    """Put every adapter into its base weight for good and take the wrapping off."""
    merge(model)
    for name, layer in list(adapted_layers(model)):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.base_layer)


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Return the model without what its adapters learned, in evaluation mode, for a while."""
    layers: list[tuple[LoRALinear, float]] = [
        (layer, layer.scaling) for _, layer in adapted_layers(model)
    ]
    was_training = model.training
    model.eval()
    try:
        for layer, _ in layers:
            layer.scaling = 0.0
        yield
    finally:
        for layer, scaling in layers:
            layer.scaling = scaling
        model.train(was_training)
