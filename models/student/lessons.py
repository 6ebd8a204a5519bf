"""The encoder's kept answers, read back as arrays: what a student learns and what is held out.

Shapes: `N` posts, `L` logits of a head.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.serving.engines import LOGITS_PREFIX
from models.student.labelling import ANSWERS, RECORD_FILE

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lessons:
    """Posts as word pieces, and what the encoder answers to them.

    Attributes:
        pieces: The pieces of each post.
        logits: Head -> the encoder's logits (N, L).
    """

    pieces: tuple[NDArray[np.uint16], ...]
    logits: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.pieces)


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record of the answers in a training's folder.

    Raises:
        ConfigError: There are none.
    """
    file = folder / ANSWERS / RECORD_FILE
    if not file.is_file():
        raise ConfigError(
            f"{file} does not exist: ask the encoder first (models.student.labelling)"
        )
    return json.loads(file.read_text())


def read_lessons(folder: Path, sources: Sequence[str]) -> Lessons:
    """Return the answers to the posts of some sources, in the order of their parts.

    Raises:
        ConfigError: They are not complete.
    """
    expected = record_of(folder)["posts"]
    pieces: list[NDArray[np.uint16]] = []
    logits: dict[str, list[Floats]] = {}
    for source in sources:
        before = len(pieces)
        for part in _parts(folder, source):
            ends = np.cumsum(part["counts"])[:-1]
            pieces += np.split(part["pieces"], ends)
            for name, values in part.items():
                if name.startswith(LOGITS_PREFIX):
                    logits.setdefault(name.removeprefix(LOGITS_PREFIX), []).append(values)
        if len(pieces) - before != expected[source]:
            raise ConfigError(
                f"{folder / ANSWERS} has {len(pieces) - before} of {expected[source]} posts of "
                f"{source}: ask the encoder about the rest (models.student.labelling)"
            )
    return Lessons(tuple(pieces), {name: np.concatenate(each) for name, each in logits.items()})


def _parts(folder: Path, source: str) -> Iterator[dict[str, NDArray[Any]]]:
    for file in sorted((folder / ANSWERS).glob(f"{source}-*.npz")):
        with np.load(file) as opened:
            yield dict(opened)
