"""What forecasts cost the hot path: end to end with the forecaster and without, in turns.

The forecaster asks the engagement model about each post (`benchmarks.beside`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.beside import BesideProcess, measure_beside
from benchmarks.harness import Measured, Options, run_benchmark
from benchmarks.lab import Lab

_TAKEN_OVER: Final = "partition taken over"


def start_forecaster(lab: Lab) -> None:
    """Start a forecaster and wait until it has all partitions."""
    child = lab.start_process("forecaster", forecasts__shed_after_s=3_600)
    lab.wait_said(child, _TAKEN_OVER, lab.settings.kafka.partitions)


@contextmanager
def by_itself(lab: Lab, known: Sequence[str]) -> Iterator[None]:
    """Do nothing: every post is its work."""
    del lab, known
    time.sleep(0.5)
    yield


def measure(options: Options) -> Measured:
    """Run both in turn."""
    return measure_beside(options, BesideProcess("forecaster", start_forecaster, by_itself))


if __name__ == "__main__":
    run_benchmark(measure)
