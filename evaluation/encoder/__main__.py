"""Measure the built model on the official tests, beside floors and published figures. No torch.

python -m evaluation.encoder all --data ../shared/data --out evaluation --json evaluation.json
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigError, GroundswellError
from core.heads import INDEPENDENT
from core.registry import Registry
from core.report import write_report
from evaluation.drawing import check_can_draw
from evaluation.encoder.bootstrap import RESAMPLES, SEED
from evaluation.encoder.context import Context, HeadMissing
from evaluation.encoder.decisions import EVEN
from evaluation.encoder.scoring import Score, open_scorer
from evaluation.encoder.tables import Evaluation, markdown, print_section
from evaluation.options import (
    BUILT,
    DataFolder,
    JsonFile,
    OutFolder,
    Repository,
    Resamples,
    ScorerKind,
    TritonUrl,
)
from models.encoder.config import EncoderConfig, load_config
from models.encoder.heads import HEADS, training_of
from models.serving.place import built_model

EVALUATIONS = Registry("evaluation of head")
for _name in sorted(HEADS.names(), key=INDEPENDENT.__contains__):  # one answer a post first
    if (_test := training_of(_name).test) is not None:
        EVALUATIONS.add(_name, _test.evaluation)
PACKAGES: Final = ("openvino", "nncf", "numpy", "tokenizers", "scikit-learn", "tritonclient")
_INTRODUCTION: Final = """# What the post encoder is worth

Model {version}, through {scorer}. Official test splits, whole; 95 % bootstrap intervals over posts
({resamples:,} resamples, seed {seed}). Nothing was chosen on a test.
"""


def chosen_heads(head: str) -> list[str]:
    """Return the heads that a word on the command line names.

    Raises:
        ConfigError: It names none.
    """
    if head == "all":
        return list(EVALUATIONS.names())
    if head not in EVALUATIONS.names():
        raise ConfigError(
            f"there is no evaluation of {head!r}; expected {', '.join(EVALUATIONS.names())} or all"
        )
    return [head]


def evaluate_all(
    heads: Sequence[str], context: Context, say: Callable[[str], object]
) -> list[Evaluation]:
    """Evaluate head by head; one that the model does not have is said and passed over."""
    found: list[Evaluation] = []
    for head in heads:
        try:
            found.append(EVALUATIONS.get(head)(head, context))
        except HeadMissing:
            say(f"{head}: this model has no such head yet, so there is nothing to measure\n")
    return found


def write_all(
    evaluations: Sequence[Evaluation], folder: Path, introduction: str, name: str = "evaluation"
) -> None:
    """Write the page and its plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown(evaluations, introduction), encoding="utf-8")
    for evaluation in evaluations:
        for file, picture in evaluation.plots.items():
            picture.write(folder / file)


def print_all(evaluations: Sequence[Evaluation]) -> None:
    """Print every table."""
    for evaluation in evaluations:
        for section in evaluation.sections:
            print_section(section)


def figures_of(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the figures of all heads, by name."""
    return {name: value for one in evaluations for name, value in one.figures().items()}


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of ours into a line on standard error and the exit status of wrong use."""
    try:
        yield
    except GroundswellError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error


def main(
    head: Annotated[str, typer.Argument(help="The name of a head, or all.")],
    data: DataFolder,
    json_file: JsonFile = None,
    out: OutFolder = None,
    scorer: ScorerKind = "openvino",
    url: TritonUrl = "127.0.0.1:8001",
    repository: Repository = BUILT,
    resamples: Resamples = RESAMPLES,
    floors: Annotated[bool, typer.Option(help="Fit the floors too (minutes, kept).")] = True,
) -> None:
    """Measure the shipped model on the official test splits."""
    with refusing():
        if out is not None:
            check_can_draw()
        heads = chosen_heads(head)
        score = open_scorer(scorer, repository, url)
        served = _served_config(repository)
        context = _context(data, score, resamples, floors, cuts(served))
        evaluations = evaluate_all(heads, context, sys.stderr.write)
    if not evaluations:
        raise typer.Exit(1)
    print_all(evaluations)
    version = _answering_version(evaluations, served)
    if out is not None:
        facts = {"version": version, "scorer": scorer, "resamples": resamples, "seed": SEED}
        write_all(evaluations, out, _INTRODUCTION.format(**facts))
    if json_file is not None:
        settings = {
            "heads": [one.head for one in evaluations],
            "absent_heads": sorted(set(heads) - {one.head for one in evaluations}),
            "scorer": scorer,
            "model_version": version,
            "bootstrap_resamples": resamples,
            "has_floors": floors,
        }
        write_report(
            json_file, "models evaluate", figures_of(evaluations),
            settings=settings, packages=PACKAGES, seed=SEED,
        )  # fmt: skip


def _answering_version(evaluations: Sequence[Evaluation], served: EncoderConfig) -> str:
    """Return the version of the model that answered; say so if the cuts are of another one."""
    version = evaluations[0].sections[0].rows[0].title
    if version != served.version:
        sys.stderr.write(f"{version} answers, but the cuts are those of {served.version}\n")
    return version


def _context(
    data: Path, score: Score, resamples: int, has_floors: bool, limits: Mapping[str, float]
) -> Context:
    return Context(
        data,
        score,
        resamples,
        has_floors,
        participation_cut=limits.get("participation", EVEN),
        topic_cut=limits.get("topics", EVEN),
    )


def _served_config(repository: Path) -> EncoderConfig:
    from models.build import WEIGHTS

    built = built_model(repository)
    return load_config(built if (built / "config.json").is_file() else WEIGHTS)


def cuts(config: EncoderConfig) -> dict[str, float]:
    """Return the probability from which each head says yes, chosen on held-out posts."""
    return {head.name: head.cut for head in config.heads}


if __name__ == "__main__":
    typer.run(main)
