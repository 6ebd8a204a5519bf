"""Run a demo whose model server has a share of a core, to see it as on a slow machine.

    python scripts/demo_on_slow_server.py 0.25 make demo DURATION=60

The server and its model process are put in a cgroup (version 1, writable: mostly root) with a
quota, as soon as they are seen. Exit status: that of the command, 2 if there is no such cgroup.
"""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import psutil

_CPU: Final = Path("/sys/fs/cgroup/cpu")
_PERIOD_US: Final = 100_000
_LOOK_EVERY_S: Final = 0.1
_SERVER: Final = ("triton_launcher", "tritonserver", "triton_python_backend_stub")


def _hold(root: psutil.Process, group: Path, held: set[int]) -> None:
    """Put what belongs to the model server and is not held yet under the quota."""
    for child in root.children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):  # it ended while we looked
            if child.pid not in held and any(n in " ".join(child.cmdline()) for n in _SERVER):
                (group / "cgroup.procs").write_text(str(child.pid))
                held.add(child.pid)


def main(share: float, command: list[str]) -> int:
    """Run the command; return its exit status."""
    if not _CPU.is_dir():
        sys.stderr.write(
            f"{_CPU} is not there: this needs the cpu controller of cgroup version 1\n"
        )
        return 2
    group = _CPU / "groundswell-slow-server"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(share * _PERIOD_US)))
        with subprocess.Popen(command) as running:
            root, held = psutil.Process(running.pid), set[int]()
            while running.poll() is None:
                with contextlib.suppress(psutil.Error):
                    _hold(root, group, held)
                time.sleep(_LOOK_EVERY_S)
        throttled = (group / "cpu.stat").read_text().replace("\n", " ")
        sys.stderr.write(f"held {len(held)} processes at {share:g} cores: {throttled}\n")
        return running.returncode if held else 2
    finally:
        group.rmdir()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
