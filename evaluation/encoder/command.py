"""``groundswell models evaluate``, ``quantify-eval`` and ``baseline``: what models are worth.

Each starts the module that does the work, in an environment that can, and hands its exit
status on. `services.cli.models` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from evaluation.forecasts.command import evaluate_engagement
from evaluation.responses.command import prepare
from services.cli.model_environments import (
    DATA,
    REPOSITORY,
    SERVER_PYTHON,
    TRAIN_PYTHON,
    DataFolder,
    ServerPython,
    TrainPython,
    existing,
    options,
    run_module,
)

WITHOUT_TORCH: Final = ("tfidf", "centroid", "frozen")
"""Baselines that run in the model server's environment."""
PROGRAMS: Final = {
    "cascade": "evaluation.encoder.cascade",
    "responses": "evaluation.responses",
    "popalm": "evaluation.responses.popalm",
    "socialalign": "evaluation.crowds",
}
"""What is measured on recorded posts by a program of its own, in the model server's environment."""
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder for a page of all tables and its plots.")
]
ScorerKind = Annotated[str, typer.Option(help="openvino (in process) or triton.")]
Url = Annotated[str | None, typer.Option(help="Triton's gRPC host:port.")]
Repository = Annotated[Path, typer.Option(help="Built model repository.")]
Sets = Annotated[
    str | None,
    typer.Option(help="Engagement, responses, socialalign: comma-separated; else all there are."),
]
Split = Annotated[
    str | None, typer.Option(help="Engagement: time (the last fifth), author or all; else time.")
]
Fit = Annotated[
    bool, typer.Option("--fit", help="Engagement: fit on the folder; else the shipped model.")
]
Model = Annotated[
    str | None, typer.Option(help="Engagement: engagement or engagement_transformer.")
]
FitVariant = Annotated[
    str | None, typer.Option(help="Engagement: what is fitted; else as the shipped model.")
]
LeftOut = Annotated[
    str | None, typer.Option(help="Engagement: sets, each served by a model that never saw it.")
]
TripleFrom = Annotated[
    float | None, typer.Option(help="Engagement: all counts triple after this share of posts.")
]
Posts = Annotated[int | None, typer.Option(help="Responses: judged posts of a set at most.")]
ChineseEncoder = Annotated[
    Path | None, typer.Option(help="Responses: folder of an ONNX encoder and its tokenizer.json.")
]


Measured = Annotated[
    str,
    typer.Argument(
        help="A head with an official test, all, cascade, engagement or a set of replies: "
        "responses, popalm, socialalign."
    ),
]


def evaluate(
    head: Measured = "all",
    data: DataFolder = DATA,
    json: JsonFile = None,
    out: OutFolder = None,
    scorer: ScorerKind = "openvino",
    url: Url = None,
    repository: Repository = REPOSITORY,
    floors: Annotated[bool, typer.Option(help="Fit the floors too (minutes, once).")] = True,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples.")] = None,
    sets: Sets = None,
    split: Split = None,
    fit: Fit = False,
    model: Model = None,
    variant: FitVariant = None,
    left_out: LeftOut = None,
    triple_from: TripleFrom = None,
    posts: Posts = None,
    chinese_encoder: ChineseEncoder = None,
    python: ServerPython = SERVER_PYTHON,
    train_python: TrainPython = TRAIN_PYTHON,
) -> None:
    """Measure the shipped models on the official tests, or forecasts or replies on recorded posts.

    Example: groundswell models evaluate all --data ../shared/data --json figures.json --out page
    """
    of_sets, of_replies = options(sets=sets), options(posts=posts, chinese_encoder=chinese_encoder)
    of_forecasts = options(
        split=split, model=model, variant=variant, left_out=left_out, triple_from=triple_from
    )
    _check_options(head, of_sets[::2], of_forecasts[::2] + ["--fit"] * fit, of_replies[::2])
    shared = options(data=existing(data), json=json, resamples=resamples) + _built(head, repository)
    if head == "engagement":
        fitting = train_python if fit or left_out else None
        return evaluate_engagement([*shared, *of_sets, *of_forecasts], data, python, fitting)
    if program := PROGRAMS.get(prepare(head, data, python)):
        return run_module(python, "setup", program, shared + of_sets + of_replies)
    arguments = options(out=out, scorer=scorer, url=url, repository=repository)
    arguments.append("--floors" if floors else "--no-floors")
    run_module(python, "setup", "evaluation.encoder", [head, *shared, *arguments])


def _built(head: str, repository: Path) -> list[str]:
    """Return the option that names the built model, to the program that reads one besides heads."""
    return options(repository=repository) if head == "cascade" else []


def _check_options(
    head: str, of_sets: Sequence[str], of_forecasts: Sequence[str], of_replies: Sequence[str]
) -> None:
    """Refuse options that are for something else to evaluate."""
    for named, owners in (
        (of_sets, ("engagement", "responses", "socialalign")),
        (of_forecasts, ("engagement",)),
        (of_replies, ("responses",)),
    ):
        if named and head not in owners:
            of = " and ".join(f"`evaluate {owner}`" for owner in owners)
            raise typer.BadParameter(f"{', '.join(named)}: of {of} alone")


def quantify_eval(
    data: DataFolder = DATA,
    json: JsonFile = None,
    out: OutFolder = None,
    scorer: ScorerKind = "openvino",
    url: Url = None,
    repository: Repository = REPOSITORY,
    fit: Annotated[
        bool, typer.Option(help="Fit the correction on validation posts and ship it first.")
    ] = False,
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Measure shares of classes in windows of any mix: corrected against counting labels.

    Exit status 1 if correcting does not at least halve the error of counting.

    Example: groundswell models quantify-eval --data ../shared/data --fit --json shares.json
    """
    arguments = options(
        data=existing(data), json=json, out=out, scorer=scorer, url=url, repository=repository
    )
    arguments.append("--fit" if fit else "--no-fit")
    run_module(python, "setup", "evaluation.shares", arguments)


def baseline(
    name: Annotated[
        str,
        typer.Argument(help="tfidf, centroid, frozen, roberta, llm-zero, llm-sft or llm-dpo."),
    ],
    data: DataFolder = DATA,
    checkpoint: Annotated[
        str | None, typer.Option(help="Folder or hub name of the pretrained checkpoint.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="binary, direct or layered.")] = None,
    json: JsonFile = None,
    out: OutFolder = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting as NAME=VALUE; again for more.")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter; else that of the right environment.")
    ] = None,
) -> None:
    """Train and measure a baseline of the papers on the official participation test.

    Example: groundswell models baseline roberta --checkpoint FOLDER --task layered
    """
    is_light = name in WITHOUT_TORCH
    arguments = options(data=existing(data), checkpoint=checkpoint, task=task, json=json, out=out)
    for setting in settings or ():
        arguments += ["--set", setting]
    chosen = python or (SERVER_PYTHON if is_light else TRAIN_PYTHON)
    run_module(
        chosen, "setup" if is_light else "setup-train", "evaluation.baselines", [name, *arguments]
    )
