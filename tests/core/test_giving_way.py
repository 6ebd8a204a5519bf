"""A process that gives way does so to other sessions too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.giving_way import NICE

PROGRAM = """
import os, sys
from pathlib import Path
from core.giving_way import give_way
given = [Path(argument) for argument in sys.argv[1:]]
give_way(*given)
said = given[0].read_text() if given else Path("/proc/self/autogroup").read_text().split()[-1]
print(os.nice(0), said)
"""


def niceness(*group: Path, new_session: bool) -> tuple[int, int]:
    """Return how nice a process that gave way is, and its session."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, group)],
        check=True, capture_output=True, text=True, start_new_session=new_session,
    ).stdout.split()  # fmt: skip
    return int(said[0]), int(said[1])


@pytest.mark.parametrize(("leads", "expected"), [(True, NICE), (False, 0)])
def test_the_leader_of_a_session_makes_all_of_it_nice_and_others_only_themselves(
    tmp_path: Path, leads: bool, expected: int
) -> None:
    group = tmp_path / "autogroup"
    group.write_text("0", encoding="ascii")
    assert niceness(group, new_session=leads) == (min(os.nice(0) + NICE, 19), expected)


def test_a_system_without_such_groups_makes_the_process_nice_all_the_same(tmp_path: Path) -> None:
    program = PROGRAM.replace("given[0].read_text()", "0")
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "no such folder" / "autogroup")],
        check=True, capture_output=True, text=True, start_new_session=True,
    ).stdout.split()  # fmt: skip
    assert int(said[0]) == min(os.nice(0) + NICE, 19)


def test_a_kernel_that_has_such_groups_takes_what_is_written() -> None:
    try:
        mine = Path("/proc/self/autogroup").read_text(encoding="ascii").split()
    except OSError:
        mine = []
    if mine:  # sandboxes have an empty file: there the tests above are all that can be said
        assert niceness(new_session=True)[1] == NICE
        assert niceness(new_session=False)[1] == int(mine[-1])
