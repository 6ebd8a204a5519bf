#!/usr/bin/env python3
"""Refuse files that must never be committed: large ones, data, notebooks, secrets, bad endings.

Given paths it checks those (pre-commit); without, every tracked file (`make lint`). Exit status 1
when something is found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 10_000_000
FORBIDDEN_SUFFIXES = {".ipynb", ".csv", ".parquet", ".pt", ".pth", ".pkl", ".gz", ".zst"}
# Private keys, and long tokens in the forms that providers use.
SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    rb"|\bxox[baprs]-[A-Za-z0-9-]{20,}\b"
)


def faults(path: Path) -> list[str]:
    """Return what is wrong with a file, a sentence each."""
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


def main(arguments: list[str]) -> int:
    """Check the given or all tracked files; return the exit status."""
    names = (
        arguments
        or subprocess.run(
            ["git", "ls-files"],  # noqa: S607 the git of whoever runs it
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    )
    found = [fault for name in names for fault in faults(Path(name))]
    print("\n".join(found) or f"{len(names)} files are fit to commit", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
