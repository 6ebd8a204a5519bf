"""Align an adapter of SFT with what is liked: plain PPO, curriculum PPO, or DPO. Needs torch.

    python -m models.popalm.training.align --how curriculum --threads threads.jsonl \
        --start .groundswell/training/sft/adapter --out .groundswell/training/curriculum

The reward is learnt from; the held-out reward only watches. Records of steps are JSON lines, which
`python -m evaluation.responses.generation_curves` draws.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from torch import Tensor

from models.popalm.base import SMOLLM2_ID
from models.popalm.reward import REWARD_WEIGHTS
from models.popalm.training import options
from models.popalm.training.adapters import (
    as_reference,
    load_adapter,
    save_adapter,
    trained_state,
)
from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.popalm.training.dpo import (
    DpoSettings,
    Preference,
    dpo_step,
    drawn_preferences,
    pair_log_probabilities,
)
from models.popalm.training.examples import PostReplies, parted, read_threads
from models.popalm.training.loop import TrainingLoop, trained_parameters
from models.popalm.training.monitors import Score
from models.popalm.training.ppo import PpoSettings, ValueHead, ppo_step
from models.popalm.training.scores import load_score, without_copies

ADAPTER: Final = "adapter"


class How(StrEnum):
    """How an adapter is aligned."""

    PPO = "ppo"
    CURRICULUM = "curriculum"
    DPO = "dpo"


def prompts_of(
    decoder: ReplyDecoder, threads: Path, number: int, longest: int, seed: int
) -> list[PostReplies]:
    """Return so many threads to draw replies to, in a drawn order, none longer than `longest`."""
    learnt, _held = parted(read_threads(threads))
    empty = len(decoder.prompt_tokens(""))
    found: list[PostReplies] = []
    for row in np.random.default_rng(seed).permutation(len(learnt)).tolist():
        if len(decoder.prompt_tokens(learnt[row].post)) <= empty + longest:
            found.append(learnt[row])
        if len(found) == number:
            break
    return found


def train_ppo(
    decoder: ReplyDecoder, threads: Sequence[PostReplies], score: Score, held_out: Score,
    out: Path, settings: PpoSettings, limit_s: float = 0.0,
) -> TrainingLoop:  # fmt: skip
    """Train the decoder's adapter, going on where the last call stopped."""
    start = trained_state(decoder)
    torch.manual_seed(settings.seed)
    head = ValueHead(decoder.width).to(decoder.device)
    parameters = trained_parameters(decoder.network, head)
    loop = TrainingLoop(out, settings, parameters, limit_s)
    if not loop.extra:
        loop.extra = {"seen": [], "kl_weight": settings.kl_weight}
    while loop.goes_on:
        chosen = _chunk(threads, loop.step, settings.batch)
        figures = ppo_step(decoder, head, start, chosen, score, held_out, loop, settings)
        loop.finish_step(figures)
    save_adapter(decoder, out / ADAPTER)
    return loop


def train_dpo(
    decoder: ReplyDecoder, threads: Sequence[PostReplies], score: Score, out: Path,
    settings: DpoSettings, limit_s: float = 0.0,
) -> TrainingLoop:  # fmt: skip
    """Train the decoder's adapter on preferences that it draws itself, as it was at the start."""
    start = trained_state(decoder)
    loop = TrainingLoop(out, settings, trained_parameters(decoder.network), limit_s)
    while loop.goes_on:
        chosen = _chunk(threads, loop.step, settings.batch)
        pairs, reference = _judged(decoder, start, chosen, score, loop, settings)
        figures = {"pairs": float(len(pairs))}
        if pairs:
            figures |= dpo_step(decoder, pairs, reference, loop, settings)
        loop.finish_step(figures)
    save_adapter(decoder, out / ADAPTER)
    return loop


def _judged(
    decoder: ReplyDecoder, start: Mapping[str, Tensor], threads: Sequence[PostReplies],
    score: Score, loop: TrainingLoop, settings: DpoSettings,
) -> tuple[list[Preference], tuple[Tensor, Tensor]]:  # fmt: skip
    """Return the starting adapter's preferences of a step, and what it says of them."""
    with as_reference(decoder, start):
        pairs = drawn_preferences(decoder, threads, score, loop.generator(), settings)
        if not pairs:
            return pairs, (torch.zeros(0), torch.zeros(0))
        better, worse, _replies = pair_log_probabilities(decoder, pairs)
    return pairs, (better, worse)


def _chunk(threads: Sequence[PostReplies], step: int, size: int) -> list[PostReplies]:
    """Return the threads of a step; a small set is gone over again."""
    return [threads[row % len(threads)] for row in range(step * size, (step + 1) * size)]


def main(
    how: Annotated[How, typer.Option(help="What is done.")],
    threads: options.Threads,
    start: Annotated[Path, typer.Option(help="The adapter to begin from.")],
    out: Annotated[Path, typer.Option(help="State, records and the adapter.")],
    decoder: options.Decoder = None,
    base: options.Base = SMOLLM2_ID,
    reward: Annotated[Path, typer.Option(help="Folder of the reward.")] = REWARD_WEIGHTS / "en",
    held_out: Annotated[Path, typer.Option(help="Folder of the reward that watches.")] = (
        REWARD_WEIGHTS / "en-heldout"
    ),
    steps: options.Steps = 100,
    batch: options.Batch = 8,
    post_tokens: options.PostTokens = 96,
    learning_rate: options.LearningRate = 3e-4,
    seed: options.Seed = 20171,
    minutes: options.Minutes = 0.0,
    device: options.Device = "cpu",
    bf16: options.Bf16 = False,
    cpu_threads: options.CpuThreads = 2,
) -> None:
    """Align an adapter with a reward; run again to go on after a stop."""
    torch.set_num_threads(cpu_threads)
    loaded = load_decoder(decoder, base, is_bf16=bf16)
    load_adapter(loaded, start)
    loaded.network.to(device)
    chosen = prompts_of(loaded, threads, steps * batch, post_tokens, seed)
    common: dict[str, Any] = {"steps": steps, "batch": batch, "learning_rate": learning_rate,
                              "seed": seed}  # fmt: skip
    score = without_copies(load_score(reward))
    if how is How.DPO:
        loop = train_dpo(loaded, chosen, score, out, DpoSettings(**common), minutes * 60)
    else:
        settings = PpoSettings(**common, is_curriculum=how is How.CURRICULUM)
        watching = load_score(held_out)
        loop = train_ppo(loaded, chosen, score, watching, out, settings, minutes * 60)
    record = {"how": how, "steps": loop.step, "spent_s": round(loop.spent_s, 1),
              "settings": msgspec.to_builtins(loop.settings)}  # fmt: skip
    (out / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    typer.echo(json.dumps(record))


if __name__ == "__main__":
    typer.run(main)
