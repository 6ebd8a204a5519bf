"""The record of a build beside the built model: of what it was made, and under which version."""

import json
from pathlib import Path
from typing import Any, Final

from core.errors import ConfigError
from models.descriptions import read_description
from models.encoder.config import load_config
from models.serving.place import FIRST_VERSION, bits_of

RECORD_FILE: Final = "build.json"


def read_record(place: Path) -> dict[str, Any]:
    """Return the record of the build in a model's folder (that with `config.pbtxt`).

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    file = place / FIRST_VERSION / RECORD_FILE
    return read_description(file, dict[str, Any], "record of a build")


def write_record(place: Path, record: dict[str, Any]) -> None:
    """Write the record of the build in a model's folder."""
    (place / FIRST_VERSION / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n")


def whole_record(place: Path) -> dict[str, Any]:
    """Return the record of a build whose files are still those that were built; {} of any other.

    What was damaged since is no build: it is made anew.
    """
    try:
        record, version = read_record(place), load_config(place / FIRST_VERSION).version
    except ConfigError:
        return {}
    is_whole = version.endswith(f".{bits_of(place / FIRST_VERSION)}")
    return record if is_whole and record.get("version") == version else {}
