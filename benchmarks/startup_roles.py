"""What the processes of the system load, and the ways in which `bench startup` starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab import BenchFailed
from services.local.paths import PROJECT_ROOT

ROLES: Final = {
    "worker": "import services.worker, faust; faust.App",
    "closer": "import services.closer.process",
    "exporter": "import services.exporter.process",
    "heartbeat": "import services.heartbeat",
    "forecaster": "import services.forecaster.process",
    "responder": "import services.responder.process",
    "ingest": "import services.cli.ingest",
    "help": "import sys; sys.argv[1:] = ['--help']; from services.cli.main import main; main()",
}
"""Role -> what its process executes before it knows its settings; a small scale takes the first."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How a process is started.

    Attributes:
        name: The name in the figures.
        code: The source tree.
        bytecode: What an earlier start has compiled is there.
        named: The workers have a `worker.instance`.
    """

    name: str
    code: Path = PROJECT_ROOT
    bytecode: bool = True
    named: bool = False

    def environment(self, caches: Path) -> dict[str, str]:
        """Return the variables that lead Python to this code, with or without its bytecode."""
        if self.bytecode:
            kept = {"PYTHONPYCACHEPREFIX": str(caches / "kept"), "PYTHONDONTWRITEBYTECODE": ""}
        else:
            kept = {"PYTHONPYCACHEPREFIX": str(caches / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
        return kept | {"PYTHONPATH": str(self.code)}


_COUNT: Final = "import atexit, sys; atexit.register(lambda: print('modules', len(sys.modules)))"


def start_role(role: str, variant: Variant, caches: Path) -> tuple[float, float, int]:
    """Return wall-clock and processor seconds of a start, and how many modules it loaded.

    Raises:
        BenchFailed: The process ended with another status than 0.
    """
    before, began = os.times(), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", f"{_COUNT}\n{ROLES[role]}"],
        cwd=variant.code, env=os.environ | variant.environment(caches),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    took_s, after = time.perf_counter() - began, os.times()
    found = re.search(r"modules (\d+)", ended.stdout)
    if ended.returncode or found is None:
        raise BenchFailed(f"{role} of {variant.name} did not start:\n{ended.stderr[-2000:]}")
    return took_s, sum(after[2:4]) - sum(before[2:4]), int(found[1])
