#!/usr/bin/env python3
"""Refuse what must never be committed, and code that has outgrown the house.

Files: large ones, data, notebooks, secrets, bad endings. Code: files and functions that are too
long, a class name that stands for two things in the product, a guarded package imported by its
name as text (past the import contracts of `pyproject.toml`).

Given paths it checks those (pre-commit); without, every tracked file (`make lint`). Class names are
compared over the whole product either way. Exit status 1 when something is found.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10_000_000
MAX_FILE_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 40
FORBIDDEN_SUFFIXES: Final = {".ipynb", ".csv", ".parquet", ".pt", ".pth", ".pkl", ".gz", ".zst"}
PRODUCT: Final = ("core", "stream", "models", "services")
MEASURED: Final = (*PRODUCT, "groundswell", "evaluation", "testkit", "scripts")
"""Folders whose files and functions have a limit."""
GUARDED: Final = {"kafka", "aiokafka", "faust", "mode", "redis", "tritonclient", "torch"}
# Private keys, and long tokens in the forms that providers use.
SECRETS: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    rb"|\bxox[baprs]-[A-Za-z0-9-]{20,}\b"
)


def file_faults(path: Path) -> list[str]:
    """Return what is wrong with a file of any kind, a sentence each."""
    if not path.is_file() or path.is_symlink():
        return []
    found: list[str] = []
    if path.stat().st_size > MAX_BYTES:
        found.append(f"{path}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    if path.suffix in FORBIDDEN_SUFFIXES:
        found.append(f"{path}: {path.suffix} files are not committed")
    content = path.read_bytes()
    if SECRETS.search(content):
        found.append(f"{path}: looks like a secret")
    if b"\0" not in content[:8000] and content and not content.endswith(b"\n"):
        found.append(f"{path}: no newline at the end")
    return found


def code_faults(path: Path) -> list[str]:
    """Return what has outgrown its limit in a Python file, a sentence each."""
    if path.suffix != ".py" or path.parts[0] not in MEASURED or not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    found: list[str] = []
    if lines > MAX_FILE_LINES:
        found.append(f"{path}: {lines} lines, expected at most {MAX_FILE_LINES}: split it by idea")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                found.append(
                    f"{path}:{node.lineno}: {node.name} has {length} lines, expected at most "
                    f"{MAX_FUNCTION_LINES}"
                )
        elif isinstance(node, ast.Call) and (package := imported_by_text(node)) in GUARDED:
            found.append(
                f"{path}:{node.lineno}: {package} is imported by its name as text, past the import "
                "contracts"
            )
    return found


def imported_by_text(call: ast.Call) -> str:
    """Return the package that a call imports by a literal name, "" for any other call."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in ("import_module", "__import__") or not call.args:
        return ""
    argument = call.args[0]
    if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
        return ""
    return argument.value.partition(".")[0]


def class_faults(paths: Sequence[Path]) -> Iterator[str]:
    """Yield a sentence for each class name that stands in more than one place of the product."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.suffix == ".py" and path.parts[0] in PRODUCT and path.is_file():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path}:{node.lineno}")
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield (
                f"{found[1]}: the class name {name} stands in {len(found)} places, expected one; "
                f"also {', '.join([found[0], *found[2:]])}"
            )


def tracked() -> list[str]:
    """Return the names of all files that git tracks."""
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 the git of whoever runs it
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.splitlines()


def main(arguments: list[str]) -> int:
    """Check the given or all tracked files; return the exit status."""
    everything = tracked()
    paths = [Path(name) for name in arguments or everything]
    found = [fault for path in paths for fault in (*file_faults(path), *code_faults(path))]
    found += class_faults([Path(name) for name in everything])
    print("\n".join(found) or f"{len(paths)} files are fit to commit", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
