"""Commands that a checkout has and an installed product has not: measuring and breaking things.

They are of `evaluation`, `testkit` and `benchmarks`, and named by text, so that the product imports
none of them; where one is missing its commands are not listed, and calling one says where it is to
be had.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final, NoReturn

import typer

from core.folders import checkout

WINGS: Final = ("evaluation", "testkit")
_BENCH: Final = "services.cli.bench:bench"
_WRONG_USE: Final = 2


def is_missing(target: str) -> bool:
    """Tell whether a target, "module:attribute", works only in a checkout, and this is none."""
    if target == _BENCH:
        root = checkout()
        return root is None or not (root / "benchmarks").is_dir()
    package = target.split(".")[0]
    return package in WINGS and find_spec(package) is None


def refuse(target: str) -> NoReturn:
    """End with one sentence about where a command that is missing is to be had."""
    package = "benchmarks" if target == _BENCH else target.split(".")[0]
    typer.echo(
        f"groundswell: this command needs `{package}`, which is not installed: run it in a checkout"
        " of the project, after make setup",
        err=True,
    )
    raise typer.Exit(_WRONG_USE)


def wing_command(target: str) -> Callable[..., Any]:
    """Return the function that a target names, or one that refuses whatever it is given."""
    if is_missing(target):

        def missing(_words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
            refuse(target)

        return missing
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
