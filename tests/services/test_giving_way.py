"""A process that gives way does so to other sessions too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.giving_way import NICE

PROGRAM = """
import os
from pathlib import Path
from services.giving_way import give_way
give_way()
print(os.nice(0), Path("/proc/self/autogroup").read_text().split()[-1])
"""


def niceness(new_session: bool) -> tuple[int, int]:
    """Return how nice a process that gave way is, and its session."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True, capture_output=True, text=True, start_new_session=new_session,
    ).stdout.split()  # fmt: skip
    return int(said[0]), int(said[1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has groups by session")
def test_the_leader_of_a_session_makes_all_of_it_nice_and_others_only_themselves() -> None:
    mine = int(Path("/proc/self/autogroup").read_text().split()[-1])
    assert niceness(new_session=True) == (min(os.nice(0) + NICE, 19), NICE)
    assert niceness(new_session=False) == (min(os.nice(0) + NICE, 19), mine)
