"""What judging costs: 2,000 queries, a pane a minute, with corrections, in one process.

    groundswell bench shifts --json shifts.json

Windows are built once and judged as the closer does: decoded records in, signals and the bytes of
every state out. The share of a core is the processor time of one pane over its length.
"""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

from benchmarks.harness import Measured, Options, run_benchmark
from core.schemas import Window
from evaluation.drawing import bars
from stream.shifts.judge import ShiftJudge
from stream.shifts.signals import JudgeContext
from testkit.shifts import BEGIN, make_window

QUERIES = 2_000
PANE_S = 60
STRATA = {f"synthetic|en|{number}": (8, 0.1 * number - 0.3) for number in range(6)}
CORRECTED_SHARE = 0.05


def moved(window: Window, query: str, minute: int, revision: int = 0) -> Window:
    """Return the window as one of another query and pane."""
    start = BEGIN + timedelta(minutes=minute)
    return Window(
        query=query,
        start=start,
        end=start + timedelta(seconds=PANE_S),
        revision=revision,
        counters=window.counters,
        authors=window.authors,
        closed_at=window.closed_at,
        strata=window.strata,
    )


def measure(options: Options) -> Measured:
    """Judge panes of all queries; the first ones, which make the states, are not timed."""
    queries = max(10, round(QUERIES * options.scale))
    judge, context = ShiftJudge(pane_s=PANE_S), JudgeContext(queries=queries, model_version="m1")
    patterns = [make_window(0, STRATA, seed=options.seed + number) for number in range(64)]
    corrections = round(queries * CORRECTED_SHARE)
    judged: list[float] = []
    dumped: list[float] = []
    corrected: list[float] = []
    largest = 0
    for minute in range(20 + 5 * options.rounds):
        windows = [
            moved(patterns[(minute + number) % len(patterns)], f"q{number}", minute)
            for number in range(queries)
        ]
        began = time.process_time()
        judge.judge_many(windows, context)
        between = time.process_time()
        late = [moved(w, w.query, minute - 1, revision=1) for w in windows[:corrections]]
        again = time.process_time()
        if minute:
            judge.judge_many(late, context)
        dumping = time.process_time()
        largest = max(largest, *(len(judge.state_bytes(f"q{n}")) for n in range(queries)))
        ended = time.process_time()
        if minute >= 20:
            judged.append(between - began)
            corrected.append(dumping - again)
            dumped.append(ended - dumping)
    total = [sum(parts) for parts in zip(judged, corrected, dumped, strict=True)]
    figures = {
        "judge_ms_per_pane": round(1e3 * statistics.median(judged), 2),
        "corrections_ms_per_pane": round(1e3 * statistics.median(corrected), 2),
        "states_ms_per_pane": round(1e3 * statistics.median(dumped), 2),
        "core_share_percent": round(100 * statistics.median(total) / PANE_S, 3),
        "largest_state_bytes": float(largest),
    }
    settings = {"queries": queries, "pane_s": PANE_S, "corrections": corrections}
    rows = [
        (name.removesuffix("_ms_per_pane"), value, value, value)
        for name, value in figures.items()
        if name.endswith("_ms_per_pane")
    ]
    return Measured(figures, settings, bars("Judging a pane", "ms", rows))


if __name__ == "__main__":
    run_benchmark(measure)
