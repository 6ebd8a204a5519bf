"""``groundswell topics``: create the topics of the system, and describe them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from core.report import write_report
from core.settings import KafkaSettings
from services.cli.settings import load_settings
from services.kafka_client import TopicAdmin, TopicPlan, TopicState
from stream.topics import TOPICS, TopicSpec

_ROOM_BYTES = 65_536
"""Beside the largest message: its key, its headers and the batch around it."""

app = typer.Typer(name="topics", help="Create and describe the Kafka topics.", no_args_is_help=True)

NewPartitions = Annotated[
    int | None, typer.Option(min=1, help="Partitions; else the setting kafka.partitions.")
]


def topic_plans(
    settings: KafkaSettings, specs: Iterable[TopicSpec] = tuple(TOPICS.values())
) -> list[TopicPlan]:
    """Return how each topic of the table is to be made under these settings."""
    return [
        TopicPlan(
            name=spec.name,
            partitions=spec.partitions or settings.partitions,
            replication=settings.replication,
            retention_ms=spec.retention_ms,
            compacted=spec.compacted,
            max_message_bytes=settings.max_message_bytes + _ROOM_BYTES,
        )
        for spec in specs
    ]


@app.command()
def create(partitions: NewPartitions = None) -> None:
    """Create the topics that are missing; those that exist are left as they are.

    Exit status: 0 all there, 1 the broker does not answer or refuses, 2 wrong settings.

    Example: groundswell topics create --partitions 8
    """
    settings = load_settings(find_stack=True).kafka
    if partitions is not None:
        settings = msgspec.structs.replace(settings, partitions=partitions)
    plans = topic_plans(settings)
    with TopicAdmin(settings) as admin:
        made = set(admin.create(plans))
    for plan in plans:
        state = "created" if plan.name in made else "exists"
        typer.echo(f"{plan.name}: {state}")


@app.command()
def describe(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
) -> None:
    """Show the topics, their partitions and how many records they hold.

    Exit status: 0 every topic of the system is there, 1 one is missing or the broker does not
    answer, 2 wrong settings.

    Example: groundswell topics describe --json topics.json
    """
    settings = load_settings(find_stack=True).kafka
    with TopicAdmin(settings) as admin:
        states = admin.describe(list(TOPICS))
    table = Table("topic", "key", "partitions", "replication", "records", "keeps")
    for state in states:
        spec = TOPICS[state.name]
        table.add_row(
            state.name,
            spec.key,
            str(state.partitions),
            str(state.replication),
            f"{state.records:,}",
            _keeps(spec),
        )
    Console().print(table)
    if json_file is not None:
        _write_report(json_file, settings, states)
    missing = [name for name in TOPICS if name not in {state.name for state in states}]
    if missing:
        typer.echo(f"missing: {', '.join(missing)} (groundswell topics create)", err=True)
        raise typer.Exit(1)


def _keeps(spec: TopicSpec) -> str:
    if spec.compacted:
        return "last of each key"
    hours = spec.retention_ms / 3_600_000
    return f"{hours / 24:g} days" if hours >= 24 else f"{hours:g} h"


def _write_report(file: Path, settings: KafkaSettings, states: list[TopicState]) -> None:
    figures: dict[str, float] = {}
    for state in states:
        figures[f"{state.name}.partitions"] = state.partitions
        figures[f"{state.name}.replication"] = state.replication
        figures[f"{state.name}.records"] = state.records
    write_report(
        file,
        "topics describe",
        figures,
        settings={"bootstrap_servers": settings.bootstrap_servers},
        packages=("kafka-python",),
        tables={"topics": [asdict(state) for state in states]},
    )
