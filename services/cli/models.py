"""``groundswell models``: train, calibrate, build, evaluate and list models.

Models live in environments of their own (`.venv-server` without torch, `.venv-train` with it), so
each command starts the module that does the work there and hands its exit status on. The paths
are relative to where the command is given, as everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from core.config import load
from core.errors import ConfigError
from models.descriptions import read_description
from models.encoder.config import load_config
from models.engagement.config import load_engagement_config
from models.popalm.config import load_responder_config
from models.serving.engine_choice import read_choice
from models.serving.place import built_model
from models.socialalign.crowd_config import load_crowd_config
from services.cli.model_environments import (
    COMPARED,
    DATA,
    REPOSITORY,
    SERVER_PYTHON,
    TRAIN_PYTHON,
    TRAINED,
    WEIGHTS,
    DataFolder,
    ServerPython,
    TrainPython,
    existing,
    options,
    run_module,
)
from services.cli.train_models import train_engagement, train_student
from services.cli.wings import is_missing, wing_command

app = typer.Typer(
    name="models", help="Train, evaluate, calibrate, build and list models.", no_args_is_help=True
)


Trained = Annotated[str, typer.Argument(help="What to train: encoder, engagement or student.")]
Tasks = Annotated[
    str, typer.Option(help="Comma-separated: sentiment, emotion, topics, participation.")
]
OutFolder = Annotated[Path, typer.Option(help="Checkpoints and the chosen weights.")]
Start = Annotated[
    Path | None, typer.Option(help="Sentiment weights to begin from, not from the backbone.")
]
Distil = Annotated[
    bool, typer.Option(help="A last stage that learns from the stages before (all tasks).")
]
Layers = Annotated[
    str | None, typer.Option(help="A student instead, taught by the shipped model: 4, or 0,2,3,5.")
]
Epochs = Annotated[int, typer.Option(min=1, help="Of sentiment alone, the first stage.")]
Seed = Annotated[int | None, typer.Option(help="Another seed than the shipped one.")]
HalfFloats = Annotated[bool, typer.Option(help="Autocast to bfloat16 (faster with AVX-512).")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")]
Pack = Annotated[bool, typer.Option(help="Put the result into --weights.")]
PackInto = Annotated[
    Path | None, typer.Option(help="Folder of weights to fill; else the shipped ones.")
]
VariantName = Annotated[
    str, typer.Option(help="Engagement only: shipped, transformer_shipped, or a file of settings.")
]
EngagementSets = Annotated[
    str | None, typer.Option(help="Engagement only: sets, comma-separated; else all.")
]


@app.command()
def train(
    model: Trained = "encoder",
    data: DataFolder = DATA,
    tasks: Tasks = "sentiment,emotion,topics,participation",
    out: OutFolder = TRAINED,
    start: Start = None,
    distil: Distil = False,
    layers: Layers = None,
    epochs: Epochs = 2,
    seed: Seed = None,
    bf16: HalfFloats = True,
    threads: Threads = 0,
    pack: Pack = False,
    weights: PackInto = None,
    variant: VariantName = "shipped",
    sets: EngagementSets = None,
    python: TrainPython = TRAIN_PYTHON,
    server_python: ServerPython = SERVER_PYTHON,
) -> None:
    """Train the post encoder (an hour on two cores); run again to continue a cut-off run.

    A student of fewer layers takes ten minutes, and wants an --out and a --weights of its own. Of
    engagement and of the student, the encoder's answers are made first and kept: 20 minutes, once.

    Example: groundswell models train encoder --tasks sentiment,emotion --data ../shared/data --pack
    """
    if model == "engagement":
        return train_engagement(data, sets, variant, threads, weights, (server_python, python))
    if model == "student":
        return train_student(data, out, seed, threads, weights, (server_python, python))
    weights = weights or WEIGHTS / "post-encoder"
    _check_encoder(model, distil, layers, pack and weights == WEIGHTS / "post-encoder")
    arguments = options(
        data=existing(data), tasks=tasks, out=out, start=start, epochs=epochs, seed=seed,
        threads=threads or None, layers=layers,
    )  # fmt: skip
    arguments += ["--bf16" if bf16 else "--no-bf16", *(["--distil"] if distil else [])]
    run_module(python, "setup-train", "models.encoder.train", arguments)
    return _pack(python, out, weights) if pack else None


def _check_encoder(model: str, distil: bool, layers: str | None, is_shipped: bool) -> None:
    """Refuse what cannot be trained."""
    if model != "encoder":
        raise typer.BadParameter(
            f"there is no training of {model!r}; expected encoder, engagement or student"
        )
    if distil and layers:
        raise typer.BadParameter("--distil is for all layers; a student is always taught")
    if is_shipped and layers:
        raise typer.BadParameter("a student would replace its teacher: name another --weights")


def _pack(python: Path, trained: Path, weights: Path) -> None:
    """Put a training's result into a folder of weights."""
    packed = [trained / "chosen", *options(weights=weights)]
    run_module(python, "setup-train", "models.encoder.pack", packed)


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder of the cells and the table.")] = COMPARED,
    data: DataFolder = DATA,
    variants: Annotated[str, typer.Option(help="Comma-separated.")] = "mlp,gru,transformer,trees",
    losses: Annotated[str, typer.Option(help="Comma-separated.")] = "mae,mse,huber,quantile",
    scalings: Annotated[str, typer.Option(help="Comma-separated.")] = "author,log,robust",
    sets: EngagementSets = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Posts of a set at most.")] = None,
    threads: Threads = 0,
    python: TrainPython = TRAIN_PYTHON,
) -> None:
    """Compare engagement models: variants, losses, scalings; finished cells are kept.

    Example: groundswell models compare --losses mae --scalings author --data ../shared/data
    """
    arguments = options(
        out=out, data=existing(data), variants=variants, losses=losses, scalings=scalings,
        sets=sets, rows=rows, threads=threads or None,
    )  # fmt: skip
    run_module(python, "setup-train", "models.engagement.training.compare", arguments)


@app.command()
def calibrate(
    data: DataFolder = DATA,
    sample: Annotated[
        Path | None,
        typer.Option(help="A deployment's own labelled posts instead: CSV or .jsonl, text, label."),
    ] = None,
    head: Annotated[str | None, typer.Option(help="One head only; needed with --sample.")] = None,
    prior: Annotated[
        str | None, typer.Option(help="Class shares in use, if the sample's differ: 0.74,0.18,...")
    ] = None,
    weights: Annotated[
        Path, typer.Option(help="Folder of weights whose config.json is rewritten.")
    ] = WEIGHTS / "post-encoder",
    repository: Annotated[Path, typer.Option(help="Model repository to build.")] = REPOSITORY,
    method: Annotated[str, typer.Option(help="temperature or vector.")] = "temperature",
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Fit the probabilities on held-out posts, or on a deployment's own, and build again.

    Example: groundswell models calibrate --head participation --sample labelled.csv
    """
    source = {"sample": sample} if sample is not None else {"data": existing(data)}
    arguments = options(
        **source, head=head, prior=prior, weights=weights, repository=repository, method=method
    )
    run_module(python, "setup", "models.encoder.calibrate", arguments)


@app.command()
def build(
    output: Annotated[Path, typer.Option(help="Model repository to write.")] = REPOSITORY,
    device: Annotated[str, typer.Option(help="cpu, or gpu (ONNX Runtime, fp16).")] = "cpu",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of weights; else the setting scorer.weights.")
    ] = None,
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    answers: Annotated[
        str | None,
        typer.Option(help="encoder, cascade or student; else the setting scorer.answers."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Build even if it is up to date.")] = False,
    engine: Annotated[
        str | None, typer.Option(help="The engine to take; else the setting scorer.engine.")
    ] = None,
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Build the Triton model repository from the chosen weights; instant when up to date.

    The network is built for every engine; the one that needs least of this processor is taken.

    Example: groundswell models build --device cpu
    """
    arguments = options(
        output=output,
        device=device,
        weights=weights,
        backbone=backbone,
        engine=engine,
        answers=answers,
    )
    run_module(python, "setup", "models.build", [*arguments, *(["--force"] if force else [])])


for _name, _target in (
    ("evaluate", "evaluation.encoder.command:evaluate"),
    ("quantify-eval", "evaluation.encoder.command:quantify_eval"),
    ("baseline", "evaluation.encoder.command:baseline"),
    ("early-counts", "evaluation.forecasts.early_command:early_counts"),
):
    app.command(_name, hidden=is_missing(_target))(wing_command(_target))


class _Versioned(msgspec.Struct):
    version: str


def _built_version(repository: Path, name: str) -> str:
    built = built_model(repository, name.replace("-", "_"))
    if not (built / "config.json").is_file():
        return "not built"
    wanted = load().scorer.engine
    try:
        found = read_description(built / "config.json", _Versioned, f"{name} model").version
        choice = read_choice(built, wanted)
    except ConfigError as error:
        return f"damaged: {error}"
    return found if choice is None else f"{found}\nengine: {choice.said()}"


def _described(folder: Path) -> dict[str, str]:
    """Return version, backbone, heads and languages of a folder of weights; "" for none."""
    if folder.name.startswith("engagement"):
        engagement = load_engagement_config(folder)
        return _facts(engagement.version, "", ", ".join(engagement.targets), "any")
    if folder.name == "crowd":
        crowd = load_crowd_config(folder)
        return _facts(crowd.version, "", f"forecast, reaction ({len(crowd.labels)})", "any")
    if folder.name == "responder":
        responder = load_responder_config(folder)
        return _facts(responder.version, responder.base, "", "")
    config = load_config(folder)
    heads = ", ".join(f"{head.name} ({len(head.labels)})" for head in config.heads)
    return _facts(config.version, config.backbone, heads, ", ".join(config.languages))


def _facts(version: str, backbone: str, heads: str, languages: str) -> dict[str, str]:
    return {"version": version, "backbone": backbone, "heads": heads, "languages": languages}


@app.command(name="list")
def list_models(
    repository: Annotated[Path, typer.Option(help="Built model repository.")] = REPOSITORY,
) -> None:
    """List the shipped models, their heads and what is built.

    Example: groundswell models list
    """
    # A row for each fact and not a column: in 80 columns a version is still read whole.
    table = Table("model", "", "")
    for folder in sorted(WEIGHTS.iterdir()):
        if (folder / "config.json").is_file():
            facts = _described(folder) | {"built": _built_version(repository, folder.name)}
            known = [(name, value) for name, value in facts.items() if value]
            for first, fact in zip([folder.name, *[""] * len(known)], known, strict=False):
                table.add_row(first, *fact)
            table.add_section()
    Console().print(table)
