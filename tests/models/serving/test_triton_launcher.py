"""The launcher with a small program in the place of the server; Linux."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.serving.triton_launcher import MODEL_DIED, model_processes
from testkit.waiting import wait_until

SERVER = """
import os, signal, subprocess, sys, time
stub = subprocess.Popen([sys.argv[1], "60"])
def stop(*_):
    stub.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), stub.pid, flush=True)
while True:
    time.sleep(0.1)
"""


ASKED_TO_STOP_WHILE_STARTING = """
import os, signal, subprocess
from models.serving import triton_launcher
start = subprocess.Popen
def start_late(*arguments, **named):
    os.kill(os.getpid(), signal.SIGTERM)
    return start(*arguments, **named)
subprocess.Popen = start_late
os._exit(triton_launcher.main())
"""


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A program that waits, under the name of Triton's model process."""
    program = tmp_path / "triton_python_backend_stub"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    return program


@contextmanager
def launched(stub: Path) -> Iterator[tuple["subprocess.Popen[str]", int, int]]:
    """The launcher, and the process ids of its server and of that server's model process."""
    with subprocess.Popen(
        [sys.executable, "-m", "models.serving.triton_launcher",
         sys.executable, "-c", SERVER, str(stub)],
        stdout=subprocess.PIPE, text=True,
    ) as launcher:  # fmt: skip
        assert launcher.stdout is not None
        server, model = map(int, launcher.stdout.readline().split())
        try:
            yield launcher, server, model
        finally:
            for pid in (launcher.pid, server, model):
                if launcher.returncode is None or is_alive(pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(") ")[2].split()[0] != "Z"


def test_dead_model_process_ends_the_server(stub: Path) -> None:
    with launched(stub) as (launcher, server, model):
        wait_until(
            lambda: model_processes(server) == {model: True},
            "the model runs under the server",
            patience_s=60.0,
        )
        os.kill(model, signal.SIGKILL)
        assert launcher.wait(60) == MODEL_DIED
        assert not is_alive(server)


def test_asked_to_stop_it_stops_the_server_and_says_all_is_well(stub: Path) -> None:
    with launched(stub) as (launcher, server, model):
        wait_until(
            lambda: model_processes(server) == {model: True},
            "the model runs under the server",
            patience_s=60.0,
        )
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(60) == 0
        assert not is_alive(server)


def test_asked_to_stop_before_there_is_a_server_it_stops_the_server() -> None:
    code = [sys.executable, "-c", ASKED_TO_STOP_WHILE_STARTING]
    asked = subprocess.run([*code, "/bin/sleep", "600"], check=False, timeout=60)
    assert asked.returncode == 128 + signal.SIGTERM  # of the server; the launcher lived on


def test_killed_launcher_takes_the_server_along(stub: Path) -> None:
    with launched(stub) as (launcher, server, _):
        launcher.kill()
        launcher.wait(60)
        wait_until(lambda: not is_alive(server), "the server ends", patience_s=60.0)


def test_a_server_that_dies_leaves_no_model_process_behind(stub: Path) -> None:
    with launched(stub) as (launcher, server, model):
        os.kill(server, signal.SIGKILL)
        assert launcher.wait(60) == 128 + signal.SIGKILL
        wait_until(lambda: not is_alive(model), "the model process ends", patience_s=60.0)
