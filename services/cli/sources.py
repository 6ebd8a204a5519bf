"""``groundswell sources``: list the sources, show and check one, read some of its posts."""

from __future__ import annotations

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
from core.report import write_report
from core.schemas import Post
from core.settings import Secret
from models.serving.language import primary_subtag
from services.cli.ingest import parse_assignments
from services.cli.settings import load_settings
from services.ingest.edge import Edge
from services.ingest.launch import make_source
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Gap, Ignored, RawRecord, Source, SourceItem, Unmappable
from services.ingest.sources.options import describe_options

_POLL_ITEMS = 500
_POLL_TIMEOUT_S = 0.2
_CHECKED_ITEMS = 1_000
_CHECK_S = 10.0

app = typer.Typer(
    name="sources", help="List, show, check and tail the sources.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Registered name of the source.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", metavar="FILE", help="TOML options of the source.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]


Items = Annotated[int | None, typer.Option(min=1, help="How many items to look at; else 1,000.")]
Deadline = Annotated[
    float | None, typer.Option(min=0.1, help="Look so long at most; else 10 seconds.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
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
        typer.echo(f"{name}: {_title(kind)} ({_kind_of(kind)})")


@app.command()
def show(name: Name) -> None:
    """Print what a source needs, what its platform allows, and every option it has.

    Exit status: 0 printed, 2 no such source.

    Example: groundswell sources show mastodon
    """
    kind: type[Source] = SOURCES.get(name)
    manifest = kind.manifest
    typer.echo(f"{name}: {_title(kind)} ({_kind_of(kind)})")
    for word, sentences in (
        ("needs", manifest.needs if manifest else ()),
        ("limits", manifest.limits if manifest else ()),
    ):
        for sentence in sentences:
            typer.echo(f"{word:8} {sentence}")
    typer.echo("options, each as --set OPTION=VALUE or in the file of --options:")
    for option, default, meaning in describe_options(kind.Options):
        typer.echo(f"  {option} = {default}{': ' if meaning else ''}{meaning}")


def _title(kind: type[Source]) -> str:
    if kind.manifest is not None:
        return kind.manifest.title
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _kind_of(kind: type[Source]) -> str:
    return ("live, " if kind.is_live else "") + ("can wait" if kind.can_wait else "cannot wait")


@app.command()
def check(
    name: Name,
    options: OptionsFile = None,
    set_: Assignments = None,
    items: Items = None,
    deadline_s: Deadline = None,
    json_file: JsonFile = None,
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
    source, edge = _open(name, options, set_)
    seen = Look()
    try:
        seen.look(source, edge, items or _CHECKED_ITEMS, deadline_s or _CHECK_S)
    finally:
        source.close()
    for kind, number in seen.counts.most_common():
        typer.echo(f"{kind}: {number:,}")
    for detail, number in seen.details.most_common(5):
        typer.echo(f"unmappable, {number:,} times: {detail}")
    figures: dict[str, float] = dict(seen.counts)
    if source.is_live:
        figures |= seen.figures()
        _say_live(source, seen, figures)
    _write_figures(json_file, figures, name, source.options)
    if not seen.counts["posts"]:
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
    _write_figures(json_file, figures, "replay", options)
    if not found.all_count:
        raise typer.Exit(1)


def _write_figures(
    json_file: Path | None, figures: Mapping[str, float], name: str, options: msgspec.Struct
) -> None:
    if json_file is not None:
        settings = {"source": name, "options": msgspec.to_builtins(options)}
        seed = getattr(options, "seed", None)
        write_report(json_file, "sources check", figures, settings=settings, seed=seed)


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
class Look:
    """What was seen of a source.

    Attributes:
        counts: Kind of item -> how many.
        details: Why items could not be mapped -> how often.
        languages: Language of posts -> how many.
        near_duplicates: How many posts are copies of others.
        late_s: How long after they were written posts arrived.
        seconds: How long the look took.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    details: Counter[str] = field(default_factory=Counter[str])
    languages: Counter[str] = field(default_factory=Counter[str])
    near_duplicates: int = 0
    late_s: list[float] = field(default_factory=list[float])
    seconds: float = 0.0

    def look(
        self,
        source: Source,
        edge: Callable[[Sequence[SourceItem]], Sequence[SourceItem]],
        items: int,
        deadline_s: float,
    ) -> None:
        """Poll an open source until so many items came, it ended, or the time is over."""
        started_s = time.monotonic()
        while self.counts.total() < items and time.monotonic() - started_s < deadline_s:
            wanted = min(_POLL_ITEMS, items - self.counts.total())
            found = edge(source.poll(wanted, _POLL_TIMEOUT_S))
            self._take(found)
            if not found and source.exhausted:
                break
        self.seconds = time.monotonic() - started_s

    def _take(self, items: Sequence[SourceItem]) -> None:
        for item in items:
            self.counts[_kind(item)] += 1
            record = item.record
            if isinstance(record, Unmappable):
                self.details[record.detail.partition(": ")[2]] += 1
            elif isinstance(record, Post):
                self.languages[primary_subtag(record.lang) or "unknown"] += 1
                self.near_duplicates += record.near_duplicate
                if record.claimed_at is not None:
                    late = record.ingested_at - record.claimed_at
                    self.late_s.append(late.total_seconds())

    def figures(self) -> dict[str, float]:
        """Return how fast, how late, and how much of it repeats."""
        posts = self.languages.total()
        figures = {
            "seconds": round(self.seconds, 1),
            "posts_per_s": round(posts / self.seconds, 1),
        }
        if posts:
            figures["near_duplicate_share"] = round(self.near_duplicates / posts, 4)
        if self.late_s:
            figures["median_lag_s"] = round(statistics.median(self.late_s), 2)
        return figures


def _say_live(source: Source, seen: Look, figures: Mapping[str, float]) -> None:
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
