"""``groundswell responder``: how people answer what takes off, and replies that a model writes.

The decoder runs in the model server's environment, so `reply` starts the module that does the work
there and hands its exit status on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.model_environments import (
    REPOSITORY,
    SERVER_PYTHON,
    ServerPython,
    options,
    run_module,
)
from services.cli.settings import load_settings

app = typer.Typer(
    name="responder",
    help="Rank replies to what takes off, quote past ones, generate some.",
    no_args_is_help=True,
)


@app.command()
def run() -> None:
    """Follow what takes off and show how people answer it, until SIGTERM.

    A second one stands by. Nobody waits for it: windows and forecasts are the same without.

    Example: GROUNDSWELL__METRICS__PORT=9106 groundswell responder run
    """
    from services.responder.process import main

    main(load_settings())


@app.command()
def reply(
    text: Annotated[str, typer.Option(help="The post that is answered.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=8, help="Replies.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the draws.")] = 0,
    kind: Annotated[
        Literal["in_process", "triton"], typer.Option(help="Where the model is.")
    ] = "in_process",
    repository: Annotated[Path, typer.Option(help="Built model repository.")] = REPOSITORY,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
    python: ServerPython = SERVER_PYTHON,
) -> None:
    """Write replies to one post, without a stream; the same seed gives the same ones.

    Exit status: 0 shown, 1 no reply may be shown, 2 wrong use or no model.

    Example: groundswell responder reply --text "They moved the concert again" -n 3
    """
    # One word, so that no text is taken for an option.
    arguments = [f"--text={text}"]
    arguments += options(number=number, seed=seed, kind=kind, repository=repository, json=json_file)
    run_module(python, "setup", "models.popalm.reply", arguments)
