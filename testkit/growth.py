"""A copy of the source tree in which a test adds something, as a newcomer would, and counts.

What is added must work by being written down once and registered once. The copy shadows the
installed project by `PYTHONPATH`, so that what runs in it is the copy and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
_LONGEST_S: Final = 300


@dataclass(slots=True)
class GrowingTree:
    """A copy of the checkout, and what was changed in it.

    Attributes:
        root: The folder of the copy.
        written: The files that were added, with their number of lines.
        lines: How many lines were added to each file that was there before.
    """

    root: Path
    written: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def copy_to(cls, folder: Path) -> GrowingTree:
        """Copy every file that git tracks or would track into an empty folder."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607
            cwd=CHECKOUT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in listed.stdout.splitlines():
            if (CHECKOUT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, folder / name)
        return cls(folder)

    def add_file(self, name: str, text: str) -> None:
        """Write a file that was not there.

        Raises:
            FileExistsError: The file is there: growing must not rewrite it.
        """
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        self.written[name] = text.count("\n")

    def add_line(self, name: str, line: str, after: str) -> None:
        """Add one line after the only line of a file that holds the text `after`.

        Raises:
            ValueError: The text is in no line or in several.
        """
        path = self.root / name
        lines = path.read_text(encoding="utf-8").splitlines()
        where = [number for number, old in enumerate(lines) if after in old]
        if len(where) != 1:
            raise ValueError(f"{name}: {after!r} is in {len(where)} lines, expected one")
        lines.insert(where[0] + 1, line)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.lines[name] = self.lines.get(name, 0) + 1

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with arguments in the copy, for five minutes at most; output is text."""
        return subprocess.run(  # noqa: S603 our own program
            [sys.executable, *arguments],
            cwd=self.root, capture_output=True, text=True, check=False, timeout=_LONGEST_S,
            env=os.environ | {"PYTHONPATH": str(self.root)},
        )  # fmt: skip
