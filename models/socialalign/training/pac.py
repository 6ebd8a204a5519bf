"""Train PAC-LoRA, or plain LoRA of as many weights, to reply as a person would. Needs torch.

    python -m evaluation.crowds.persona_replies --data ../shared/data --out persons.jsonl
    python -m models.socialalign.training.pac --variant sequence --replies persons.jsonl \
        --out .groundswell/training/pac --seed 1

What an adapter says of held-out replies, with their author's own person and with another's, goes to
`likelihoods/VARIANT-SEED.json`, for whoever judges it without torch.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from torch import Tensor, nn

from models.encoder.lora import inject
from models.popalm.base import SMOLLM2_ID
from models.popalm.training import options
from models.popalm.training.adapters import wanted_layers
from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.popalm.training.examples import LEAST_REPLY_TOKENS, by_length
from models.popalm.training.loop import LoopSettings, TrainingLoop
from models.socialalign.pac_lora import PacAdapter, PacSettings, Variant, equal_rank, imbalance
from models.socialalign.persona_reply import JUDGE, LEARN, PersonReply, read_person_replies
from models.socialalign.training.examples import (
    PersonBatch,
    PersonExample,
    batch_of,
    person_example,
    reply_log_probabilities,
    swapped,
)

app: Final = typer.Typer(add_completion=False)
LIKELIHOODS: Final = "likelihoods"
_ALPHA: Final = 16.0


class Adaptation(StrEnum):
    """What is trained."""

    PLAIN = "plain"
    RELEASED = "released"
    SEQUENCE = "sequence"


class PacTrainingSettings(LoopSettings, frozen=True, kw_only=True):
    """Settings of a training.

    Attributes:
        variant: What is trained.
        rank: The rank of one expert.
        first_layer: Layers below it get no adapter.
        balance: The weight of uneven use of experts in the loss; `sequence` alone.
    """

    variant: str = Adaptation.SEQUENCE
    rank: int = 8
    first_layer: int = 20
    balance: float = 0.01


class Adapted:
    """A decoder with an adapter of any variant: what is trained, and how it is read.

    Args:
        decoder: A decoder without adapters.
        settings: Its variant, rank and first layer.
    """

    def __init__(self, decoder: ReplyDecoder, settings: PacTrainingSettings) -> None:
        self.decoder = decoder
        self.pac: PacAdapter | None = None
        torch.manual_seed(settings.seed)
        wants = wanted_layers(decoder, settings.first_layer)
        if settings.variant == Adaptation.PLAIN:
            modules = decoder.network.named_modules()
            layers = [
                one for name, one in modules if isinstance(one, nn.Linear) and wants(name, one)
            ]
            rank = equal_rank(layers, _pac_settings(settings, "sequence"), decoder.width)
            inject(decoder.network, rank, _ALPHA * rank / settings.rank, wants=wants)
            named = decoder.network.named_parameters()
            self.parameters = {name: one for name, one in named if one.requires_grad}
        else:
            variant: Variant = "released" if settings.variant == "released" else "sequence"
            self.pac = PacAdapter(decoder.network, _pac_settings(settings, variant), wants)
            self.parameters = self.pac.parameters()

    @property
    def weights(self) -> int:
        """How many numbers are trained."""
        return sum(one.numel() for one in self.parameters.values())

    @contextmanager
    def _reading(self, batch: PersonBatch) -> Iterator[Tensor | None]:
        """Let the decoder read a batch; give how unevenly experts are used, where that counts."""
        if self.pac is None:
            yield None
        elif self.pac.settings.variant == "released":
            with self.pac.reading(spans=batch.spans):
                yield None
        else:
            gates = self.pac.gates(batch.tokens, batch.spans)
            with self.pac.reading(gates=gates):
                yield imbalance(gates)

    def loss(self, examples: Sequence[PersonExample], balance: float) -> tuple[Tensor, float]:
        """Return the loss of a batch, and its nats a token."""
        batch = batch_of(self.decoder, examples)
        with self._reading(batch) as uneven:
            known = reply_log_probabilities(self.decoder, batch)
        nats = -known.sum() / batch.replies.sum()
        return nats if uneven is None else nats + balance * uneven, float(nats.detach())

    @torch.no_grad()
    def log_likelihoods(self, examples: Sequence[PersonExample], size: int) -> list[float]:
        """Return the log-likelihood in nats of each reply, in the order of the examples."""
        order = sorted(range(len(examples)), key=lambda row: len(examples[row].prompt))
        found = np.zeros(len(examples))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = batch_of(self.decoder, [examples[row] for row in rows])
            with self._reading(batch):
                found[rows] = reply_log_probabilities(self.decoder, batch).sum(1).cpu().numpy()
        return found.round(6).tolist()

    @torch.no_grad()
    def expert_use(
        self, examples: Sequence[PersonExample], topics: Sequence[str]
    ) -> dict[str, dict[str, list[float]]]:
        """Return the mean shares of experts by topic; nothing for adapters without one gate."""
        if self.pac is None or self.pac.settings.variant == "released":
            return {}
        found: dict[str, dict[str, list[float]]] = {}
        for topic in sorted(set(topics)):
            own = [one for one, of in zip(examples, topics, strict=True) if of == topic]
            batch = batch_of(self.decoder, own)
            gates = self.pac.gates(batch.tokens, batch.spans)
            shares = {"analysing": gates.analysing, "writing": gates.writing}
            found[topic] = {
                name: [round(value, 4) for value in share.mean(0).tolist()]
                for name, share in shares.items()
            }
        return found


def _pac_settings(settings: PacTrainingSettings, variant: Variant) -> PacSettings:
    return PacSettings(variant, rank=settings.rank, alpha=_ALPHA)


def train_pac(
    decoder: ReplyDecoder, learnt: Sequence[PersonReply], out: Path,
    settings: PacTrainingSettings, limit_s: float = 0.0,
) -> tuple[Adapted, TrainingLoop]:  # fmt: skip
    """Train an adapter, going on where the last call stopped."""
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(learnt)).tolist()
    examples = [
        one
        for one in (person_example(decoder, learnt[row]) for row in order)
        if one.reply[-1] == decoder.stop and len(one.reply) >= LEAST_REPLY_TOKENS
    ]
    examples = by_length(examples, settings.batch, settings.seed)
    adapted = Adapted(decoder, settings)
    loop = TrainingLoop(out, settings, adapted.parameters, limit_s)
    while loop.goes_on:
        first = loop.step * settings.batch
        chosen = [examples[row % len(examples)] for row in range(first, first + settings.batch)]
        loss, nats = adapted.loss(chosen, settings.balance)
        loop.finish_step({"gradient": loop.descend(loss), "loss": nats})
    return adapted, loop


def judge_pac(
    adapted: Adapted, judged: Sequence[PersonReply], size: int, seed: int
) -> Mapping[str, Any]:
    """Return what an adapter says of held-out replies, by their author and by another person."""
    own = [person_example(adapted.decoder, one) for one in judged]
    others = [person_example(adapted.decoder, one) for one in swapped(judged, seed)]
    started = time.monotonic()
    found: dict[str, Any] = {"own": adapted.log_likelihoods(own, size)}
    found["judging_s"] = round(time.monotonic() - started, 1)
    found["swapped"] = adapted.log_likelihoods(others, size)
    found["tokens"] = [len(one.reply) for one in own]
    found["experts"] = adapted.expert_use(own, [one.topic for one in judged])
    return found


def chosen_judged(replies: Sequence[PersonReply], number: int) -> list[PersonReply]:
    """Return so many replies to judge, the same for every adapter and seed."""
    judged = [one for one in replies if one.part == JUDGE]
    order = np.random.default_rng(0).permutation(len(judged))[:number]
    return [judged[row] for row in sorted(order.tolist())]


def write_likelihoods(
    file: Path, adapted: Adapted, loop: TrainingLoop, found: Mapping[str, Any]
) -> Path:
    """Write what an adapter says of replies, with what it is and what its training took."""
    own = msgspec.to_builtins(loop.settings)
    head = {name: own[name] for name in ("variant", "seed", "steps", "batch", "rank")}
    head |= {
        "decoder": adapted.decoder.identity,
        "weights": adapted.weights,
        "spent_s": round(loop.spent_s, 1),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(head | dict(found)) + "\n")
    return file


@app.command()
def main(
    variant: Annotated[Adaptation, typer.Option(help="What is trained.")],
    replies: Annotated[Path, typer.Option(help="File of persons' replies.")],
    out: Annotated[
        Path, typer.Option(help="States, records and what is said of held-out replies.")
    ],
    decoder: options.Decoder = None,
    base: options.Base = SMOLLM2_ID,
    steps: options.Steps = 100,
    batch: options.Batch = 16,
    rank: Annotated[int, typer.Option(min=1, help="Of one expert.")] = 8,
    first_layer: options.FirstLayer = 20,
    learning_rate: options.LearningRate = 1e-3,
    seed: options.Seed = 1,
    judged: Annotated[int, typer.Option(min=2, help="Held-out replies at most.")] = 400,
    minutes: options.Minutes = 0.0,
    device: options.Device = "cpu",
    bf16: options.Bf16 = False,
    cpu_threads: options.CpuThreads = 2,
) -> None:
    """Train one adapter and judge it on held-out replies; run again to go on after a stop."""
    torch.set_num_threads(cpu_threads)
    loaded = load_decoder(decoder, base, is_bf16=bf16)
    loaded.network.to(device)
    settings = PacTrainingSettings(
        variant=variant.value, steps=steps, batch=batch, rank=rank, first_layer=first_layer,
        learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    rows = read_person_replies(replies)
    name = f"{variant.value}-{seed}"
    learnt = [one for one in rows if one.part == LEARN]
    adapted, loop = train_pac(loaded, learnt, out / name, settings, minutes * 60)
    if loop.step < settings.steps:
        typer.echo(f"{name}: stopped after step {loop.step}; run again to go on")
        raise typer.Exit(3)
    found = judge_pac(adapted, chosen_judged(rows, judged), batch, 0)
    file = write_likelihoods(out / LIKELIHOODS / f"{name}.json", adapted, loop, found)
    typer.echo(f"{file}: {sum(found['own']) / sum(found['tokens']):.4f} nats a token")


if __name__ == "__main__":
    app()
