"""What a mutant is, and which are run when not all of them are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Mutant:
    """One small fault in one file.

    Attributes:
        path: The file, relative to the root of the project.
        operator: The kind of fault.
        line: The number of the first line that differs.
        before: That line without its indentation.
        number: The number among the mutants of this file that share operator and line text.
        source: The function that returns the whole file with the fault in it.
    """

    path: str
    operator: str
    line: int
    before: str
    number: int
    source: Callable[[], str]

    @property
    def name(self) -> str:
        """The name under which it is found again when lines elsewhere have moved.

        Example:
            >>> Mutant("a.lua", "> to >=", 3, "if a > b then", 0, str).name
            'a.lua: if a > b then [> to >= #0]'
        """
        return f"{self.path}: {self.before} [{self.operator} #{self.number}]"


def numbered(
    path: str, source: str, found: Iterable[tuple[int, str, Callable[[], str]]]
) -> list[Mutant]:
    """Return the mutants of a file.

    Args:
        path: The file, relative to the root of the project.
        source: The text of the file.
        found: The line number, the operator and the maker of the text of each.
    """
    lines, seen = source.splitlines(), Counter[tuple[str, str]]()
    mutants: list[Mutant] = []
    for line, operator, make in found:
        before = lines[line - 1].strip()
        mutants.append(Mutant(path, operator, line, before, seen[operator, before], make))
        seen[operator, before] += 1
    return mutants


def drawn(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """Return the mutants in an order drawn by the hash of their names.

    The first of them are a sample of all. Each keeps its place when others come or go, so that the
    samples before and after a change are, with the same seed, of the same mutants.
    """

    def place(mutant: Mutant) -> bytes:
        return blake2b(f"{seed}\0{mutant.name}".encode(), digest_size=8).digest()

    return sorted(mutants, key=place)
