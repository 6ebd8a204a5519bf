"""Commands of the two wings, `evaluation` and `testkit`, which an installed product does not have.

They are named by text, so that the product imports neither; where a wing is missing its commands
are not listed, and calling one says where it is to be had.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NoReturn

import typer

WINGS: Final = ("evaluation", "testkit")
_WRONG_USE: Final = 2


def is_missing(target: str) -> bool:
    """Whether a target, "module:attribute", belongs to a wing that is not here."""
    package = target.split(".")[0]
    return package in WINGS and find_spec(package) is None


def refuse(target: str) -> NoReturn:
    """End with one sentence about where the command of a missing wing is to be had."""
    package = target.split(".")[0]
    typer.echo(
        f"groundswell: this command needs the package `{package}`, which is not installed:"
        " run it from a checkout of the project",
        err=True,
    )
    raise typer.Exit(_WRONG_USE)


def wing_command(target: str) -> Callable[..., Any]:
    """Return the function that a target names, or one that refuses and says why."""
    if is_missing(target):
        return lambda: refuse(target)
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
