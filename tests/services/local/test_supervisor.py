"""The supervisor with tiny real programs as parts."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.local.backoff import Backoff
from services.local.child import Command
from services.local.program import Program
from services.local.runfile import start_time_of
from services.local.server import ServerFailed
from services.local.supervisor import Part, PartState, Stage, StopRequested, Supervisor, Task

pytestmark = pytest.mark.integration

SLEEPS = "import time\nwhile True: time.sleep(0.05)"
IGNORES_SIGTERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS
HAS_A_CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n" + SLEEPS
)
DEADLINE_S = 60.0
"""Far beyond what it takes; only a failing test waits so long."""


def program(tmp_path: Path, name: str, code: str, **options: object) -> Program:
    command = Command((sys.executable, "-S", "-c", code))
    return Program(name, command, tmp_path / name, **options)  # type: ignore[arg-type]


def quick_part(server: Program, **options: object) -> Part:
    return Part(server, backoff=Backoff(first_s=0.02, seed=1), **options)  # type: ignore[arg-type]


def watch_until(supervisor: Supervisor, reached: Callable[[], bool]) -> None:
    """Keep the parts running until something holds; fail if it does not within the deadline."""
    give_up_at = time.monotonic() + DEADLINE_S
    supervisor.watch(lambda: reached() or time.monotonic() > give_up_at)
    assert reached()


def test_a_killed_part_is_started_again_and_the_others_are_left_alone(tmp_path: Path) -> None:
    parts = [quick_part(program(tmp_path, name, SLEEPS)) for name in ("one", "two")]
    supervisor = Supervisor([Stage(tuple(parts))])
    supervisor.bring_up()
    try:
        first, untouched = parts[0].server.pid, parts[1].server.pid
        os.kill(first, signal.SIGKILL)
        watch_until(supervisor, lambda: parts[0].restarts == 1 and parts[0].server.is_running)
        assert parts[0].server.pid != first
        assert parts[1].server.pid == untouched
        assert parts[1].restarts == 0
    finally:
        supervisor.take_down()


def test_taking_down_leaves_no_process_not_even_one_that_ignores_sigterm(tmp_path: Path) -> None:
    deaf = program(tmp_path, "deaf", IGNORES_SIGTERM, stop_grace_s=0.2, ready=lambda: True)
    mother = program(tmp_path, "mother", HAS_A_CHILD)
    mother_log = tmp_path / "mother" / "mother.log"
    supervisor = Supervisor([Stage((Part(deaf), Part(mother)))])
    supervisor.bring_up()
    watch_until(supervisor, lambda: mother_log.exists() and mother_log.read_text().endswith("\n"))
    pids = [deaf.pid, mother.pid, int(mother_log.read_text())]
    supervisor.take_down()
    assert [start_time_of(pid) for pid in pids[:2]] == [None, None]
    give_up_at = time.monotonic() + DEADLINE_S
    while start_time_of(pids[2]) is not None and time.monotonic() < give_up_at:
        time.sleep(0.02)  # nobody's child any more: the kernel ends it in its own time
    assert start_time_of(pids[2]) is None


def test_a_stage_starts_only_when_the_stage_before_is_ready(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    slow = program(
        tmp_path, "slow", f"import time; time.sleep(0.3); open({str(flag)!r}, 'w')\n" + SLEEPS,
        ready=flag.exists,
    )  # fmt: skip
    needs_it = program(
        tmp_path, "needs-it", f"import os, sys\nif not os.path.exists({str(flag)!r}): sys.exit(9)\n"
        + SLEEPS,
    )  # fmt: skip
    supervisor = Supervisor([Stage((Part(slow),)), Stage((Part(needs_it),))])
    try:
        supervisor.bring_up()
        assert needs_it.is_running
    finally:
        supervisor.take_down()


def test_a_part_that_ends_while_it_is_brought_up_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    broken = program(
        tmp_path, "broken", "import sys; print('no such setting'); sys.exit(3)", ready=lambda: False
    )
    with pytest.raises(ServerFailed, match=r"(?s)broken ended with status 3.*no such setting"):
        Supervisor([Stage((Part(broken),))]).bring_up()


def test_a_part_that_may_end_stays_down_after_success_and_comes_back_after_failure(
    tmp_path: Path,
) -> None:
    tried = tmp_path / "tried"
    code = (
        f"import os, sys\nif os.path.exists({str(tried)!r}): sys.exit(0)\n"
        f"open({str(tried)!r}, 'w'); sys.exit(1)"
    )
    part = quick_part(program(tmp_path, "source", code, ready=lambda: True), may_end=True)
    supervisor = Supervisor([Stage((part,))])
    part.server.start()
    part.state = PartState.READY
    watch_until(supervisor, lambda: part.state is PartState.ENDED)
    assert part.restarts == 1


def test_a_failing_task_stops_the_bring_up_with_its_output(tmp_path: Path) -> None:
    later = program(tmp_path, "later", SLEEPS)
    task = Task("topics", Command((sys.executable, "-c", "import sys; sys.exit('no broker')")))
    with pytest.raises(ServerFailed, match=r"(?s)topics failed with status 1.*no broker"):
        Supervisor([task, Stage((Part(later),))]).bring_up()
    assert not later.is_running


def test_a_stop_asked_for_during_the_bring_up_ends_it(tmp_path: Path) -> None:
    never_ready = program(tmp_path, "never-ready", SLEEPS, ready=lambda: False)
    supervisor = Supervisor([Stage((Part(never_ready),))])
    supervisor._on_tick = supervisor.request_stop  # the signal arrives in the first turn
    with pytest.raises(StopRequested):
        supervisor.bring_up()
    supervisor.take_down()
    assert not never_ready.is_running


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from services.local.child import Child, Command\n"
        "sleeper = (sys.executable, '-c', 'import time; time.sleep(600)')\n"
        f"print(Child(Command(sleeper), Path({str(tmp_path / 'log')!r})).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = Program("parent", Command((sys.executable, "-c", code)), tmp_path)
    parent.start()
    try:
        give_up_at = time.monotonic() + DEADLINE_S
        while not parent.log_tail() and time.monotonic() < give_up_at:
            time.sleep(0.02)
        grandchild = int(parent.log_tail())
        assert start_time_of(grandchild) is not None
        os.kill(
            parent.pid, signal.SIGKILL
        )  # this process alone, as the kernel's memory killer does
        while start_time_of(grandchild) is not None and time.monotonic() < give_up_at:
            time.sleep(0.02)
        assert start_time_of(grandchild) is None
    finally:
        parent.kill()
