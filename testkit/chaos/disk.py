"""A small disk for Redis that can be full: a tmpfs where mounting is permitted."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

_SIZE_BYTES: Final = 1 << 31
_PAGE_BYTES: Final = 4096
_TIMEOUT_S: Final = 10.0


class SmallDisk:
    """A tmpfs on an existing folder; nothing of it takes memory until it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.is_mounted = False

    def mount(self) -> bool:
        """Mount it; tell whether that was permitted."""
        mount = shutil.which("mount")
        if mount is None or os.name != "posix":
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ("-t", "tmpfs", "-o", f"size={_SIZE_BYTES}", "none", str(self._folder))
        self.is_mounted = _succeeds(mount, *options)
        return self.is_mounted

    def fill(self) -> None:
        """Leave no room: shrink the disk to what is used and write the rest."""
        usage = shutil.disk_usage(self._folder)
        self._resize(max(_PAGE_BYTES, usage.used + 16 * _PAGE_BYTES))

    def free(self) -> None:
        """Give it its size back."""
        self._resize(_SIZE_BYTES)

    def unmount(self) -> None:
        """Remove it with all it holds; whoever has files there must have ended."""
        umount = shutil.which("umount")
        give_up_at = time.monotonic() + _TIMEOUT_S
        while self.is_mounted and umount is not None and time.monotonic() < give_up_at:
            self.is_mounted = not _succeeds(umount, str(self._folder))
            if self.is_mounted:
                time.sleep(0.1)

    def _resize(self, size_bytes: int) -> None:
        mount = shutil.which("mount") or "mount"
        _succeeds(mount, "-o", f"remount,size={size_bytes}", str(self._folder))


def _succeeds(*argv: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  (our own argv, no shell)
            argv, check=False, capture_output=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
