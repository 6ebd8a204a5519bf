"""A shipped model that needs no compiling into the model repository: copied, under its bits.

The version that is served names the bits of the weights, so that a copy that was changed is known.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from models.descriptions import HasVersion
from models.serving.place import FIRST_VERSION, bits_of, move_into_place

Config = TypeVar("Config", bound=HasVersion)


@dataclass(frozen=True, slots=True)
class CopiedModel(Generic[Config]):
    """How a kind of model is copied.

    Attributes:
        tensors: The file of its weights.
        load: Reads the description in a folder.
        save: Writes a description into a folder.
        renamed: Gives a description another version.
        open_built: Opens a built folder, to see that it can be.
        filled: What stands in Triton's configuration, and what is put in its place.
    """

    tensors: str
    load: Callable[[Path], Config]
    save: Callable[[Config, Path], None]
    renamed: Callable[[Config, str], Config]
    open_built: Callable[[Path], object]
    filled: Sequence[tuple[str, str]] = ()


def build_copied(
    of: CopiedModel[Config], place: Path, weights: Path, template: Path
) -> tuple[str, bool]:
    """Make a folder of a repository hold a model.

    Args:
        of: What kind of model it is.
        place: The model's folder in the repository; others beside it are not touched.
        weights: The folder of its weights.
        template: Triton's configuration and `model.py`.

    Returns:
        The version, and whether it was there already.

    Raises:
        ConfigError: The weights are not those of a model of this program.
    """
    repository = place.parent
    repository.parent.mkdir(parents=True, exist_ok=True)
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    with tempfile.TemporaryDirectory(
        dir=repository.parent, prefix=f"{repository.name}."
    ) as scratch:
        made = Path(scratch) / place.name
        version = _make(of, made, weights, template)
        if _files_in(place) == _files_in(made):
            return version, True
        of.open_built(made / FIRST_VERSION)
        move_into_place(made, place)
    return version, False


def _make(of: CopiedModel[Config], made: Path, weights: Path, template: Path) -> str:
    """Make the model's folder; returns its version."""
    served = made / FIRST_VERSION
    served.mkdir(parents=True)
    config = of.load(weights)
    shutil.copyfile(weights / of.tensors, served / of.tensors)
    shutil.copyfile(template / FIRST_VERSION / "model.py", served / "model.py")
    version = f"{config.version}.{bits_of(served)}"
    of.save(of.renamed(config, version), served)
    text = (template / "config.pbtxt").read_text(encoding="utf-8")
    for written, filled in (*of.filled, ('string_value: "unbuilt"', f'string_value: "{version}"')):
        text = text.replace(written, filled)
    (made / "config.pbtxt").write_text(text, encoding="utf-8")
    return version


def _files_in(folder: Path) -> dict[str, bytes]:
    """Return what a model's folder holds; {} where there is none."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
