"""Fit the weights of the crowd model that ships.

    .venv-server/bin/python -m evaluation.crowds.fitting --data DIR --out models/weights/crowd

Reactions and tone are fitted on FanChuan without its official test, as by
`evaluation.crowds.reactions`; the forecast by heads on the events of FanChuan, RumourEval and
Reddit, as by `evaluation.crowds.before_answers`. No text is kept: what signs say is weights of
hashed runs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from safetensors.numpy import save

from evaluation.crowds.before_answers import HeadedEvent, encoder_heads, fit_on, headed_events
from evaluation.crowds.events import CROWDS, SENTIMENTS
from evaluation.crowds.reactions import (
    GivenAnswer,
    labels_of,
    learnable,
    read_fanchuan,
)
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import SEED
from evaluation.options import BUILT, DataFolder, Repository
from evaluation.responses.threads import FOLDER
from models.serving.crowd import Tensors
from models.socialalign.crowd_config import (
    CROWD_TENSORS,
    CrowdConfig,
    save_crowd_config,
)
from models.socialalign.reaction import fit_reactions
from models.socialalign.tone import fit_tone

_TRAINING: Final = "training.json"


def reaction_tensors(known: list[GivenAnswer]) -> Tensors:
    """Return what says how a person reacts, fitted on labelled answers."""
    labels = labels_of(known)
    model = fit_reactions(learnable(known), labels, len(SENTIMENTS))
    tone = fit_tone([one.text for one in known], labels, len(SENTIMENTS))
    return {
        "reaction.mean": _single(model.mean), "reaction.scale": _single(model.scale),
        "reaction.weights": _single(model.weights),
        "tone.rarity": tone.rarity.astype(np.float16),
        "tone.weights": tone.weights.astype(np.float16),
    }  # fmt: skip


def heads_tensors(events: list[HeadedEvent]) -> tuple[Tensors, float]:
    """Return what makes a forecast of heads, fitted on all events, and the chosen penalty."""
    rng = np.random.default_rng(SEED)
    model, penalty = fit_on(events, np.arange(len(events)), rng)
    tensors: Tensors = {
        "heads.mean": _single(model.mean), "heads.scale": _single(model.scale),
        "heads.weights": _single(model.weights),
    }  # fmt: skip
    return tensors, penalty


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)


def main(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="The folder of weights to be filled.")],
    repository: Repository = BUILT,
) -> None:
    """Fit the crowd model and write its weights."""
    with refusing():
        known, _test = read_fanchuan(data / f"{FOLDER}fanchuan")
        events = headed_events(data, encoder_heads(repository))
        tensors, penalty = heads_tensors(events)
        tensors |= reaction_tensors(known)
        content = save(tensors)
        version = f"crowd-1+{hashlib.sha256(content).hexdigest()[:12]}"
        out.mkdir(parents=True, exist_ok=True)
        (out / CROWD_TENSORS).write_bytes(content)
        save_crowd_config(CrowdConfig(version=version), out)
        record: dict[str, Any] = {
            "version": version, "answers": len(known), "events": len(events), "penalty": penalty,
            "seed": SEED, "data": _digests(data),
        }  # fmt: skip
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        (out / _TRAINING).write_bytes(text + b"\n")
    typer.echo(f"{out}: {version}, {len(content):,} bytes")


def _digests(data: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that is read, by its place."""
    files = [CROWDS[name].file for name in ("fanchuan", "rumoureval", "reddit")]
    return {file: hashlib.sha256((data / file).read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    typer.run(main)
