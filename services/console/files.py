"""Small files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Generator
from pathlib import Path

from core.errors import ConfigError


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner may read; a crash leaves the old or the new one.

    Raises:
        ConfigError: It cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Keep others who change a file waiting, of this process or another.

    The lock is a file beside it: the file itself is replaced, and so another one after each change.

    Raises:
        ConfigError: It cannot be locked.
    """
    beside = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{beside}: cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def secret_of(path: Path, size: int = 32) -> bytes:
    """Return the random bytes of a file, made on first use; all who ask find the same ones.

    Raises:
        ConfigError: It can be neither read nor written, or is not `size` bytes long.
    """
    if not path.exists():
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        write_private(scratch, secrets.token_bytes(size))
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink(missing_ok=True)
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(found) != size:
        raise ConfigError(f"{path}: expected {size} random bytes, found {len(found)}: remove it")
    return found
