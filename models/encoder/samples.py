"""Labelled posts that calibration is fitted to: the held-out splits, or a file from a deployment.

None of them is a test split. Shapes: `N` posts, `C` classes, `L` logits of a head.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ConfigError
from core.heads import HEADS as LABELS
from models.encoder.config import activation_of
from models.encoder.heads import HEADS, training_of
from models.encoder.heads.base import CalibrationSample


def held_out(head: str, data: Path) -> CalibrationSample:
    """The sample that the shipped calibration of a head is fitted to.

    Raises:
        ConfigError: there is no such head, it has none, or the data is missing.
    """
    found = training_of(head).sample if head in HEADS.names() else None
    if found is None:
        raise ConfigError(f"there is no held-out sample for head {head!r}")
    return found(data)


def _rows(file: Path) -> list[Mapping[str, Any]]:
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as opened:
            return [json.loads(line) for line in opened if line.strip()]
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def read_sample(head: str, file: Path, prior: tuple[float, ...] = ()) -> CalibrationSample:
    """A deployment's own sample: CSV with a header or JSON lines, fields `text` and `label`.

    A label is a class of the head, matched exactly; where any number may apply, classes are joined
    by `|` and may be none at all.

    Raises:
        ConfigError: the file is missing, has no rows, or a label is not one of the head's.
    """
    if not file.is_file():
        raise ConfigError(f"{file} does not exist: name the labelled sample with --sample FILE")
    classes = LABELS[head]
    texts, truth = [], []
    for number, row in enumerate(_rows(file), start=1):
        given = str(row.get("label", ""))
        several = activation_of(head) == "sigmoid"
        names = [name for name in given.split("|") if name] if several else [given]
        wrong = [name for name in names if name not in classes]
        if wrong or "text" not in row:
            raise ConfigError(
                f"{file}, row {number}: needs a field text and a label of head {head} "
                f"({', '.join(classes)})"
            )
        texts.append(str(row["text"]))
        truth.append([int(name in names) for name in classes] if several else classes.index(given))
    if not texts:
        raise ConfigError(f"{file} has no rows")
    said = f"{len(texts)} labelled posts of {file.name}"
    return CalibrationSample(tuple(texts), np.asarray(truth), said, prior, is_deployed=True)
