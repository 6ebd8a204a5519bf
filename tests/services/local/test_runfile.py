import os
import sys
from pathlib import Path

import pytest

from services.local.child import Child, Command
from services.local.runfile import (
    PartRun,
    ProcessIdentity,
    Run,
    end_leftovers,
    identity_of,
    load_run,
    read_run,
    start_time_of,
    write_run,
)


def make_run(supervisor: ProcessIdentity | None = None, part: ProcessIdentity | None = None) -> Run:
    here = identity_of(os.getpid())
    assert here is not None
    return Run(
        supervisor=supervisor or here,
        state="ready",
        started_at="2026-01-01T00:00:00+00:00",
        environment={"GROUNDSWELL__REDIS__URL": "redis://127.0.0.1:7777/0"},
        parts=[
            PartRun(
                name="redis", identity=part, state="ready", ports={"redis": 7777}, url="", log=""
            )
        ],
    )


@pytest.fixture
def sleeper(tmp_path: Path):
    child = Child(Command((sys.executable, "-c", "import time; time.sleep(600)")), tmp_path / "log")
    yield child
    child.kill()


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = make_run()
    write_run(run, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == run
    assert run.part("redis") is run.parts[0]
    assert run.part("kafka") is None


def test_a_run_whose_supervisor_is_gone_counts_as_none(tmp_path: Path) -> None:
    here = start_time_of(os.getpid())
    assert here is not None
    # The id is alive, but it belongs to a process that started at another time.
    write_run(make_run(ProcessIdentity(os.getpid(), here - 1)), tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") is None
    assert load_run(tmp_path / "run.json") is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"supervisor": 3}', b"\xff"])
def test_a_file_that_is_no_run_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert read_run(tmp_path / "run.json") is None


def test_what_a_crash_left_running_is_ended(sleeper: Child) -> None:
    assert end_leftovers(make_run(part=identity_of(sleeper.pid))) == ["redis"]
    assert sleeper.exit_status is not None or start_time_of(sleeper.pid) is None


def test_a_stranger_with_the_same_id_is_not_touched(sleeper: Child) -> None:
    started = start_time_of(sleeper.pid)
    assert started is not None
    stale = ProcessIdentity(sleeper.pid, started - 100)
    assert end_leftovers(make_run(part=stale)) == []
    assert sleeper.is_running


def test_a_zombie_counts_as_ended(sleeper: Child) -> None:
    os.kill(sleeper.pid, 9)
    while (status := Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2])[1] != "Z":
        assert status
    assert start_time_of(sleeper.pid) is None
