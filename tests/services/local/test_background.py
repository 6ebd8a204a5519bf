"""A stack apart from the terminal: started, found, stopped, and what a crash leaves of it."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from core.errors import ConfigError
from services.local.child import Command
from services.local.paths import RuntimePaths
from services.local.runfile import Run, read_run
from services.local.runner import NotStarted, start_in_background, stop_stack
from services.local.session import StackAlreadyRuns

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
DEADLINE_S = 60.0
"""Far beyond what it takes; only a failing test waits so long."""


def supervisor_in(folder: Path) -> Command:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from pathlib import Path\n"
        "from test_session import session_in\n"
        f"with session_in(Path({str(folder)!r})) as session:\n"
        "    session.bring_up(); session.supervisor.watch()\n"
    )
    return Command((sys.executable, "-c", code))


def is_ready(run: Run) -> bool:
    return run.state == "ready"


def test_a_stack_in_the_background_is_ready_on_return_and_gone_after_it_is_stopped(
    tmp_path: Path,
) -> None:
    paths = RuntimePaths(tmp_path / "run")
    run = start_in_background(supervisor_in(tmp_path), paths, is_ready, timeout_s=DEADLINE_S)
    identities = [part.identity for part in run.parts if part.identity is not None]
    assert len(identities) == 2
    assert read_run(paths.runfile) == run
    with pytest.raises(StackAlreadyRuns, match="groundswell down"):
        start_in_background(supervisor_in(tmp_path), paths, is_ready, timeout_s=DEADLINE_S)
    assert stop_stack(paths) == ["kafka", "worker-1"]
    assert not any(identity.is_alive() for identity in identities)
    assert stop_stack(paths) == []


def test_a_supervisor_that_does_not_come_up_is_reported_with_its_last_words(tmp_path: Path) -> None:
    paths = RuntimePaths(tmp_path)
    broken = Command((sys.executable, "-c", "import sys; sys.exit('no room on the disk')"))
    with pytest.raises(NotStarted, match="no room on the disk"):
        start_in_background(broken, paths, is_ready, timeout_s=DEADLINE_S)


def test_a_part_that_is_used_wrongly_is_wrong_use_of_the_stack_too(tmp_path: Path) -> None:
    refuses = "import sys; print('groundswell: ingest: no such column', flush=True); sys.exit(2)"
    with pytest.raises(ConfigError, match=r"^ingest: no such column$"):
        start_in_background(
            Command((sys.executable, "-c", refuses)), RuntimePaths(tmp_path), is_ready, DEADLINE_S
        )


def test_stopping_after_a_crash_of_the_supervisor_clears_its_file(tmp_path: Path) -> None:
    paths = RuntimePaths(tmp_path / "run")
    run = start_in_background(supervisor_in(tmp_path), paths, is_ready, timeout_s=DEADLINE_S)
    os.kill(run.supervisor.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + DEADLINE_S
    while run.supervisor.is_alive() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    stop_stack(paths)
    assert not paths.runfile.exists()
    assert not any(part.identity.is_alive() for part in run.parts if part.identity is not None)
