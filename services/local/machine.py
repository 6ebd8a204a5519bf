"""What the processor's features mean for the model, and how much of it the parts of a run use."""

import os
import time
from collections.abc import Mapping

import psutil

from core.processor import EXTENSIONS


def describe_extensions(flags: frozenset[str]) -> str:
    """Return which extensions there are and which are not.

    Example:
        >>> describe_extensions(frozenset({"avx2", "avx_vnni"}))
        'AVX2, VNNI, no AVX-512/AMX'
        >>> describe_extensions(frozenset({"asimddp"}))
        'ARM dot product'
    """
    if "asimd" in flags or "asimddp" in flags:
        return "ARM dot product" if "asimddp" in flags else "ARM, no dot product"
    if not flags:
        return "features unknown"
    has = [name for name, any_of in EXTENSIONS if flags.intersection(any_of)]
    lacks = "/".join(name for name, _ in EXTENSIONS if name not in has)
    return ", ".join([*has, f"no {lacks}"] if lacks else has)


def meaning(flags: frozenset[str]) -> str:
    """Return what the features mean for the int8 model, in two or three words."""
    if not flags:
        return "speed unknown"
    if flags & {"amx_int8", "avx512_vnni", "asimddp"}:
        return "int8 is fast"
    if "avx_vnni" in flags:
        return "int8 is fairly fast"
    return "int8 is slow" if flags & {"avx2", "avx512f"} else "int8 is very slow"


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
        self._before = {pid: process_cpu_s(pid) for pid in pids.values()}

    def cores(self, pids: Mapping[str, int]) -> dict[str, float]:
        """Return name -> cores in use on average since `begin`, the most first."""
        elapsed_s = max(time.monotonic() - self._began_s, 1e-9)
        used = {
            name: (process_cpu_s(pid) - self._before.get(pid, 0.0)) / elapsed_s
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


def process_cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and its children so far; 0 if it is gone."""
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
