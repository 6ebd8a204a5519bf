"""Fit the corrections that ship, and measure shares of windows with and without them. No torch.

python -m evaluation.shares --data ../shared/data --fit --json shares.json --out page
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from core.errors import ConfigError
from core.heads import HEADS
from core.quantification import CORRECTIONS_FILE, Correction, Corrections, load_corrections
from core.report import write_report
from evaluation.drawing import check_can_draw
from evaluation.encoder.__main__ import (
    PACKAGES,
    cuts,
    figures_of,
    print_all,
    refusing,
    write_all,
)
from evaluation.encoder.scoring import Score, open_scorer, score_all
from evaluation.encoder.tables import Evaluation
from evaluation.options import (
    BUILT,
    DataFolder,
    JsonFile,
    OutFolder,
    Repository,
    ScorerKind,
    TritonUrl,
)
from evaluation.shares.estimators import methods
from evaluation.shares.fit import (
    LEAST_HELD_OUT,
    blocks_of,
    choose_ridge,
    fit_correction,
    one_hot,
    refit_on_site,
)
from evaluation.shares.heldout import SOURCES, scored, targets_of
from evaluation.shares.tables import SAMPLE, Held, evaluation_of
from evaluation.shares.windows import (
    REPEATS,
    SEED,
    SIZES,
    Errors,
    Labelled,
    Target,
    join,
    measure,
)

HALF: Final = 0.5
SITE_DRAWS: Final = 3
SITE_REPEATS: Final = 4
PROMISED: Final = (("sentiment", "negative"), ("participation", "participating"))
"""Where the error of counting labels must at least be halved."""
_INTRODUCTION: Final = """# Shares of classes in a window

Model {version}. Windows of {sizes} posts were drawn from the official tests at every share from 5 %
to 95 % of one class, {repeats} of each; the figures are mean absolute errors of that class's share.
Corrections were fitted on held-out posts, none of them in a test (seed {seed}).
"""


def fit_head(head: str, known: Labelled, fitted_on: str) -> Correction:
    """Return the correction of a head, from its held-out posts."""
    labels = HEADS[head]
    blocks = blocks_of(known.truth, len(labels))
    ridge = choose_ridge(known, labels, blocks)
    return fit_correction(known.probabilities, known.truth, labels, blocks, ridge, fitted_on)


def compare(held: Held, soft: Correction, repeats: int = REPEATS) -> dict[Target, Errors]:
    """Return the errors of every method, for every class that can be swept."""
    hard = fit_correction(
        one_hot(held.known.labels, len(soft.labels)),
        held.known.truth,
        soft.labels,
        soft.blocks,
        soft.ridge,
    )
    ways = methods(soft, hard)
    return {
        target: measure(held.test, target, ways, SIZES, repeats)
        for target in targets_of(held.head, held.test.truth)
    }


def compare_on_site(
    held: Held, soft: Correction, sample: int = SAMPLE, repeats: int = SITE_REPEATS
) -> dict[Target, Errors]:
    """Return the errors of the correction refitted with some test posts, measured on the others.

    What a deployment can have: `sample` posts of its own, drawn at random and labelled. Averaged
    over `SITE_DRAWS` such samples.
    """
    parts: dict[Target, list[Errors]] = {}
    for number in range(SITE_DRAWS):
        order = np.random.default_rng((SEED, number)).permutation(len(held.test))
        local, rest = held.test.select(order[:sample]), held.test.select(order[sample:])
        refitted = refit_on_site(soft, local)
        ways = methods(refitted, refitted)
        ways = {"local": ways["pacc"], "cc": ways["cc"]}
        for target in targets_of(held.head, held.test.truth):
            found = measure(rest, target, ways, SIZES, repeats, SEED + number)
            parts.setdefault(target, []).append(found)
    return {target: join(found) for target, found in parts.items()}


def score_heads(score: Score, data: Path, cut: float) -> list[Held]:
    """Return the held-out and test posts of every head that the model has."""
    found: list[Held] = []
    for head, source in SOURCES.items():
        known = scored(score, source.held_out(data), head, cut)
        test = scored(score, source.test(data), head, cut) if known is not None else None
        if known is None or test is None:
            sys.stderr.write(f"{head}: this model has no such head yet, passed over\n")
        else:
            found.append(Held(head, known, test))
    return found


def fit_all(heads: Sequence[Held], weights_version: str) -> Corrections:
    """Return the corrections of all heads that have held-out posts enough."""
    fitted = {
        held.head: fit_head(held.head, held.known, SOURCES[held.head].held_out_name)
        for held in heads
        if len(held.known) >= LEAST_HELD_OUT
    }
    return Corrections(model_version=weights_version, heads=fitted)


def save_corrections(corrections: Corrections, file: Path) -> None:
    """Write `quantification.json`, readable."""
    text = msgspec.json.format(msgspec.json.encode(corrections), indent=2)
    file.write_bytes(text + b"\n")


def main(
    data: DataFolder,
    json_file: JsonFile = None,
    out: OutFolder = None,
    scorer: ScorerKind = "openvino",
    url: TritonUrl = "127.0.0.1:8001",
    repository: Repository = BUILT,
    weights: Annotated[Path | None, typer.Option(help="Folder of the corrections.")] = None,
    fit: Annotated[bool, typer.Option(help="Fit and write the corrections first.")] = False,
) -> None:
    """Measure shares of windows with and without the correction that ships."""
    from models.build import WEIGHTS
    from models.encoder.config import load_config

    folder = weights or WEIGHTS
    with refusing():
        if out is not None:
            check_can_draw()
        score = open_scorer(scorer, repository, url)
        version = score_all(score, ["Good morning, all of you"]).model_version
        config = load_config(folder)
        heads = score_heads(score, data, cuts(config).get("participation", HALF))
        if fit:
            save_corrections(fit_all(heads, config.version), folder / CORRECTIONS_FILE)
        corrections = load_corrections(folder / CORRECTIONS_FILE)
        evaluations = [_evaluate(held, corrections, version) for held in heads]
    print_all(evaluations)
    if out is not None:
        sizes = ", ".join(f"{size:,}" for size in SIZES)
        facts = {"version": version, "repeats": REPEATS, "seed": SEED, "sizes": sizes}
        write_all(evaluations, out, _INTRODUCTION.format(**facts), "shares")
    if json_file is not None:
        _write(json_file, evaluations, version, scorer)
    _expect_halved(figures_of(evaluations))


def _expect_halved(figures: Mapping[str, float]) -> None:
    """Exit with status 1 where counting labels does at least half as well as promised."""
    missed = [
        f"{head} {target}"
        for head, target in PROMISED
        if figures.get(f"{head}_{target}_ratio", 0.0) > HALF
    ]
    if missed:
        sys.stderr.write(f"not halved: {', '.join(missed)}\n")
        raise typer.Exit(1)


def _write(file: Path, evaluations: Sequence[Evaluation], version: str, scorer: str) -> None:
    settings = {
        "heads": [one.head for one in evaluations],
        "model_version": version,
        "sizes": list(SIZES),
        "repeats": REPEATS,
        "site_sample": SAMPLE,
        "site_draws": SITE_DRAWS,
        "scorer": scorer,
    }
    write_report(
        file, "models quantify-eval", figures_of(evaluations),
        settings=settings, packages=PACKAGES, seed=SEED,
    )  # fmt: skip


def _evaluate(held: Held, corrections: Corrections, version: str) -> Evaluation:
    soft = corrections.head(held.head, version)
    is_shipped = soft is not None
    if held.head not in corrections.heads:
        soft = fit_head(held.head, held.known, SOURCES[held.head].held_out_name)
    if soft is None:
        raise ConfigError(
            f"there is no correction of {held.head} for {version}, only for "
            f"{corrections.model_version}: fit it with `groundswell models quantify-eval --fit`"
        )
    errors, on_site = compare(held, soft), compare_on_site(held, soft)
    return evaluation_of(held, soft, errors, on_site, is_shipped)


if __name__ == "__main__":
    typer.run(main)
