"""What people watch: named boolean expressions, matched against whole batches of posts.

This package owns the query language (`grammar`), the catalog file (`catalog`) and the watch over
it (`watcher`), the matcher that finds every query of a post in one pass over the text
(`matcher`), and which of them is in use (`live`). It refuses to know
where posts come from, how they are scored and what is counted for a query; it opens no socket
and starts no thread. The matcher is imported from its own module, because only the processes
that match posts pay for it.
"""

from stream.queries.catalog import (
    CatalogError,
    Query,
    QueryCatalog,
    load_catalog,
)
from stream.queries.grammar import QuerySyntaxError, parse
from stream.queries.watcher import CatalogWatcher, Reload

__all__ = [
    "CatalogError",
    "CatalogWatcher",
    "Query",
    "QueryCatalog",
    "QuerySyntaxError",
    "Reload",
    "load_catalog",
    "parse",
]
