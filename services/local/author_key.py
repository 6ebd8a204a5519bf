"""The key of the author hashes of a local stack: made once, readable by its owner only."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32
VARIABLE: Final = "GROUNDSWELL__INGEST__AUTHOR_KEY_FILE"
"""A path and not the key: variables of a process are shown by many tools, and the run file has
them."""


def ensure_author_key(path: Path) -> None:
    """Write a random key to `path`, unless there is one.

    Linked into place whole: of two programs that start together both find the same key, and a
    crash leaves none or all of it.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
