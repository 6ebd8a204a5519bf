"""Platforms that break off and an ingest that is killed: is every event in the panes exactly once?

`python -m benchmarks.outages --json FILE` takes each source in turn (`--source` chooses some):
a hundred thousand events of a local server that speaks the platform's format, twenty disconnections
at random places and of random kinds, three SIGKILLs of ingest; a real Kafka, a real Redis, a real
worker with the fake scorer. It ends with status 1 when a post is missing that no gap accounts for,
when one is there twice, or when the memory of ingest grows. `--events` makes it shorter;
`tests/integration/test_outages.py` runs a short form.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.harness import PACKAGES, commit, say
from benchmarks.outage_forms import FORMS
from benchmarks.outage_run import Plan, bring, faults_of
from core.errors import GroundswellError
from core.report import write_report

EVENTS: Final = 100_000


def main(
    source: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(FORMS)}.")] = None,
    events: Annotated[int, typer.Option(min=500, help="For each source.")] = EVENTS,
    seed: Annotated[int, typer.Option(help="Of what is said, and of when what breaks.")] = 7,
    json_file: Annotated[Path | None, typer.Option("--json", help="Report.")] = None,
) -> None:
    """Take each source through its outages."""
    chosen = source or list(FORMS)
    unknown = sorted(set(chosen) - set(FORMS))
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; there are {', '.join(FORMS)}")
    figures: dict[str, float] = {}
    wrong: list[str] = []
    plan = Plan(events, seed=seed)
    for name in chosen:
        say(f"{name}: begins")
        try:
            outcome = bring(name, plan)
        except GroundswellError as error:
            wrong.append(f"{name}: came to a stand")
            say(f"{name}: {error}")
            continue
        found = outcome.figures()
        wrong += [f"{name}: {fault}" for fault in faults_of(outcome)]
        say(f"{name}: " + ", ".join(f"{key} {value:,}" for key, value in found.items()))
        figures |= {f"{name}_{key}": value for key, value in found.items()}
        if json_file is not None:  # after each, so that an end in between loses nothing
            _write(json_file, figures, plan)
    for line in wrong:
        say(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)


def _write(path: Path, figures: dict[str, float], plan: Plan) -> None:
    settings: dict[str, Any] = {
        "events": plan.events, "disconnections": plan.disconnections, "kills": plan.kills,
    }  # fmt: skip
    write_report(
        path, "outages", figures, settings=settings, packages=PACKAGES, seed=plan.seed,
        versions={"groundswell": commit()},
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
