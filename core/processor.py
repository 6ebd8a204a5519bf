"""What this machine's processor can do, from `/proc/cpuinfo`."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")
EXTENSIONS: Final = (
    # Name for people, and the kernel's flags of which one is enough.
    ("AVX2", ("avx2",)),
    ("AVX-512", ("avx512f",)),
    ("VNNI", ("avx512_vnni", "avx_vnni")),
    ("AMX", ("amx_int8",)),
)
_LIMIT_VARIABLE: Final = "ONEDNN_MAX_CPU_ISA"
"""Holds OpenVINO's kernels to older instructions: what was timed with it is timed anew without."""


def read_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the flags of the first processor; empty where the kernel does not tell."""
    return frozenset(_field(cpuinfo, "flags", "Features").split())


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Return what kernels are chosen by, as a line: model, extensions, and a limit that is set.

    Two machines of one line run the same code; another line may make another choice the best.
    """
    flags = read_flags(cpuinfo)
    model = _field(cpuinfo, "model name", "CPU part") or platform.machine()
    has = ", ".join(name for name, any_of in EXTENSIONS if flags.intersection(any_of))
    limit = os.environ.get(_LIMIT_VARIABLE, "")
    said = f"{' '.join(model.split())}: {has or 'none of the known extensions'}"
    return f"{said}, {_LIMIT_VARIABLE}={limit}" if limit else said


def _field(cpuinfo: Path, *names: str) -> str:
    """Return the first value under one of these names; empty if there is none."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""
