"""What people watch: named boolean expressions, matched against whole batches of posts.

This package owns the query language (`grammar`), the catalog file (`catalog`) and the matcher
that finds every query of a post in one pass over the text (`matcher`). It refuses to know
where posts come from, how they are scored and what is counted for a query; it opens no socket
and starts no thread.
"""

from stream.queries.catalog import (
    CatalogError,
    CatalogWatcher,
    Query,
    QueryCatalog,
    Reload,
    load_catalog,
)
from stream.queries.grammar import QuerySyntaxError, parse
from stream.queries.matcher import ALL, Matcher

__all__ = [
    "ALL",
    "CatalogError",
    "CatalogWatcher",
    "Matcher",
    "Query",
    "QueryCatalog",
    "QuerySyntaxError",
    "Reload",
    "load_catalog",
    "parse",
]
