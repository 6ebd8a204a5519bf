"""``groundswell sources``: list the sources, check one, and read some of its posts."""

from __future__ import annotations

import platform
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace

from core.codec import encode
from core.errors import ConfigError
from core.schemas import Post
from core.settings import Secret
from models.serving.language import primary_subtag
from services.cli.ingest import parse_assignments
from services.cli.settings import load_settings
from services.ingest.edge import Edge
from services.ingest.launch import make_source
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Gap, Ignored, RawRecord, Source, SourceItem, Unmappable

_POLL_ITEMS = 500
_POLL_TIMEOUT_S = 0.2
_CHECKED_ITEMS = 1_000
_CHECK_S = 10.0

app = typer.Typer(name="sources", help="List, check and tail the sources.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Registered name of the source.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", metavar="FILE", help="TOML options of the source.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]


@app.command(name="list")
def list_sources() -> None:
    """List the registered sources and what each is.

    A live source is of people who speak now: it hides its authors. One that can wait is slowed
    while Kafka is; of one that cannot, items are lost then, and counted.

    Exit status: 0.

    Example: groundswell sources list
    """
    for name in SOURCES.names():
        try:
            kind: type[Source] = SOURCES.get(name)
        except ConfigError as error:  # an optional package that is not installed
            typer.echo(f"{name}: {error}")
            continue
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        live = "live, " if kind.is_live else ""
        waits = "can wait" if kind.can_wait else "cannot wait"
        typer.echo(f"{name}: {summary} ({live}{waits})")


@app.command()
def check(
    name: Name,
    options: OptionsFile = None,
    set_: Assignments = None,
    items: Annotated[
        int | None, typer.Option(min=1, help="How many items to look at; else 1,000.")
    ] = None,
    deadline_s: Annotated[
        float | None, typer.Option(min=0.1, help="Look so long at most; else 10 seconds.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
) -> None:
    """Open a source, without Kafka, and say what it delivers.

    Of a live one also how fast, how late, in which languages, and why sessions ended. Of a file
    to be replayed all of it: its format, columns, span and order, the first post as it will be
    counted, what will not be counted and why, and what mends it. Its stored cursor is neither used
    nor moved.

    Exit status: 0 it delivers posts (of a file: all of its rows), 1 it delivers none (of a file:
    not all), 2 wrong options, or nothing can be read.

    Example: groundswell sources check bluesky --deadline-s 20

    Example: groundswell sources check replay --set path=airline.csv.gz
    """
    if name == "replay":
        _check_file(options, set_, items, deadline_s, json_file)
        return
    items, deadline_s = items or _CHECKED_ITEMS, deadline_s or _CHECK_S
    source, edge = _open(name, options, set_)
    counts: Counter[str] = Counter()
    details: Counter[str] = Counter()
    seen = _Seen()
    started_s = time.monotonic()
    try:
        while counts.total() < items and time.monotonic() - started_s < deadline_s:
            found = edge(source.poll(min(_POLL_ITEMS, items - counts.total()), _POLL_TIMEOUT_S))
            seen.take(found)
            counts.update(_kind(item) for item in found)
            details.update(
                item.record.detail.partition(": ")[2]
                for item in found
                if isinstance(item.record, Unmappable)
            )
            if not found and source.exhausted:
                break
    finally:
        source.close()
    for kind, number in counts.most_common():
        typer.echo(f"{kind}: {number:,}")
    for detail, number in details.most_common(5):
        typer.echo(f"unmappable, {number:,} times: {detail}")
    figures: dict[str, float] = dict(counts)
    if source.is_live:
        figures |= seen.figures(time.monotonic() - started_s)
        _say_live(source, seen, figures)
    _write_report(json_file, figures, name, source.options)
    if not counts["posts"]:
        typer.echo(f"{name} delivered no post", err=True)
        raise typer.Exit(1)


def _check_file(
    options_file: Path | None,
    assignments: list[str] | None,
    items: int | None,
    deadline_s: float | None,
    json_file: Path | None,
) -> None:
    """Look at all of a file, unless a bound is given."""
    from services.cli.replay import read_options, show_preview

    overrides = [*(assignments or ()), *([f"limit_rows={items}"] if items else ())]
    options = read_options(options_file, overrides)
    words = ["groundswell", "sources", "check", "replay"]
    words += ["--options", str(options_file)] if options_file else []
    for assignment in assignments or ():
        words += ["--set", assignment]
    found = show_preview(options, words, deadline_s)
    figures = {"posts": float(found.survey.posts)}
    figures |= {
        name: float(number)
        for name, number in (
            ("unmappable", found.survey.faults.total()),
            ("repeated", found.survey.repeated),
            ("left_out", found.survey.left_out.total()),
        )
        if number
    }
    _write_report(json_file, figures, "replay", options)
    if not found.all_count:
        raise typer.Exit(1)


def _write_report(
    json_file: Path | None, figures: Mapping[str, float], name: str, options: msgspec.Struct
) -> None:
    if json_file is None:
        return
    report = {
        "figures": figures,
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "versions": {"msgspec": msgspec.__version__},
        "seed": getattr(options, "seed", None),
        "settings": {"source": name, "options": msgspec.to_builtins(options)},
    }
    json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


@app.command()
def tail(
    name: Name,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many posts.")] = 20,
    options: OptionsFile = None,
    set_: Assignments = None,
) -> None:
    """Print posts of a source as JSON lines, without Kafka and without moving its cursor.

    Posts are as they would reach Kafka. Without `ingest.author_key` the authors of a live source
    are hidden by a key that is made up for this one look.

    Exit status: 0 printed, 1 the source ended before the first post, 2 wrong options.

    Example: groundswell sources tail synthetic -n 5
    """
    source, edge = _open(name, options, set_)
    printed = 0
    try:
        while printed < count:
            found = edge(source.poll(min(_POLL_ITEMS, count - printed), _POLL_TIMEOUT_S))
            for item in found:
                if isinstance(item.record, Post) and printed < count:
                    typer.echo(encode(item.record).decode())
                    printed += 1
            if not found and source.exhausted:
                break
    finally:
        source.close()
    if not printed:
        raise typer.Exit(1)


def _open(
    name: str, options: Path | None, assignments: list[str] | None
) -> tuple[Source, Callable[[Sequence[SourceItem]], Sequence[SourceItem]]]:
    # Looking leaves nothing behind: files that a run writes are not ours to touch.
    overrides = parse_assignments(assignments or [])
    if name == "synthetic":
        overrides |= {"ledger": "", "truth": ""}
    settings = load_settings()
    if not settings.ingest.author_key and SOURCES.get(name).is_live:
        key = Secret(secrets.token_hex())
        settings = replace(settings, ingest=replace(settings.ingest, author_key=key))
    source = make_source(settings, name, options, overrides)
    source.open(None)
    return source, Edge(source, settings.ingest, source.context.metrics)


@dataclass(slots=True)
class _Seen:
    """What was seen of a live source."""

    languages: Counter[str] = field(default_factory=Counter[str])
    near_duplicates: int = 0
    posts: int = 0
    late_s: list[float] = field(default_factory=list[float])

    def take(self, items: Sequence[SourceItem]) -> None:
        for post in (item.record for item in items if isinstance(item.record, Post)):
            self.posts += 1
            self.languages[primary_subtag(post.lang) or "unknown"] += 1
            self.near_duplicates += post.near_duplicate
            if post.claimed_at is not None:
                self.late_s.append((post.ingested_at - post.claimed_at).total_seconds())

    def figures(self, seconds: float) -> dict[str, float]:
        figures = {"seconds": round(seconds, 1), "posts_per_s": round(self.posts / seconds, 1)}
        if self.posts:
            figures["near_duplicate_share"] = round(self.near_duplicates / self.posts, 4)
        if self.late_s:
            figures["median_lag_s"] = round(statistics.median(self.late_s), 2)
        return figures


def _say_live(source: Source, seen: _Seen, figures: Mapping[str, float]) -> None:
    typer.echo(", ".join(f"{name}: {value:g}" for name, value in figures.items() if "_" in name))
    common = ", ".join(f"{lang} {number:,}" for lang, number in seen.languages.most_common(8))
    typer.echo(f"languages: {common or 'none'}")
    for metric in source.context.metrics.source_reconnects.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["source"] == source.name:
                typer.echo(f"sessions ended, {sample.labels['cause']}: {sample.value:g}")


def _kind(item: SourceItem) -> str:
    record = item.record
    if isinstance(record, Unmappable):
        return "unmappable"
    if isinstance(record, RawRecord):
        return "raw records"
    if isinstance(record, Ignored):
        return "ignored"
    if isinstance(record, Gap):
        return "gaps"
    if not isinstance(record, Post):
        return "events"
    return "duplicates" if item.duplicate else "posts"
