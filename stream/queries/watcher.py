"""The query file, watched: the last catalog that was good, and what is wrong with the file now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stream.queries.catalog import CatalogError, parse_catalog, read_catalog_file

# Modification time in ns, size in bytes, inode.
_Stamp: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of a look at the catalog file.

    Attributes:
        is_changed: the watcher's catalog is another one than before.
        error: why the file as it is now cannot be used; given once for each state of the file.
    """

    is_changed: bool = False
    error: CatalogError | None = None


class CatalogWatcher:
    """Keeps the last good catalog of a file; the caller decides when to look.

    The worker looks every few seconds and makes a new matcher when the catalog changed. A look
    at an untouched file costs one `stat`. Not for use by several threads at once.

    Attributes:
        catalog: the last one that was valid.
        last_error: why the file as last seen is not valid; None when it is.
    """

    def __init__(self, path: Path, read: Callable[[Path], bytes] = read_catalog_file) -> None:
        """Load the catalog.

        Args:
            path: of the catalog file.
            read: returns the content of the file or raises `CatalogError`.

        Raises:
            CatalogError: the file is not valid at the start; there is nothing to fall back to.
        """
        self._path = path
        self._read = read
        self._stamp: _Stamp | None = _stamp_of(path)
        self._content = read(path)
        self.catalog = parse_catalog(self._content, path)
        self.last_error: CatalogError | None = None

    def reload_if_changed(self) -> Reload:
        """Look at the file; keep the present catalog when the new content is not valid.

        A file whose change is invisible to `stat` (same size, inode and modification time in
        nanoseconds) is not read again.
        """
        stamp = _stamp_of(self._path)
        if stamp == self._stamp:
            return Reload()
        try:
            content = self._read(self._path)
            if content == self._content and self.last_error is None:
                self._stamp = stamp
                return Reload()
            catalog = parse_catalog(content, self._path)
        except CatalogError as error:
            self._stamp = stamp
            self.last_error = error
            return Reload(error=error)
        # The stamp was taken before the content, so a write in between is seen the next time.
        self._stamp, self._content = stamp, content
        self.last_error = None
        is_changed = catalog.version != self.catalog.version
        self.catalog = catalog
        return Reload(is_changed=is_changed)


def _stamp_of(path: Path) -> _Stamp | None:
    """Return what shows that a file changed without reading it; None when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
