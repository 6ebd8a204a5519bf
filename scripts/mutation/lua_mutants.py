"""Mutants of the scripts that Redis runs: operators of our own, as nobody keeps one for Lua."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from mutation.mutants import Mutant, numbered

_SILENT: Final = re.compile(r"--[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
"""Comments and strings: no fault is planted in them."""

_REPLACED: Final[tuple[tuple[str, str], ...]] = (
    (r"==", "~="), (r"~=", "=="), (r"<=", "<"), (r">=", ">"),
    (r"<(?!=)", "<="), (r">(?!=)", ">="),
    (r"(?<= )\+(?= )", "-"), (r"(?<= )-(?= )", "+"), (r"\*", "+"), (r"/", "*"), (r"%", "+"),
    (r"\band\b", "or"), (r"\bor\b", "and"), (r"\bnot ", ""),
)  # fmt: skip
_NUMBER: Final = re.compile(r"(?<![\w.\[])\d+\b")
"""Not those that begin an index: another place of a message fails every test at once."""

_CONDITION: Final = re.compile(r"(?m)^ *(?:else)?if (.+) then\b")
_STATEMENT: Final = re.compile(
    r"^ *(?:[\w.]+\([^\n]*\)|break|return|[\w.]+(?:\[[^\n]*?\])?(?:, \w+)* = [^\n]*[^,(\n])$"
)
"""A statement of one line with an effect; `local` ones are left: what follows would not run."""


def lua_mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a Lua file."""
    return numbered(path, source, _found(source))


def _found(source: str) -> Iterator[tuple[int, str, Callable[[], str]]]:
    bare = _SILENT.sub(lambda match: " " * len(match[0]), source)

    def fault(start: int, end: int, operator: str, text: str) -> tuple[int, str, Callable[[], str]]:
        line = source.count("\n", 0, start) + 1
        return line, operator, partial(_replaced, source, start, end, text)

    for pattern, text in _REPLACED:
        for match in re.finditer(pattern, bare):
            yield fault(*match.span(), f"{match[0].strip()} to {text or 'nothing'}", text)
    for match in _NUMBER.finditer(bare):
        for step in (1, -1):
            yield fault(*match.span(), f"{step:+d}", f"({int(match[0]) + step})")
    for match in _CONDITION.finditer(bare):
        start, end = match.span(1)
        yield fault(start, end, "swap branches", f"not ({source[start:end]})")
    at = 0
    for line in bare.splitlines(keepends=True):
        whole = line.rstrip()
        if _STATEMENT.match(whole) and whole.count("(") == whole.count(")"):
            start = at + len(whole) - len(whole.lstrip())
            yield fault(start, at + len(whole), "leave out", "")
        at += len(line)


def _replaced(source: str, start: int, end: int, text: str) -> str:
    return source[:start] + text + source[end:]
