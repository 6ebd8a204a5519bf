"""Replies whose authors are known a little: one JSON object a line, read and written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from core.errors import ConfigError

Part = Literal["learn", "validate", "judge"]
LEARN: Final = "learn"
VALIDATE: Final = "validate"
JUDGE: Final = "judge"
PARTS: Final[tuple[Part, ...]] = (LEARN, VALIDATE, JUDGE)


class PersonReply(msgspec.Struct, frozen=True):
    """A reply, with what was known of its author before it and what it replies to.

    Attributes:
        part: What it is for.
        source: The set that it is from.
        topic: What its thread is about.
        person: What was known of its author; not empty.
        post: The text that it replies to.
        reply: The reply.
    """

    part: Part
    source: str
    topic: str
    person: str
    post: str
    reply: str


def read_person_replies(file: Path) -> list[PersonReply]:
    """Read a file of replies.

    Raises:
        ConfigError: It is not there, or a line is not what it should be, or a part has too few.
    """
    try:
        found = msgspec.json.Decoder(PersonReply).decode_lines(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: no file of persons' replies ({error})") from error
    for part in PARTS:
        if sum(one.part == part for one in found) < 2:
            raise ConfigError(f"{file}: expected two replies to {part} at least")
    return found


def write_person_replies(file: Path, replies: Iterable[PersonReply]) -> None:
    """Write a file of replies."""
    file.write_bytes(msgspec.json.Encoder().encode_lines(list(replies)))
