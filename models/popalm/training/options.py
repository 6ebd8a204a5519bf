"""Options that the commands of training share. Defaults are each command's own."""

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[Path, typer.Option(help="File of posts and replies to learn from.")]
Decoder = Annotated[Path | None, typer.Option(help="Folder or GGUF file of a decoder.")]
Base = Annotated[str, typer.Option(help="Name of the decoder; its adapters bear it.")]
Steps = Annotated[int, typer.Option(min=1)]
Batch = Annotated[int, typer.Option(min=1, help="Posts a step.")]
FirstLayer = Annotated[int, typer.Option(min=0, help="Layers below get no adapter.")]
PostTokens = Annotated[int, typer.Option(min=1, help="Longer posts are left out.")]
LearningRate = Annotated[float, typer.Option(min=0.0)]
Seed = Annotated[int, typer.Option()]
Minutes = Annotated[float, typer.Option(min=0.0, help="Stop after so many; 0 is never.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Bf16 = Annotated[bool, typer.Option(help="Compute in bfloat16.")]
CpuThreads = Annotated[int, typer.Option(min=1, help="One where the machine is shared.")]
