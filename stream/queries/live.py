"""The queries in use: a new matcher is made when the catalog file has changed."""

from __future__ import annotations

from pathlib import Path

from core.authors import author_hasher
from core.logs import get_logger
from core.metrics import Metrics
from core.settings import Secret
from stream.queries.matcher import Matcher
from stream.queries.watcher import CatalogWatcher

_log = get_logger(__name__)


class LiveMatcher:
    """The matcher in use, replaced when the query file changes; a bad file keeps the old one."""

    def __init__(self, path: Path, metrics: Metrics, author_key: Secret) -> None:
        self._watcher = CatalogWatcher(path)
        self._metrics = metrics
        # Without a key authors are plain handles, which the matcher compares by itself. With one
        # some still are: those of sources that are of public figures, or that are made up.
        self._author_key = author_hasher(author_key) if author_key else None
        self._take()

    def __call__(self) -> Matcher:
        """Return the matcher in use now."""
        return self.current

    def check(self) -> None:
        """Reload the query file if it changed."""
        reload = self._watcher.reload_if_changed()
        if reload.error is not None:
            self._metrics.query_reload_failures.inc()
            _log.error("query file refused, keeping the old one", error=str(reload.error))
        elif reload.is_changed:
            self._take()

    def _take(self) -> None:
        catalog = self._watcher.catalog
        self.current = Matcher(catalog.queries, self._author_key, plain_authors=True)
        self._metrics.queries_loaded.set(len(self.current.names))
        _log.info("queries loaded", count=len(catalog.queries), version=catalog.version)
