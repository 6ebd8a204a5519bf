"""What people watch: named boolean expressions, matched against whole batches of posts.

This package owns the query language (`grammar`), the catalog file (`catalog`), the matcher
that finds every query of a post in one pass over the text (`matcher`), and which of them is in
use (`live`). It refuses to know
where posts come from, how they are scored and what is counted for a query; it opens no socket
and starts no thread.
"""

from stream.queries.catalog import (
    CatalogError,
    Query,
    QueryCatalog,
    load_catalog,
)
from stream.queries.grammar import QuerySyntaxError, parse
from stream.queries.live import CatalogWatcher, LiveMatcher, Reload
from stream.queries.matcher import ALL, Matcher

__all__ = [
    "ALL",
    "CatalogError",
    "CatalogWatcher",
    "LiveMatcher",
    "Matcher",
    "Query",
    "QueryCatalog",
    "QuerySyntaxError",
    "Reload",
    "load_catalog",
    "parse",
]
