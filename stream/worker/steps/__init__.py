"""The steps of the worker's chain, one a file; `stream.worker.chain` lists them in order.

A step is found by its name: `steps.DropUnscored` is the class of that name in `drop_unscored.py`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from stream.worker.step import file_name


def __getattr__(name: str) -> Any:
    """Return the step of a name.

    Raises:
        AttributeError: There is none.
    """
    module = f"{__name__}.{file_name(name)}"
    if not name[0].isupper() or find_spec(module) is None:
        raise AttributeError(f"no step {name}: expected a class of that name in {module}")
    return getattr(import_module(module), name)
