"""Shows the growing log files of all parts as one stream, each line with its part's name.

Parts write to files and nobody reads along in between, so a part never blocks on a full pipe, and
its last words are kept when the supervisor dies. The look of the lines is honcho's.
"""

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from honcho import colour
from honcho.printer import Message, Printer

_LARGEST_READ_BYTES = 1 << 20


@dataclass(slots=True)
class _Followed:
    name: str
    path: Path
    colour: str
    offset: int
    unshown: re.Pattern[str] | None
    unfinished: bytes = b""


def _matches(pattern: re.Pattern[str] | None, line: str) -> bool:
    return pattern is not None and pattern.match(line) is not None


class LogFollower:
    """Prints what was appended to log files since the last look. Not thread-safe."""

    def __init__(self, output: TextIO = sys.stdout, *, colours: bool = True) -> None:
        """Follow nothing yet; `colours` are used on a terminal only."""
        self._printer = Printer(output, width=len("alertmanager"), colour=colours)
        self._next_colour = colour.get_colours()
        self._files: list[_Followed] = []

    def follow(self, name: str, path: Path, unshown: re.Pattern[str] | None = None) -> None:
        """Show what is appended to `path` from now on, under `name`.

        Args:
            name: The part whose log it is.
            path: The log file; it need not exist yet.
            unshown: What a line begins with that stays in the file and is shown to nobody.
        """
        offset = path.stat().st_size if path.exists() else 0
        self._files.append(_Followed(name, path, next(self._next_colour), offset, unshown))

    def show_new_lines(self) -> None:
        """Print every line completed since the last call, file by file."""
        for followed in self._files:
            try:
                with followed.path.open("rb") as file:
                    file.seek(followed.offset)
                    fresh = file.read(_LARGEST_READ_BYTES)
            except FileNotFoundError:
                continue
            followed.offset += len(fresh)
            complete, newline, rest = (followed.unfinished + fresh).rpartition(b"\n")
            followed.unfinished = rest
            if newline:
                lines = complete.decode(errors="replace").split("\n")
                shown = [line for line in lines if not _matches(followed.unshown, line)]
                if shown:
                    self._print(followed.name, "\n".join(shown), followed.colour)

    def say(self, text: str) -> None:
        """Print a line of the supervisor itself."""
        self._print("groundswell", text, "1")

    def _print(self, name: str, text: str, shade: str) -> None:
        self._printer.write(Message("line", text, datetime.now(UTC).astimezone(), name, shade))
