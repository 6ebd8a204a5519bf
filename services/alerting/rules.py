"""The rules of single queries in use: read from the query file, and again when it changed.

A closer goes on without a file that it can read: windows close, and shifts are judged by the
settings and the last rules that were good.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Alert
from stream.queries import CatalogError, CatalogWatcher, QueryCatalog
from stream.shifts.rules import NO_RULES, AlertRules

_log = get_logger(__name__)


class LiveRules:
    """What is asked of the alerts of each query, as the query file has it.

    Args:
        path: The query file.
        metrics: The metrics of the closer.

    Attributes:
        by_query: query -> its rules, of those that have any.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._watcher: CatalogWatcher | None = None
        self._refused = ""
        self.by_query: Mapping[str, AlertRules] = {}

    def check(self) -> bool:
        """Read the query file if it changed; return whether the rules may have changed."""
        try:
            if self._watcher is None:
                self._watcher = CatalogWatcher(self._path)
                return self._take(self._watcher.catalog)
            reload = self._watcher.reload_if_changed()
        except CatalogError as error:
            self._refuse(error)
            return False
        if reload.error is not None:
            self._refuse(reload.error)
        return reload.is_changed and self._take(self._watcher.catalog)

    def tells(self, alert: Alert) -> bool:
        """Return whether people are told of an alert."""
        return self.by_query.get(alert.query, NO_RULES).tells(alert.kind, alert.direction)

    def _take(self, catalog: QueryCatalog) -> bool:
        self._refused = ""
        self.by_query = {one.name: one.alerts for one in catalog.queries if one.alerts != NO_RULES}
        _log.info("rules of queries", count=len(self.by_query), version=catalog.version)
        return True

    def _refuse(self, error: CatalogError) -> None:
        """Count and say once what is wrong with the file as it is now."""
        if str(error) != self._refused:
            self._refused = str(error)
            self._metrics.query_reload_failures.inc()
            _log.error("query file refused, keeping the rules of before", error=str(error))
