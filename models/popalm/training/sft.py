"""Supervised fine-tuning: adapters learn to reply as people did. Needs torch.

The loss is the cross-entropy of the reply's tokens, its end with them, and of nothing else.

    python -m evaluation.responses.training_threads --data ../shared/data --out threads.jsonl
    python -m models.popalm.training.sft --threads threads.jsonl --out .groundswell/training/sft
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from torch import Tensor

from models.popalm.base import SMOLLM2_ID
from models.popalm.prompt import MAX_POST_TOKENS
from models.popalm.training import options
from models.popalm.training.adapters import adapt, save_adapter
from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.popalm.training.examples import Example, by_length, parted, read_threads, whole_examples
from models.popalm.training.loop import LoopSettings, TrainingLoop, trained_parameters

ADAPTER: Final = "adapter"
_VALIDATED: Final = 64


class SftSettings(LoopSettings, frozen=True, kw_only=True):
    """Settings of supervised fine-tuning.

    Attributes:
        rank: The rank of the adapters.
        alpha: Their scaling numerator.
        first_layer: Layers below it get none, and cost no gradient.
        post_tokens: Posts of more tokens are not learnt from.
        validate_every: Steps from one validation to the next.
    """

    rank: int = 8
    alpha: float = 16.0
    first_layer: int = 0
    post_tokens: int = MAX_POST_TOKENS
    validate_every: int = 25


def reply_loss(decoder: ReplyDecoder, batch: Sequence[Example]) -> tuple[Tensor, int]:
    """Return the summed cross-entropy, in nats, of the replies of a batch, and their tokens."""
    replies = decoder.padded([one.reply for one in batch])
    known, _hidden = decoder.outputs([one.prompt for one in batch], replies)
    return -(known * replies.mask).sum(), int(replies.mask.sum())


@torch.no_grad()
def mean_loss(decoder: ReplyDecoder, examples: Sequence[Example], batch: int) -> float:
    """Return nats a reply token over examples."""
    parts = [
        reply_loss(decoder, examples[start : start + batch])
        for start in range(0, len(examples), batch)
    ]
    return float(sum(float(loss) for loss, _ in parts) / sum(many for _, many in parts))


def train_sft(
    decoder: ReplyDecoder, threads: Path, out: Path, settings: SftSettings, limit_s: float = 0.0
) -> dict[str, Any]:
    """Train an adapter, going on where the last call stopped; return its record.

    The adapter in `out / "adapter"` is that of the lowest validation loss.
    """
    learnt, held = parted(read_threads(threads))
    number = settings.steps * settings.batch
    longest, seed = settings.post_tokens, settings.seed
    examples = whole_examples(decoder, learnt, number, seed, longest)
    examples = by_length(examples, settings.batch, seed)
    judged = by_length(whole_examples(decoder, held, _VALIDATED, seed, longest), _VALIDATED, seed)
    torch.manual_seed(settings.seed)
    adapt(decoder, settings.rank, settings.alpha, settings.first_layer)
    loop = TrainingLoop(out, settings, trained_parameters(decoder.network), limit_s)
    if not loop.extra:
        loop.extra = {"best": mean_loss(decoder, judged, settings.batch)}
        loop.extra["untrained"] = loop.extra["best"]
        save_adapter(decoder, out / ADAPTER)
    while loop.goes_on:
        chosen = _batch(examples, loop.step, settings.batch)
        loss, tokens = reply_loss(decoder, chosen)
        figures = {"loss": float(loss.detach()) / tokens}
        figures["gradient"] = loop.descend(loss / tokens)
        last = loop.step + 1
        if last % settings.validate_every == 0 or last == settings.steps:
            figures["validation"] = mean_loss(decoder, judged, settings.batch)
            if figures["validation"] < loop.extra["best"]:
                loop.extra["best"] = figures["validation"]
                save_adapter(decoder, out / ADAPTER)
        loop.finish_step(figures)
    return _record(loop, len(examples), len(judged))


def _batch(examples: Sequence[Example], step: int, size: int) -> list[Example]:
    """Return the examples of a step; a small set is gone over again."""
    return [examples[row % len(examples)] for row in range(step * size, (step + 1) * size)]


def _record(loop: TrainingLoop, examples: int, judged: int) -> dict[str, Any]:
    record = {
        "steps": loop.step, "examples": examples, "validated": judged,
        "untrained_nats": loop.extra["untrained"], "best_nats": loop.extra["best"],
        "spent_s": round(loop.spent_s, 1),
    }  # fmt: skip
    (loop.out / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def main(
    threads: options.Threads,
    out: Annotated[Path, typer.Option(help="State, records and the adapter.")],
    decoder: options.Decoder = None,
    base: options.Base = SMOLLM2_ID,
    steps: options.Steps = 300,
    batch: options.Batch = 16,
    first_layer: options.FirstLayer = 0,
    post_tokens: options.PostTokens = 96,
    learning_rate: options.LearningRate = 1e-3,
    seed: options.Seed = 20171,
    validate_every: Annotated[int, typer.Option(min=1)] = 25,
    minutes: options.Minutes = 0.0,
    device: options.Device = "cpu",
    bf16: options.Bf16 = False,
    cpu_threads: options.CpuThreads = 2,
) -> None:
    """Train an adapter on real replies; run again to go on after a stop."""
    torch.set_num_threads(cpu_threads)
    loaded = load_decoder(decoder, base, is_bf16=bf16)
    loaded.network.to(device)
    settings = SftSettings(
        steps=steps,
        batch=batch,
        first_layer=first_layer,
        post_tokens=post_tokens,
        learning_rate=learning_rate,
        seed=seed,
        validate_every=validate_every,
    )
    record = train_sft(loaded, threads, out, settings, minutes * 60)
    typer.echo(json.dumps(record))


if __name__ == "__main__":
    typer.run(main)
