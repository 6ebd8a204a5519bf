"""Judge what is expected of crowds, before the first answer and as answers arrive.

python -m evaluation.crowds --data ../shared/data --sets fanchuan,stance --json crowds.json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from core.errors import ConfigError
from core.report import write_report
from evaluation.crowds.events import CROWDS, LabelsOf, load_crowds
from evaluation.crowds.judging import FOLDS, SEEDS, JudgedCrowds, judge_crowds
from evaluation.crowds.likelihoods import (
    judge_likelihoods,
    print_likelihoods,
    read_likelihoods,
)
from evaluation.crowds.reactions import judge_reactions
from evaluation.crowds.stance import judge_stances
from evaluation.crowds.tables import flat_figures, print_crowds, print_reactions, print_stances
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured
from evaluation.options import BUILT, DataFolder, JsonFile, Repository, Resamples
from evaluation.responses.threads import FOLDER
from models.serving.place import FIRST_VERSION, built_model

PACKAGES: Final = ("numpy", "openvino", "scikit-learn")
_BATCH: Final = 1_024
PRINTED: Final = {"fanchuan": print_reactions, "stance": print_stances}
"""What shows the measures of single answers, by set."""
Likelihoods = Annotated[
    Path | None, typer.Option(help="Folder that models.socialalign.training.pac left.")
]


def chosen_crowds(data: Path, sets: str) -> list[str]:
    """Return the sets that are named, comma-separated; all that are there for none.

    Raises:
        ConfigError: One is not there, or there is none at all.
    """
    present = [name for name, kind in CROWDS.items() if (data / kind.file).is_file()]
    if not present:
        expected = ", ".join(dict.fromkeys(kind.file for kind in CROWDS.values()))
        raise ConfigError(f"{data} has none of {expected}")
    named = [name.strip() for name in sets.split(",") if name.strip()] or present
    if missing := [name for name in named if name not in present]:
        raise ConfigError(f"{data} has no set {', '.join(missing)}; it has {', '.join(present)}")
    return list(dict.fromkeys(named))


def sentiment_labels(repository: Path) -> LabelsOf:
    """Return what labels texts by the sentiment head of the built post encoder.

    Raises:
        ConfigError: It was not built, or openvino is not installed here.
    """
    from models.serving.post_encoder import open_service

    service = open_service(built_model(repository, "post_encoder", FIRST_VERSION))

    def labels_of(texts: Sequence[str]) -> Sequence[int]:
        found: list[int] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            scored = service.score(batch, [""] * len(batch))
            most = scored.heads["sentiment"].argmax(axis=1)
            found += np.where(scored.rated, most, -1).tolist()
        return found

    return labels_of


def judge_single(
    data: Path, sets: Collection[str], resamples: int
) -> dict[str, Mapping[str, Measured]]:
    """Return measures of single persons' answers, by set, of the sets that have any."""
    found: dict[str, Mapping[str, Measured]] = {}
    if "fanchuan" in sets:
        found["fanchuan"] = judge_reactions(data / f"{FOLDER}fanchuan", resamples)
    if "stance" in sets:
        found["stance"] = judge_stances(data / f"{FOLDER}rumoureval", resamples)
    return found


def main(
    data: DataFolder,
    sets: Annotated[str, typer.Option(help="Comma-separated; else all that are there.")] = "",
    repository: Repository = BUILT,
    likelihoods: Likelihoods = None,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Judge the forecast of a crowd, what is counted, and the posterior of both."""
    found: list[JudgedCrowds] = []
    with refusing():
        for name in chosen_crowds(data, sets):
            started = time.monotonic()
            labels_of = sentiment_labels(repository) if CROWDS[name].is_scored else None
            found.append(judge_crowds(load_crowds(data, name, labels_of), resamples))
            sys.stderr.write(f"{name}: took {time.monotonic() - started:.0f} s\n")
        said = read_likelihoods(likelihoods) if likelihoods is not None else {}
        others = judge_single(data, {one.crowds.name for one in found}, resamples)
    print_crowds(found)
    for name, measures in others.items():
        PRINTED[name](measures)
    if said:
        others["pac_lora"] = judge_likelihoods(said, resamples)
        print_likelihoods(said, others["pac_lora"])
    if json_file is not None:
        settings = {
            "sets": [one.crowds.name for one in found], "seeds": list(SEEDS), "folds": FOLDS,
            "bootstrap_resamples": resamples,
        }  # fmt: skip
        figures = flat_figures(found, others)
        write_report(
            json_file, "models evaluate", figures, settings=settings, packages=PACKAGES, seed=SEED
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
