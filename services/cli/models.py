"""``groundswell models``: train, calibrate, build, evaluate and list models.

Models live in environments of their own (`.venv-server` without torch, `.venv-train` with it), so
each command starts the module that does the work there and hands its exit status on. The paths
are relative to where the command is given, as everywhere.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from models.encoder.config import EncoderConfig, load_config

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
WEIGHTS: Final = PROJECT_ROOT / "models" / "weights"
REPOSITORY: Final = Path(".groundswell/model_repository")
TRAINED: Final = Path(".groundswell/training/post-encoder")
DATA: Final = Path("../shared/data")
_WRONG_USE: Final = 2

app = typer.Typer(
    name="models", help="Train, evaluate, calibrate, build and list models.", no_args_is_help=True
)

DataFolder = Annotated[
    Path, typer.Option("--data", envvar="GROUNDSWELL_DATA", help="Folder of the data sets.")
]
ServerPython = Annotated[
    Path,
    typer.Option(
        envvar="GROUNDSWELL_SERVER_PYTHON", help="Interpreter of the model server's environment."
    ),
]
TrainPython = Annotated[
    Path,
    typer.Option(envvar="GROUNDSWELL_TRAIN_PYTHON", help="Interpreter with torch."),
]
SERVER_PYTHON: Final = PROJECT_ROOT / ".venv-server" / "bin" / "python"
TRAIN_PYTHON: Final = PROJECT_ROOT / ".venv-train" / "bin" / "python"


def _run(python: Path, setup: str, module: str, arguments: Sequence[str | Path]) -> None:
    """Run a module of ours in another environment; exit as it exits when it fails."""
    if not python.exists():
        typer.echo(f"{python} does not exist: run `make {setup}` first", err=True)
        raise typer.Exit(_WRONG_USE)
    argv = [str(python), "-m", module, *(str(argument) for argument in arguments)]
    sys.stdout.flush()
    status = subprocess.run(argv, check=False).returncode  # noqa: S603 -- our own module, no shell
    if status != 0:
        raise typer.Exit(status)


def _options(**values: object) -> list[str]:
    """Options that were given, as arguments: `json_file=x` becomes `--json-file x`."""
    arguments: list[str] = []
    for name, value in values.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return arguments


def _existing(data: Path) -> Path:
    if not data.is_dir():
        raise typer.BadParameter(f"{data} is not a folder: name the data sets with --data DIR")
    return data


@app.command()
def train(
    data: DataFolder = DATA,
    out: Annotated[Path, typer.Option(help="Checkpoints and the chosen weights.")] = TRAINED,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    seed: Annotated[int | None, typer.Option(help="Another seed than the shipped one.")] = None,
    bf16: Annotated[bool, typer.Option(help="Autocast to bfloat16 (faster with AVX-512).")] = True,
    pack: Annotated[bool, typer.Option(help="Put the result into the shipped weights.")] = False,
    python: TrainPython = TRAIN_PYTHON,
) -> None:
    """Train the post encoder (half an hour on two cores); run again to continue a cut-off run.

    Example: groundswell models train --data ../shared/data --pack
    """
    arguments = _options(data=_existing(data), out=out, epochs=epochs, seed=seed)
    arguments.append("--bf16" if bf16 else "--no-bf16")
    _run(python, "setup-train", "models.encoder.train", arguments)
    if pack:
        target = _options(weights=WEIGHTS / "post-encoder")
        _run(python, "setup-train", "models.encoder.pack", [out / "chosen", *target])


@app.command()
def calibrate(
    data: DataFolder = DATA,
    method: Annotated[str, typer.Option(help="temperature or vector.")] = "temperature",
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Fit the shipped model's probabilities on the validation split and build it again.

    Example: groundswell models calibrate --data ../shared/data
    """
    arguments = _options(data=_existing(data), repository=REPOSITORY, method=method)
    _run(python, "setup", "models.encoder.calibrate", arguments)


@app.command()
def build(
    output: Annotated[Path, typer.Option(help="Model repository to write.")] = REPOSITORY,
    device: Annotated[str, typer.Option(help="cpu (OpenVINO int8) or gpu (ONNX fp16).")] = "cpu",
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    force: Annotated[bool, typer.Option(help="Build even if it is up to date.")] = False,
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Build the Triton model repository from the shipped weights; instant when up to date.

    Example: groundswell models build --device cpu
    """
    arguments = _options(output=output, device=device, backbone=backbone)
    _run(python, "setup", "models.build", [*arguments, *(["--force"] if force else [])])


@app.command()
def evaluate(
    head: Annotated[str, typer.Argument(help="What to evaluate: sentiment.")],
    data: DataFolder = DATA,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    via: Annotated[str, typer.Option(help="openvino (in process) or triton.")] = "openvino",
    url: Annotated[str | None, typer.Option(help="Triton's gRPC host:port.")] = None,
    repository: Annotated[Path, typer.Option(help="Built model repository.")] = REPOSITORY,
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Measure the shipped model on the official test, beside floors and published figures.

    Example: groundswell models evaluate sentiment --data ../shared/data --json sentiment.json
    """
    arguments = _options(data=_existing(data), json=json, via=via, url=url, repository=repository)
    _run(python, "setup", "models.evaluation.evaluate", [head, *arguments])


def _built_version(folder: Path) -> str:
    built = folder / "post_encoder" / "1"
    try:
        return load_config(built).version
    except (OSError, msgspec.DecodeError):
        return "not built"


def _shipped() -> list[tuple[str, EncoderConfig]]:
    return [
        (folder.name, load_config(folder))
        for folder in sorted(WEIGHTS.iterdir())
        if (folder / "config.json").is_file()
    ]


@app.command(name="list")
def list_models(
    repository: Annotated[Path, typer.Option(help="Built model repository.")] = REPOSITORY,
) -> None:
    """List the shipped models, their heads and what is built.

    Example: groundswell models list
    """
    table = Table()
    for title in ("model", "version", "backbone", "heads", "languages", "built"):
        table.add_column(title)
    for name, config in _shipped():
        heads = ", ".join(f"{head.name} ({len(head.labels)})" for head in config.heads)
        table.add_row(
            name, config.version, config.backbone, heads, ", ".join(config.languages),
            _built_version(repository),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)
