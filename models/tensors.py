"""Tensors of a model's folder, read distrustfully: another's bytes are refused by name."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from core.errors import ConfigError
from models.descriptions import REMEDY

Tensors = dict[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int, ...]]
"""Name -> the shape that a tensor has to have."""


def read_tensors(file: Path, remedy: str = REMEDY) -> Tensors:
    """Return the tensors of a safetensors file by name; the remedy is for the error.

    Raises:
        ConfigError: It is missing or cannot be read.
    """
    try:
        return load_file(file)
    except Exception as error:  # a file that is missing, or whatever a reader makes of its bytes
        raise damaged(file, f"cannot be read: {type(error).__name__}: {error}", remedy) from error


def read_arrays(file: Path, remedy: str = REMEDY) -> Tensors:
    """Return the arrays of a NumPy archive by name; the remedy is for the error.

    Raises:
        ConfigError: It is missing or cannot be read, or holds pickled objects.
    """
    try:
        # Opened here: of what it cannot read the library leaves the file open.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except Exception as error:  # as above; of an archive that is cut short there are many kinds
        raise damaged(file, f"cannot be read: {type(error).__name__}: {error}", remedy) from error


def damaged(file: Path, fault: str, remedy: str = REMEDY) -> ConfigError:
    """Return the error of a file with a fault: what was found, what was expected, what to do."""
    return ConfigError(f"{file} {fault}; {remedy}")


def tensor_fault(tensors: Mapping[str, Any], shapes: Shapes, whole: Collection[str] = ()) -> str:
    """Return what is wrong with tensors; "" for nothing.

    Args:
        tensors: The tensors, whatever they are.
        shapes: Those that there have to be, no more and no fewer.
        whole: The names of those that hold integers; all others hold finite floats.
    """
    if strange := sorted(set(tensors) ^ set(shapes)):
        return f"has tensors missing or unknown: {', '.join(strange[:5])}"
    for name, shape in shapes.items():
        found = np.asarray(tensors[name])
        kinds, said = ("iu", "integers") if name in whole else ("f", "floats")
        if found.dtype.kind not in kinds:
            return f"has {name} of type {found.dtype}, expected {said}"
        if found.shape != shape:
            return f"has {name} of shape {found.shape}, expected {shape}"
        if not np.isfinite(found).all():
            return f"has a number in {name} that is not finite"
    return ""
