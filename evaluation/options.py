"""Options that the programs of the evaluation share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

BUILT: Final = Path(".groundswell/model_repository")

DataFolder = Annotated[Path, typer.Option(help="Folder of the data sets.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report here.")
]
OutFolder = Annotated[Path | None, typer.Option(help="Folder for the page and its plots.")]
ScorerKind = Annotated[str, typer.Option(help="openvino (in process) or triton.")]
TritonUrl = Annotated[str, typer.Option(help="Triton's gRPC host:port.")]
Repository = Annotated[Path, typer.Option(help="Built model repository.")]
Resamples = Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")]
Texts = Annotated[Path, typer.Option(help="UTF-8 file with one post a line.")]
Threads = Annotated[int, typer.Option(min=0, help="Processor threads; 0 means all cores.")]
