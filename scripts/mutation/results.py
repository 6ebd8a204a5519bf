"""From mutants that were run to figures: killed of all, with the interval of a sample."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant

_EQUIVALENTS: Final = Path(__file__).with_name("equivalent.toml")
_Z: Final = 1.96
"""Of an interval that holds the share of all in 95 of 100 samples."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant.

    Attributes:
        mutant: The fault that was planted.
        killed: Whether a test failed, or did not end.
        timed_out: Whether it was killed by not ending.
        took_s: The seconds that its tests took.
    """

    mutant: Mutant
    killed: bool
    timed_out: bool
    took_s: float

    def __str__(self) -> str:
        """Return a line for people."""
        ended = "timed out" if self.timed_out else "killed" if self.killed else "SURVIVED"
        return f"{ended:<9} {self.took_s:5.1f} s  line {self.mutant.line:>3}  {self.mutant.name}"


def known_equivalents() -> dict[str, str]:
    """Return the names of mutants that change nothing a test could see, and why."""
    return tomllib.loads(_EQUIVALENTS.read_text(encoding="utf-8"))["equivalent"]


def interval(killed: int, run: int, every: int) -> tuple[float, float]:
    """Return the interval of the share of all that a sample lets expect (Wilson).

    It is a point where nothing was left out.

    Example:
        >>> interval(9, 10, 10), [round(bound, 2) for bound in interval(90, 100, 1000)]
        ((0.9, 0.9), [0.83, 0.94])
    """
    share = killed / run
    if run == every:
        return share, share
    spread = _Z * sqrt(share * (1 - share) / run + _Z**2 / (4 * run**2))
    middle, scale = share + _Z**2 / (2 * run), 1 + _Z**2 / run
    return (middle - spread) / scale, (middle + spread) / scale


def figures(
    results: Sequence[Result],
    every: int,
    plan: Mapping[str, Collection[str]],
    equivalents: Collection[str],
) -> dict[str, float]:
    """Return name -> number: of all, and of each group of the plan that was run.

    Args:
        results: What was run.
        every: How many mutants there are, run or not.
        plan: The files of each group.
        equivalents: The names of mutants that no test can kill.
    """
    found: dict[str, float] = {"mutants": every, "run": len(results)}
    found["killed"] = sum(result.killed for result in results)
    found["timed_out"] = sum(result.timed_out for result in results)
    for group, files in plan.items():
        of_group = [result for result in results if result.mutant.path in files]
        survived = [result.mutant.name for result in of_group if not result.killed]
        if of_group:
            found[f"run.{group}"] = len(of_group)
            found[f"killed.{group}"] = len(of_group) - len(survived)
            found[f"equivalent.{group}"] = sum(name in equivalents for name in survived)
    return found | shares(found)


def shares(found: Mapping[str, float]) -> dict[str, float]:
    """Return the killed as a share of the run, with its interval."""
    killed, run = int(found["killed"]), int(found["run"])
    low, high = interval(killed, run, int(found["mutants"]))
    named = {"killed_share": killed / run, "killed_share.low": low, "killed_share.high": high}
    return {name: round(share, 3) for name, share in named.items()}


def again(
    before: Mapping[str, float], found: Mapping[str, float], plan: Collection[str]
) -> dict[str, float]:
    """Return the figures of a whole run when only its survivors were run again.

    Args:
        before: The figures of the whole run.
        found: The figures of its survivors, run again.
        plan: The names of the groups.
    """
    joined = dict(before)
    for name in ("killed", "timed_out", *(f"killed.{group}" for group in plan)):
        if name in found:
            joined[name] = before[name] + found[name]
    joined |= {f"equivalent.{group}": found.get(f"equivalent.{group}", 0) for group in plan}
    return joined | shares(joined)


def table(found: Mapping[str, float], plan: Collection[str]) -> str:
    """Return the figures as a table for people and for `docs/mutation.md`."""
    lines = ["| code | run | killed | survived | of these equivalent |", "|---|---|---|---|---|"]
    for group in plan:
        run = int(found.get(f"run.{group}", 0))
        if run:
            killed, equal = int(found[f"killed.{group}"]), int(found[f"equivalent.{group}"])
            lines.append(f"| {group} | {run} | {killed} | {run - killed} | {equal} |")
    run, killed = int(found["run"]), int(found["killed"])
    equal = sum(int(found.get(f"equivalent.{group}", 0)) for group in plan)
    lines.append(f"| all | {run} | {killed} | {run - killed} | {equal} |")
    lines.append("")
    lines.append(
        f"{killed} of {run} killed ({found['killed_share']:.1%}), of {int(found['mutants'])} there "
        f"are; 95 % interval for all {found['killed_share.low']:.1%} to "
        f"{found['killed_share.high']:.1%}."
    )
    return "\n".join(lines) + "\n"
