"""How many processor cores each part used: where the bottleneck of a run is."""

import os
import time
from collections.abc import Mapping

import psutil


class CpuMeter:
    """Adds up processor time of processes and all their descendants between two moments.

    A part that was started again in between counts with its last life only.
    """

    def __init__(self) -> None:
        """Measure nothing yet."""
        self._began_s = time.monotonic()
        self._before: dict[int, float] = {}

    def begin(self, pids: Mapping[str, int]) -> None:
        """Take the processor times now as the beginning."""
        self._began_s = time.monotonic()
        self._before = {pid: _used_s(pid) for pid in pids.values()}

    def cores(self, pids: Mapping[str, int]) -> dict[str, float]:
        """Return name -> cores in use on average since `begin`, the most first."""
        elapsed_s = max(time.monotonic() - self._began_s, 1e-9)
        used = {
            name: (_used_s(pid) - self._before.get(pid, 0.0)) / elapsed_s
            for name, pid in pids.items()
        }
        return dict(sorted(used.items(), key=lambda item: -item[1]))


def bottleneck(cores: Mapping[str, float], available: int | None = None) -> str:
    """Say in words what limited a run, by the cores its parts used.

    Example:
        >>> bottleneck({"triton": 1.7, "kafka": 0.1}, available=2)
        'triton, with 1.7 of 2 cores'
        >>> bottleneck({"triton": 0.3, "kafka": 0.1}, available=2)
        'none: 0.4 of 2 cores were in use'
    """
    available = available or os.cpu_count() or 1
    total = sum(cores.values())
    if not cores or total < 0.7 * available:
        return f"none: {total:.1f} of {available} cores were in use"
    name = max(cores, key=lambda part: cores[part])
    return f"{name}, with {cores[name]:.1f} of {available} cores"


def _used_s(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    used = 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.Error:
            continue
        used += times.user + times.system
    return used
