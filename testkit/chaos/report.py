"""The report of a run: a table for people, an object for programs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from core.report import write_report
from testkit.chaos.run import Outcome

_PACKAGES: Final = ("faust-streaming", "aiokafka", "kafka-python", "redis", "tritonclient")
_TOTALS: Final = (
    ("records_of_posts", "records of posts"),
    ("posts_accepted", "posts accepted"),
    ("dead_letters", "dead records"),
    ("copies", "of them copies"),
    ("malformed", "of them no posts"),
    ("posts_unscored", "posts that were answered with wrong scores"),
    ("longest_wait_s", "longest wait of a post for its scores (s)"),
    ("posts_deleted", "posts deleted"),
    ("posts_edited", "posts edited"),
    ("posts_in_panes", "posts in panes"),
    ("panes", "panes compared"),
    ("windows_published", "windows published"),
    ("forecasts_tracked", "posts forecast"),
    ("forecasts_settled", "of them over"),
    ("forecasts_gone", "of them deleted before"),
    ("forecasts_pending", "of them waiting for their outcome"),
    ("forecasts_lost", "of them lost"),
    ("responses_events", "posts that take off, answered"),
    ("responses_withdrawn", "of them deleted"),
    ("responses_shown.real", "real replies shown"),
    ("responses_shown.quoted", "quoted ones"),
    ("responses_shown.generated", "generated ones"),
)
_REPLAYS: Final = (
    ("applies_refused", "applies refused"),
    ("seeks_assigned", "seeks on assignment"),
    ("seeks_refused", "seeks after a refusal"),
    ("seeks_gap", "seeks over a gap"),
    ("scored_again", "scored posts repeated"),
    ("dead_letters_again", "dead records repeated"),
    ("store_retries", "store calls repeated"),
    ("scorer_retries", "batches sent to the scorer again"),
    ("scorer_invalid_answers", "of them for an answer that was none"),
    ("scorer_timeouts", "of them for no answer in time"),
    ("scorer_servers_left_out", "times a scorer of several was left out"),
    ("scorer_asked_again", "slow batches sent to another scorer too"),
)


def show(outcome: Outcome, console: Console) -> None:
    """Print tables of faults, replays and totals, and the verdict."""
    figures = outcome.figures()
    console.print(_faults_table(outcome))
    console.print(_pairs("what was done again", _REPLAYS, figures))
    console.print(_pairs("the books", _TOTALS, figures))
    if outcome.passed:
        console.print("[bold green]the books balance[/]: every post counted exactly once")
        return
    console.print("[bold red]this run does not pass[/]")
    for fault in outcome.faults:
        console.print(f"  {fault}", markup=False, highlight=False)


def _faults_table(outcome: Outcome) -> Table:
    table = Table(title="faults", title_justify="left")
    table.add_column("kind")
    for name in ("fired", "up again after, max (s)", "counting again, median (s)", "max (s)"):
        table.add_column(name, justify="right")
    for kind, times in sorted(Counter(f.planned.kind for f in outcome.run.fired).items()):
        resumed, returned = outcome.resumed(kind), outcome.returned(kind)
        table.add_row(
            kind,
            str(times),
            f"{max(returned):.1f}" if returned else "never",
            f"{median(resumed):.1f}" if resumed else "never",
            f"{max(resumed):.1f}" if resumed else "never",
        )
    return table


def _pairs(title: str, rows: tuple[tuple[str, str], ...], figures: dict[str, float]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, words in rows:
        digits = 1 if name.endswith("_s") else 0
        table.add_row(words, f"{figures[name]:,.{digits}f}" if name in figures else "-")
    return table


def write(outcome: Outcome, path: Path) -> None:
    """Write the JSON report."""
    options = outcome.options
    write_report(
        path,
        "chaos",
        outcome.figures(),
        settings={
            "posts": options.posts,
            "faults": dict(options.wanted),
            "events": len(outcome.schedule),
            "workers": options.workers,
            "scorer": options.scorer,
            "scorers": options.scorers,
            "scorer_delay_ms": options.scorer_delay_ms if options.scorer == "fake" else None,
            "lasting_s": options.lasting_s,
            "resume_limit_s": options.resume_limit_s,
            "redis_full_by": outcome.full_by,
        },
        packages=_PACKAGES,
        seed=options.seed,
        tables={"faults": [_fault(fired) for fired in outcome.run.fired]},
        notes=outcome.faults,
    )


def _fault(fired: Any) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return {
        "kind": fired.planned.kind,
        "target": fired.target,
        "planned_at": round(fired.planned.at, 4),
        "overlaps": fired.planned.overlaps,
        "at_s": rounded(fired.at_s),
        "unread": fired.unread,
        "lasted_s": rounded(fired.lasted_s),
        "returned_s": rounded(fired.returned_s),
        "resumed_s": rounded(fired.resumed_s),
        "rebuilt_s": rounded(fired.caught_up_s),
    }
