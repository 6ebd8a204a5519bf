"""How many cores a process may use, by made-up control groups and real affinity."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.cores import usable_cores

ALL = len(os.sched_getaffinity(0))


def _groups(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").write_text(own)
    return root / "groups", root / "own"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, ALL),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1),
        ("1:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "30000\n",
                                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 1),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n",
                             "cpu/cpu.cfs_period_us": "100000\n"}, ALL),
        ("2:cpuset:/\n", {"cpuset/cpu.max": "1 100000\n"}, ALL),
        ("0::/\n", {"cpu.max": "what is this\n"}, ALL),
        ("0::/\n", {}, ALL),
    ],
)  # fmt: skip
def test_the_least_quota_of_the_groups_holds(
    tmp_path: Path, own: str, files: dict[str, str], expected: int
):
    assert usable_cores(*_groups(tmp_path, own, files)) == expected


def test_a_quota_of_more_than_a_core_counts_as_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    groups = _groups(tmp_path, "0::/\n", {"cpu.max": "150000 100000\n"})
    assert usable_cores(*groups) == 2


def test_affinity_holds_in_a_process_of_one_core(tmp_path: Path):
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from core.cores import usable_cores; print(usable_cores())"
    )
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert asked.stdout.strip() == "1"


def test_without_control_groups_affinity_is_all(tmp_path: Path):
    assert usable_cores(tmp_path, tmp_path / "none") == ALL
