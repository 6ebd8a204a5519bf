"""Adapters of a decoder that answers as a person: plain LoRA and both variants of PAC-LoRA.

Shapes: `B` examples, `T` tokens, `E` experts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import ConfigError
from models.encoder.lora import adapted_layers, inject
from models.popalm.training.decoder import ReplyDecoder
from models.socialalign.pac_lora import VARIANTS, PacAdapter, PacSettings, imbalance
from models.socialalign.training.persona_prompts import PersonaBatch, PersonaExample, PersonaTokens

WEIGHTS_FILE: Final = "pac_adapter.safetensors"
CONFIG_FILE: Final = "pac_config.json"
PLAIN: Final = "plain"
SYSTEMS: Final = (PLAIN, *VARIANTS)


class VariantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an adapter on disk is.

    Attributes:
        variant: `plain`, `released` or `sequence`.
        rank: The rank of an expert, or of plain LoRA.
        alpha: The numerator of the scaling.
        experts: Experts of each kind; 1 for plain LoRA.
        first_layer: Layers below it have none.
    """

    variant: str
    rank: int = 8
    alpha: float = 16.0
    experts: int = 3
    first_layer: int = 0


class PersonaVariant:
    """A decoder with one adapter, which it gets here. Not thread-safe.

    Args:
        decoder: The decoder, without an adapter.
        config: What the adapter is.
    """

    def __init__(self, decoder: ReplyDecoder, config: VariantConfig) -> None:
        if config.variant not in SYSTEMS:
            raise ConfigError(f"variant {config.variant!r}: expected one of {', '.join(SYSTEMS)}")
        self.decoder = decoder
        self.config = config
        self.tokens = PersonaTokens(decoder)
        output = decoder.network.get_output_embeddings()

        def wants(name: str, layer: nn.Linear) -> bool:
            number = next((int(part) for part in name.split(".") if part.isdigit()), -1)
            return layer is not output and number >= config.first_layer

        self.pac: PacAdapter | None = None
        if config.variant == PLAIN:
            inject(decoder.network, config.rank, config.alpha, wants=wants)
        else:
            settings = PacSettings(
                "released" if config.variant == "released" else "sequence",
                config.experts, config.rank, config.alpha,
            )  # fmt: skip
            self.pac = PacAdapter(decoder.network, settings, wants)
            self.pac.shared.to(decoder.device)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name."""
        if self.pac is not None:
            return self.pac.parameters()
        return {
            f"{name}.{own}": one
            for name, layer in adapted_layers(self.decoder.network)
            for own, one in layer.named_parameters()
            if own.startswith("lora_")
        }

    def log_probabilities(self, batch: PersonaBatch) -> tuple[Tensor, Tensor]:
        """Return (B, T) log-probabilities of reply tokens, 0 elsewhere, and how uneven gates are.

        How uneven experts are used (`imbalance`) is 0 where there are no gates of a sequence.
        """
        uneven = torch.zeros((), device=batch.tokens.device)
        if self.pac is None:
            logits = self._logits(batch)
        elif self.config.variant == "sequence":
            gates = self.pac.gates(batch.tokens, batch.spans)
            uneven = imbalance(gates)
            with self.pac.reading(gates=gates):
                logits = self._logits(batch)
        else:
            with self.pac.reading(spans=batch.spans):
                logits = self._logits(batch)
        known = logits[:, :-1].log_softmax(-1).gather(-1, batch.tokens[:, 1:, None])[..., 0]
        said = torch.where(batch.answers[:, 1:], known, torch.zeros_like(known))
        return nn.functional.pad(said, (1, 0)), uneven

    def _logits(self, batch: PersonaBatch) -> Tensor:
        decoder = self.decoder
        with torch.autocast(decoder.device.type, torch.bfloat16, enabled=decoder.is_bf16):
            out = decoder.network(input_ids=batch.tokens, attention_mask=batch.mask.long())
        return out.logits.float()

    @torch.no_grad()
    def likelihoods(self, examples: Sequence[PersonaExample], size: int) -> list[float]:
        """Return the mean log-probability of a token of each reply, in nats."""
        found: list[float] = []
        for start in range(0, len(examples), size):
            batch = self.tokens.batch(examples[start : start + size])
            known, _uneven = self.log_probabilities(batch)
            found += (known.sum(1) / batch.answers.sum(1)).tolist()
        return found

    @torch.no_grad()
    def expert_use(
        self, examples: Sequence[PersonaExample], size: int
    ) -> Mapping[str, Mapping[str, list[float]]]:
        """Return the mean shares of the experts by topic and kind; nothing without such gates."""
        if self.pac is None or self.config.variant != "sequence":
            return {}
        sums: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for start in range(0, len(examples), size):
            some = examples[start : start + size]
            batch = self.tokens.batch(some)
            gates = self.pac.gates(batch.tokens, batch.spans)
            for one, read, written in zip(some, gates.analysing, gates.writing, strict=True):
                sums.setdefault(one.topic, []).append((read, written))
        return {
            topic: {
                "analysing": torch.stack([read for read, _ in rows]).mean(0).tolist(),
                "writing": torch.stack([written for _, written in rows]).mean(0).tolist(),
            }
            for topic, rows in sorted(sums.items())
        }

    def save(self, folder: Path) -> None:
        """Write the adapter: experts in half precision, gates as they are."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            name: (one if "_gate." in name else one.half()).detach().cpu().contiguous()
            for name, one in self.parameters().items()
        }
        save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        (folder / CONFIG_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self.config)))

    def load(self, folder: Path) -> None:
        """Take in the weights of a folder whose adapter is of this kind.

        Raises:
            ConfigError: They are not there, or of another adapter or decoder.
        """
        try:
            state: dict[str, Any] = load_file(folder / WEIGHTS_FILE)
        except OSError as error:
            raise ConfigError(f"{folder} has no adapter: {error}") from error
        own = self.parameters()
        if (found := {name: tuple(one.shape) for name, one in state.items()}) != {
            name: tuple(one.shape) for name, one in own.items()
        }:
            raise ConfigError(f"{folder}: {len(found)} tensors of another adapter or decoder")
        with torch.no_grad():
            for name, one in own.items():
                one.copy_(state[name])


def load_variant(decoder: ReplyDecoder, folder: Path) -> PersonaVariant:
    """Put the adapter of a folder into a decoder that has none.

    Raises:
        ConfigError: The folder has no adapter, or one of another decoder.
    """
    try:
        config = msgspec.json.decode((folder / CONFIG_FILE).read_bytes(), type=VariantConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{folder} has no adapter: {type(error).__name__}: {error}") from error
    variant = PersonaVariant(decoder, config)
    variant.load(folder)
    return variant
