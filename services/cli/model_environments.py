"""Where commands about models do their work: other environments, started from this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from core.folders import checkout, importable
from services.local.paths import DEFAULT_PATHS, DEFAULT_SERVER_PYTHON, PROJECT_ROOT

WEIGHTS: Final = PROJECT_ROOT / "models" / "weights"
REPOSITORY: Final = DEFAULT_PATHS.model_repository
TRAINED: Final = DEFAULT_PATHS.root / "training" / "post-encoder"
TRAINED_STUDENT: Final = DEFAULT_PATHS.root / "training" / "student"
COMPARED: Final = DEFAULT_PATHS.root / "training" / "engagement-comparison"
DATA: Final = Path("../shared/data")
_WRONG_USE: Final = 2

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
SERVER_PYTHON: Final = DEFAULT_SERVER_PYTHON
TRAIN_PYTHON: Final = (checkout() or DEFAULT_PATHS.root) / ".venv-train" / "bin" / "python"
_HOW: Final = {
    "setup": "groundswell setup makes it",
    "setup-train": (
        "training wants an environment with the extra `train`: in a checkout make setup-train"
        " makes it, elsewhere name its Python with --python"
    ),
}


def run_module(python: Path, setup: str, module: str, arguments: Sequence[str | Path]) -> None:
    """Run a module of ours in another environment; exit as it exits when it fails."""
    if not python.exists():
        typer.echo(f"{python} does not exist: {_HOW[setup]}", err=True)
        raise typer.Exit(_WRONG_USE)
    argv = [str(python), "-m", module, *(str(argument) for argument in arguments)]
    # Our packages come from one place, and not from what the current folder calls by their names.
    environment = os.environ | {"PYTHONPATH": str(importable()), "PYTHONSAFEPATH": "1"}
    sys.stdout.flush()
    status = subprocess.run(argv, env=environment, check=False).returncode  # noqa: S603 -- no shell
    if status != 0:
        raise typer.Exit(status)


def options(**values: object) -> list[str]:
    """Options that were given, as arguments: `json_file=x` becomes `--json-file x`."""
    arguments: list[str] = []
    for name, value in values.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return arguments


def existing(data: Path) -> Path:
    """The folder of the data sets, if it is one."""
    if not data.is_dir():
        raise typer.BadParameter(f"{data} is not a folder: name the data sets with --data DIR")
    return data
