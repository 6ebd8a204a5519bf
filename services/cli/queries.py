"""``groundswell queries``: check the catalog of queries and show what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.folders import catalog_file
from core.report import write_report
from core.schemas import Attached
from core.text import clean_text, readable_text
from services.cli.query_past import backfill, preview
from services.ingest.sources import SOURCES
from stream.queries import CatalogError, Query, QueryCatalog, load_catalog
from stream.queries.expression import iterate_terms
from stream.queries.hints import hints
from stream.queries.parts import names_of

DEFAULT_CATALOG = catalog_file()

app = typer.Typer(
    name="queries",
    help="Check and list the queries that are watched.",
    no_args_is_help=True,
)

CatalogFile = Annotated[
    Path, typer.Argument(help="Query catalog in TOML.", exists=True, dir_okay=False)
]


app.command()(backfill)
app.command()(preview)

PostText = Annotated[
    str | None, typer.Option(help="Print the queries that a post with this text matches.")
]
Repeated = list[str] | None


@app.command()
def check(
    file: CatalogFile = DEFAULT_CATALOG,
    text: PostText = None,
    author: Annotated[str, typer.Option(help="Author of that post.")] = "",
    lang: Annotated[str, typer.Option(help="Language of that post, such as en.")] = "",
    source: Annotated[str, typer.Option(help="Source of that post, such as bluesky.")] = "",
    tag: Annotated[Repeated, typer.Option(help="Tag beside that text; repeatable.")] = None,
    link: Annotated[Repeated, typer.Option(help="Address beside that text; repeatable.")] = None,
    card: Annotated[Repeated, typer.Option(help="Title of its link card.")] = None,
    alt: Annotated[Repeated, typer.Option(help="Description of a picture of it.")] = None,
    poll: Annotated[Repeated, typer.Option(help="Option of its poll; repeatable.")] = None,
) -> None:
    """Check a query catalog; with --text also try it on a post.

    What may not mean what was meant is said as a hint on standard error, also of a good catalog.

    Exit status: 0 the catalog is good, 2 it is refused, or wrong use (no such file).

    Example: groundswell queries check --text "Floods again #floodrelief" --lang en
    """
    if text is None and any((author, lang, source, tag, link, card, alt, poll)):
        raise typer.BadParameter(
            "--author, --lang, --source, --tag, --link, --card, --alt and --poll describe the post "
            "of --text"
        )
    catalog = _load_or_exit(file)
    for line in _hints(catalog):
        typer.echo(line, err=True)
    if text is None:
        _print_line(f"{file}: {len(catalog.queries)} queries, version {catalog.version}")
        return
    from services.ingest.sources.records import attached_of

    attached = attached_of(
        tags=tag or (), links=link or (), cards=card or (), alts=alt or (), polls=poll or ()
    )
    _print_matching(catalog, text, author, lang, source, attached)


@app.command(name="list")
def list_queries(
    file: CatalogFile = DEFAULT_CATALOG,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the queries to this file.")
    ] = None,
) -> None:
    """List the queries of a catalog.

    Exit status: 0 listed, 2 the catalog is refused, or wrong use (no such file).

    Example: groundswell queries list --json queries.json
    """
    catalog = _load_or_exit(file)
    # Not a column for each: in 80 columns an expression would be a word wide.
    table = Table("query", "what it watches", show_lines=True, title=f"version {catalog.version}")
    for query in catalog.queries:
        table.add_row(query.name, _watched(query))
    Console().print(table)
    if json_file is not None:
        _write_report(json_file, file, catalog)


def _watched(query: Query) -> Text:
    """Return title, expression and labels, each in lines of its own."""
    labels = ", ".join(f"{name}={value}" for name, value in sorted(query.labels.items()))
    lines = [(query.title, "bold"), (str(query.expression), ""), (labels, "dim")]
    # A text and not markup: a "[" in a title must not be taken for a style.
    return Text("\n").join(Text(" ".join(line.split()), style) for line, style in lines if line)


def _load_or_exit(file: Path) -> QueryCatalog:
    try:
        return load_catalog(file)
    except CatalogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _hints(catalog: QueryCatalog) -> list[str]:
    return [
        f"hint: queries.{query.name}: column {hint.column}: {hint.text}"
        for query in catalog.queries
        for hint in hints(query.written, query.expression, SOURCES.names())
    ]


def _print_matching(
    catalog: QueryCatalog, text: str, author: str, lang: str, source: str, attached: Attached | None
) -> None:
    from stream.queries.matcher import Matcher

    matcher = Matcher(catalog.queries)
    columns = ([clean_text(readable_text(text))[0]], [author], [lang], [source])
    (found,) = matcher.match_batch(*columns, [attached])
    for index in found:
        _print_line(matcher.names[index])


def _print_line(line: str) -> None:
    typer.echo(line)


def _write_report(json_file: Path, file: Path, catalog: QueryCatalog) -> None:
    terms = {term for query in catalog.queries for term in iterate_terms(query.expression)}
    rows = [
        {
            "name": query.name,
            "title": query.title,
            "expression": str(query.expression),
            "labels": dict(query.labels),
            "parts": names_of(query.parts),
        }
        for query in catalog.queries
    ]
    write_report(
        json_file,
        "queries list",
        {"queries": len(catalog.queries), "distinct_terms": len(terms)},
        settings={"file": str(file), "catalog_version": catalog.version},
        packages=("ahocorasick-rs",),
        tables={"queries": rows},
    )
