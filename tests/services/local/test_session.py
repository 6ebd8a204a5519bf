"""One run of a stack: its lock, its run file, what it clears away, how signals end it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from services.local.child import Child, Command
from services.local.options import StackOptions
from services.local.paths import RuntimePaths
from services.local.runfile import PartRun, ProcessIdentity, Run, identity_of, read_run, write_run
from services.local.server import Program
from services.local.session import Session, StackAlreadyRuns
from services.local.stack import Stack
from services.local.supervisor import StackPart, StartStage
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration

SLEEPS = "import time; time.sleep(600)"
DEADLINE_S = 60.0
"""Far beyond what it takes; only a failing test waits so long."""


def options_in(folder: Path, *, fresh: bool = False) -> StackOptions:
    return StackOptions(paths=RuntimePaths(folder / "run"), fresh=fresh)


def two_sleepers(options: StackOptions) -> Stack:
    command = Command((sys.executable, "-S", "-c", SLEEPS))
    parts = tuple(
        StackPart(Program(name, command, options.paths.state / name))
        for name in ("kafka", "worker-1")
    )
    return Stack(options, (StartStage(parts),), {"GROUNDSWELL__REDIS__URL": "redis://x:1/0"}, {})


def session_in(folder: Path, *, fresh: bool = False) -> Session:
    return Session(
        options_in(folder, fresh=fresh),
        say=lambda _text: None,
        plan=two_sleepers,
        prepare=lambda _options, _say: None,
    )


def test_the_run_file_names_every_part_while_the_stack_is_up_and_is_gone_afterwards(
    tmp_path: Path,
) -> None:
    runfile = options_in(tmp_path).paths.runfile
    with session_in(tmp_path) as session:
        session.bring_up()
        run = read_run(runfile)
        assert run is not None
        assert (run.state, [part.state for part in run.parts]) == ("ready", ["ready", "ready"])
        pids = [part.identity.pid for part in run.parts if part.identity is not None]
        assert pids == [part.server.pid for part in session.supervisor.parts]
        assert run.environment == {"GROUNDSWELL__REDIS__URL": "redis://x:1/0"}
    assert not runfile.exists()
    assert [identity_of(pid) for pid in pids] == [None, None]


def test_a_second_session_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with session_in(tmp_path), pytest.raises(StackAlreadyRuns, match="groundswell down"):
        session_in(tmp_path).__enter__()
    with session_in(tmp_path):  # the folder is free again
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_stack_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with session_in(tmp_path) as session:
        session.bring_up()
        pids = [part.server.pid for part in session.supervisor.parts]
        signal.raise_signal(number)
        session.supervisor.watch()
    assert [identity_of(pid) for pid in pids] == [None, None]
    assert signal.getsignal(number) is before


def test_what_a_crashed_supervisor_left_is_ended_before_the_next_start(tmp_path: Path) -> None:
    left = Child(Command((sys.executable, "-S", "-c", SLEEPS)), tmp_path / "log")
    dead = ProcessIdentity(os.getpid(), 1)  # this process did not start at boot
    part = PartRun(
        name="kafka", identity=identity_of(left.pid), state="ready", ports={}, url="", log=""
    )
    stale = Run(supervisor=dead, state="ready", started_at="", environment={}, parts=[part])
    write_run(stale, options_in(tmp_path).paths.runfile)
    with session_in(tmp_path):
        assert left.exit_status == -signal.SIGKILL


def test_a_supervisor_that_is_killed_takes_its_parts_with_it(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_session import session_in\n"
        f"with session_in(Path({str(tmp_path)!r})) as session:\n"
        "    session.bring_up(); session.supervisor.watch()\n"
    )
    runfile = options_in(tmp_path).paths.runfile
    supervisor = Program("supervisor", Command((sys.executable, "-c", code)), tmp_path)
    supervisor.start()
    try:
        wait_until(
            lambda: (run := read_run(runfile)) is not None and run.state == "ready",
            "the stack is ready",
            patience_s=DEADLINE_S,
        )
        run = read_run(runfile)
        assert run is not None
        pids = [part.identity.pid for part in run.parts if part.identity is not None]
        os.kill(supervisor.pid, signal.SIGKILL)
        wait_until(
            lambda: all(identity_of(pid) is None for pid in pids),
            "every part is gone",
            patience_s=DEADLINE_S,
        )
        assert read_run(runfile) is None  # the file is there, and counts as none
        with session_in(tmp_path):  # and is no hindrance
            pass
    finally:
        supervisor.kill()


def test_fresh_begins_with_empty_stores_and_keeps_the_downloads(tmp_path: Path) -> None:
    paths = options_in(tmp_path).paths
    for folder in (paths.state, paths.cache, paths.logs):
        folder.mkdir(parents=True)
        (folder / "old.log").touch()
    with session_in(tmp_path, fresh=False):
        assert (paths.state / "old.log").exists()
        assert (paths.logs / "old.log.1").exists()
    with session_in(tmp_path, fresh=True):
        assert not (paths.state / "old.log").exists()
        assert (paths.cache / "old.log").exists()
