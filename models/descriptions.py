"""What describes a model, as JSON in its folder: read distrustfully, written in a stable order.

Standard library and msgspec only: who shows a model needs none of what runs it.
"""

from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from core.errors import ConfigError

REMEDY: Final = (
    "restore the file, or make a model that was built anew with `groundswell models build`"
)
Described = TypeVar("Described")


class HasVersion(Protocol):
    """What describes a model names the version that every answer carries."""

    @property
    def version(self) -> str:
        """The version."""
        ...


def read_description(file: Path, kind: type[Described], what: str) -> Described:
    """Read the description of a model.

    Args:
        file: The file.
        kind: What it has to be.
        what: What it describes, for messages ("crowd model").

    Raises:
        ConfigError: There is none, or it cannot be read; the message has the file, the key that is
            wrong, what was expected, and what to do.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(
            f"{file.parent} holds no {what}, {file.name} is not there: run "
            "`groundswell models build`"
        ) from error
    # Besides its own errors msgspec raises Python's, of bytes that are no UTF-8 and of nesting.
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{file} cannot be read as the description of a {what}: {type(error).__name__}: "
            f"{error}; {REMEDY}"
        ) from error


def write_description(described: Any, file: Path) -> None:
    """Write a description, readable and with a stable order."""
    text = msgspec.json.format(msgspec.json.encode(described), indent=2)
    file.write_bytes(text + b"\n")
