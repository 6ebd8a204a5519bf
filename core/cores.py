"""How many processor cores this process may use; an inference engine may count others."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Return the number of cores that affinity and control groups leave to this process.

    OpenVINO and ONNX Runtime make a thread for each core of the machine, also in a container that
    may use two of sixty-four, and in one of two servers that share the cores: more threads than
    cores then wait for each other. A quota of one and a half cores counts as two.

    Args:
        groups: Where the kernel's control groups are mounted, of version 2 or 1.
        own: The kernel's list of the groups of this process.
    """
    shares = [_quota(folder) for folder in _folders(groups, own)]
    return max(1, math.ceil(min([float(len(os.sched_getaffinity(0))), *shares])))


def _folders(groups: Path, own: Path) -> list[Path]:
    """Return the folder of each group whose quota holds: this process's own and those above it."""
    try:
        lines = own.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # a system without control groups
        return []
    found: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups
        # A container may see itself at the root, whatever its path is outside.
        inner = Path(path.lstrip("/"))
        found += [root / one for one in (inner, *inner.parents)]
    return found


def _quota(group: Path) -> float:
    """Return how many cores a group may use; infinity if it has no limit."""
    try:
        if (limit := group / "cpu.max").is_file():
            quota, period = limit.read_text(encoding="ascii").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (group / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        return float(quota) / float(period) if quota not in ("max", "-1") else math.inf
    except (OSError, ValueError):  # a group without this file, or a form of another kernel
        return math.inf
