"""``groundswell queries``: check the catalog of queries and show what is in it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from stream.queries import CatalogError, Matcher, QueryCatalog, load_catalog
from stream.queries.expression import iterate_terms

DEFAULT_CATALOG = Path("configs/queries.toml")

app = typer.Typer(
    name="queries",
    help="Check and list the queries that are watched.",
    no_args_is_help=True,
)

CatalogFile = Annotated[
    Path, typer.Argument(help="Query catalog in TOML.", exists=True, dir_okay=False)
]


@app.command()
def check(
    file: CatalogFile = DEFAULT_CATALOG,
    text: Annotated[
        str | None, typer.Option(help="Print the queries that a post with this text matches.")
    ] = None,
    author: Annotated[str, typer.Option(help="Author of that post.")] = "",
    lang: Annotated[str, typer.Option(help="Language of that post, such as en.")] = "",
    source: Annotated[str, typer.Option(help="Source of that post, such as bluesky.")] = "",
) -> None:
    """Check a query catalog; with --text also try it on a post.

    Exit status: 0 the catalog is good, 1 it is not, 2 wrong use (no such file).

    Example: groundswell queries check --text "Floods again #floodrelief" --lang en
    """
    if text is None and (author or lang or source):
        raise typer.BadParameter("--author, --lang and --source describe the post of --text")
    catalog = _load_or_exit(file)
    if text is None:
        _print_line(f"{file}: {len(catalog.queries)} queries, version {catalog.version}")
        return
    matcher = Matcher(catalog.queries)
    (found,) = matcher.match_batch([text], [author], [lang], [source])
    for index in found:
        _print_line(matcher.names[index])


@app.command(name="list")
def list_queries(
    file: CatalogFile = DEFAULT_CATALOG,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the queries to this file.")
    ] = None,
) -> None:
    """List the queries of a catalog.

    Exit status: 0 listed, 1 the catalog is not good, 2 wrong use (no such file).

    Example: groundswell queries list --json queries.json
    """
    catalog = _load_or_exit(file)
    table = Table("query", "title", "expression", "labels", title=f"version {catalog.version}")
    for query in catalog.queries:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(query.labels.items()))
        # Cells are text, not markup: a "[" in a title must not be taken for a style.
        table.add_row(*map(_plain, (query.name, query.title, str(query.expression), labels)))
    Console().print(table)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(_report(file, catalog))))


def _plain(cell: str) -> str:
    return " ".join(cell.split()).replace("[", r"\[")


def _load_or_exit(file: Path) -> QueryCatalog:
    try:
        return load_catalog(file)
    except CatalogError as error:
        _print_line(str(error))
        raise typer.Exit(1) from error


def _print_line(line: str) -> None:
    typer.echo(line)


def _report(file: Path, catalog: QueryCatalog) -> dict[str, object]:
    terms = {term for query in catalog.queries for term in iterate_terms(query.expression)}
    return {
        "figures": {"queries": len(catalog.queries), "distinct_terms": len(terms)},
        "machine": {"platform": platform.platform(), "architecture": platform.machine()},
        "versions": {"python": platform.python_version(), "ahocorasick-rs": _matcher_version()},
        "seed": None,
        "settings": {"file": str(file), "catalog_version": catalog.version},
        "queries": [
            {
                "name": query.name,
                "title": query.title,
                "expression": str(query.expression),
                "labels": dict(query.labels),
            }
            for query in catalog.queries
        ],
    }


def _matcher_version() -> str:
    return version("ahocorasick-rs")
