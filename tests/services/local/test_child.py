"""What a child of the local stack inherits, and what is left of one that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.child import Child, Command, run_to_end, session_members
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from testkit.waiting import wait_until

CACHE = str(DEFAULT_PATHS.cache / "bytecode")


def test_a_child_that_may_not_write_bytecode_beside_the_code_writes_it_to_our_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    program = "import core.errors as e, sys; print(sys.dont_write_bytecode, e.__cached__)"
    status, output = run_to_end(Command((sys.executable, "-c", program), cwd=PROJECT_ROOT), 60)
    assert status == 0, output
    stays_silent, cached = output.split()
    assert stays_silent == "False"
    assert cached.startswith(CACHE)
    assert Path(cached).is_file()


@pytest.mark.parametrize("cwd", [None, Path("/")])
def test_programs_of_others_keep_what_they_are_told(
    monkeypatch: pytest.MonkeyPatch, cwd: Path | None
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    environment = Command(("true",), cwd=cwd).environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONPYCACHEPREFIX" not in environment


def test_a_cache_that_somebody_chose_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/elsewhere")
    environment = Command(("true",), cwd=PROJECT_ROOT).environment()
    assert environment["PYTHONPYCACHEPREFIX"] == "/elsewhere"
    # Whoever sets the variable for this child means it.
    told = Command(("true",), {"PYTHONDONTWRITEBYTECODE": "1"}, PROJECT_ROOT).environment()
    assert told["PYTHONDONTWRITEBYTECODE"] == "1"


def test_children_write_where_they_would_if_nobody_forbids_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert "PYTHONPYCACHEPREFIX" not in Command(("true",), cwd=PROJECT_ROOT).environment()


GRANDCHILD_IN_A_GROUP_OF_ITS_OWN = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"], process_group=0)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("leader_is_gone", [False, True])
def test_a_killed_child_takes_along_what_it_started_in_other_groups(
    tmp_path: Path, leader_is_gone: bool
) -> None:
    log = tmp_path / "log"
    child = Child(Command((sys.executable, "-c", GRANDCHILD_IN_A_GROUP_OF_ITS_OWN)), log)
    wait_until(lambda: log.read_text().endswith("\n"), "the grandchild runs")
    grandchild = int(log.read_text())
    if leader_is_gone:
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: not child.is_running, "the leader has ended")
    assert grandchild in session_members(child.pid)
    child.kill()
    assert not session_members(child.pid)


UNDER_LOAD = """
import asyncio, sys
from pathlib import Path
from models.scorers.triton import TritonScorer
from services.local.child import Child, Command
from testkit.scorers.fake_triton import FakeTriton

async def main():
    server, log, statuses = FakeTriton(), Path(sys.argv[1]), []
    await server.start()
    scorer = TritonScorer(f"127.0.0.1:{server.port}")
    asking = True
    async def ask():
        while asking:
            await scorer.score_batch(["hello"], ["en"])
    lanes = [asyncio.create_task(ask()) for _ in range(8)]
    await scorer.score_batch(["hello"], ["en"])
    for _ in range(100):
        child = Child(Command(("true",)), log)
        while child.is_running:
            await asyncio.sleep(0.002)
        statuses.append(child.exit_status)
    asking = False
    await asyncio.gather(*lanes)
    await scorer.close()
    await server.stop()
    print(sorted(set(statuses)))
asyncio.run(main())
"""


def test_no_child_dies_of_being_started_while_servers_are_asked(tmp_path: Path) -> None:
    """Of a hundred some fifteen did: gRPC's handlers of forks ran in the child, and crashed."""
    words = [sys.executable, "-c", UNDER_LOAD, str(tmp_path / "log")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    asked = subprocess.run(
        words, cwd=PROJECT_ROOT, env=clean, capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.stdout == "[0]\n", asked.stderr[-2000:]
