"""``groundswell alerts``: what has shifted, how sure that is, and the posts that show it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from core.report import write_report
from core.schemas import Alert
from core.text import printable
from services.alerting.alertmanager import evidence, evidence_parts, link_to
from services.alerting.showing import (
    DELETED,
    GONE,
    ExampleText,
    PastAlert,
    chosen,
    read_alerts,
    read_examples,
)
from services.cli.settings import load_settings

app = typer.Typer(
    name="alerts", help="Show what has shifted, and the posts that show it.", no_args_is_help=True
)

_WHEN: Final = "%Y-%m-%d %H:%M"
_INSTEAD: Final = {
    DELETED: "(deleted by its author)",
    GONE: "(its text is kept no more)",
}
Json = Annotated[Path | None, typer.Option("--json", help="Also write it to this file.")]


@app.command("list")
def list_alerts(
    query: Annotated[str, typer.Option(help="Only of this query.")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind, such as opinion.")] = "",
    firing: Annotated[bool, typer.Option("--firing", help="Only those that go on.")] = False,
    last: Annotated[int, typer.Option("--last", min=1, max=10_000, help="So many.")] = 20,
    json_file: Json = None,
) -> None:
    """List past and present alerts, the newest first. Times are of the posts, in UTC.

    Exit status: 0 shown, 1 there is none, 2 wrong use.

    Example: groundswell alerts list --query rail --last 5
    """
    found = read_alerts(load_settings(find_stack=True).kafka)
    rows = chosen(found, query, kind, only_firing=firing, last=last)
    if json_file is not None:
        going_on = sum(one.alert.state == "firing" for one in rows)
        write_report(
            json_file, "alerts list", {"alerts": len(rows), "firing": going_on},
            settings={"query": query, "kind": kind, "firing": firing, "last": last},
            tables={"alerts": [one.fields() for one in rows]}, notes=found.notes,
        )  # fmt: skip
    _say(found.notes)
    for one in rows:
        _print_line(one)
    if not rows:
        typer.echo(_none_of(query, kind, firing, sorted({one.alert.query for one in found.alerts})))
        raise typer.Exit(1)


@app.command()
def show(
    alert_id: Annotated[str, typer.Argument(help="The id of an alert, or its beginning.")],
    json_file: Json = None,
) -> None:
    """Show one alert: evidence, what moved, terms, and the posts that show it.

    The text of a post is shown as long as the topic `posts` keeps it. One that its author has
    deleted is not shown.

    Exit status: 0 shown, 1 no alert or more than one has this id, 2 wrong use.

    Example: groundswell alerts show 3f2a
    """
    settings = load_settings(find_stack=True)
    found = read_alerts(settings.kafka)
    matching = found.find(alert_id)
    _say(found.notes)
    if len(matching) != 1:
        known = ", ".join(printable(one.alert.alert_id) for one in matching[:5])
        typer.echo(
            f"{len(matching)} alerts have an id that begins with {alert_id!r}: {known}"
            if matching
            else f"no alert has an id that begins with {alert_id!r}; see: groundswell alerts list"
        )
        raise typer.Exit(1)
    past = matching[0]
    examples = read_examples(settings.kafka, past)
    if json_file is not None:
        there = sum(bool(one.text) for one in examples)
        write_report(
            json_file, "alerts show", {"examples": len(examples), "texts": there},
            settings={"alert_id": past.alert.alert_id},
            tables={"alerts": [past.fields()], "examples": [asdict(one) for one in examples]},
            notes=found.notes,
        )  # fmt: skip
    _print_line(past)
    _print_evidence(past.alert, link_to(past.alert, settings.alerts.link))
    _print_examples(examples)


def _print_line(past: PastAlert) -> None:
    alert = past.alert
    until = "goes on" if alert.ended is None else f"{alert.ended:{_WHEN}} {alert.ended_as}".strip()
    typer.echo(
        f"{alert.started:{_WHEN}} to {until}  {alert.kind} {alert.direction}, level "
        f"{past.severity}  {printable(alert.query)}  {printable(alert.alert_id)}"
    )
    typer.echo(f"    {printable(alert.sentence) or evidence(alert)}")


def _print_evidence(alert: Alert, link: str) -> None:
    for part in evidence_parts(alert):
        typer.echo(f"  {printable(part)}")
    for came, word in ((True, "came"), (False, "went")):
        terms = [printable(one.term) for one in alert.terms if (one.weight > 0) == came]
        if terms:
            typer.echo(f"  {word}: {', '.join(terms)}")
    if link:
        typer.echo(f"  {printable(link)}")


def _print_examples(examples: list[ExampleText]) -> None:
    if not examples:
        typer.echo("  no posts were chosen to show it: Kafka did not answer, or none was telling")
    for one in examples:
        said = printable(one.text) or _INSTEAD.get(one.state, "(a post without words)")
        typer.echo(f"  [{one.why}] {said}")
        where = printable(one.url) or f"{one.source} {printable(one.post_id)}"
        typer.echo(f"      {where}")


def _none_of(query: str, kind: str, firing: bool, known: list[str]) -> str:
    if not known:
        return "no alert is kept: nothing has shifted in 90 days, or no closer runs"
    wanted = " ".join(part for part in ("no", kind, "alert", query and f"of {query!r}") if part)
    there = ", ".join(map(printable, known))
    return f"{wanted} {'goes on' if firing else 'is kept'}; there are some of: {there}"


def _say(notes: list[str]) -> None:
    for note in notes:
        typer.echo(note, err=True)
