"""Where a built model is in a model repository, and which bits it has."""

import hashlib
import os
from pathlib import Path
from typing import Final

from core.errors import ConfigError

MODEL_NAME: Final = "post_encoder"
FIRST_VERSION: Final = "1"
"""The folder that `groundswell models build` fills."""

_COMPUTES: Final = ("model.*", "engines/*/model.*", "tokenizer.json", "student.*")


def built_model(
    repository: Path | str, model: str = MODEL_NAME, version: str = FIRST_VERSION
) -> Path:
    """The version folder of a model, whether something was built there or not.

    >>> built_model("repository").as_posix()
    'repository/post_encoder/1'
    """
    return Path(repository) / model / version


def bits_of(folder: Path) -> str:
    """The first 12 hex digits of the SHA-256 over what computes in a version folder.

    Network, in the form of each engine, tokenizer and, where it answers, the student: two builds
    that would score a text differently never share them. Part of the model version, because the
    same inputs do not make the same bits everywhere: the quantiser runs the network, and its sums
    depend on the processor and on the libraries.
    """
    digest = hashlib.sha256()
    found = [path for shape in _COMPUTES for path in folder.glob(shape)]
    for path in sorted(found):
        if path.suffix != ".py":  # what Triton imports: the program, not the model
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def check_bits(folder: Path, version: str) -> None:
    """Refuse a built model whose files are not those that its version names.

    Raises:
        ConfigError: a file was changed, cut short or swapped after the build.
    """
    found = bits_of(folder)
    if version.rpartition(".")[2] != found:
        raise ConfigError(
            f"{folder}: the files have the bits {found}, version {version!r} names others: they "
            "were changed after the build; `groundswell models build` makes them anew"
        )


def move_into_place(made: Path, place: Path) -> None:
    """Move a finished model folder into the repository, the old one out of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        old = made.parent / "old"
        os.replace(place, old)
    os.replace(made, place)
