"""The supervisor with tiny real programs as parts."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.local.child import Command
from services.local.ports import any_free_port, is_free
from services.local.runfile import start_time_of
from services.local.server import Program, ServerFailed
from services.local.supervisor import (
    PartRefused,
    PartState,
    StackPart,
    StartStage,
    StartTask,
    StopRequested,
    Supervisor,
)

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


def quick_part(server: Program, **options: object) -> StackPart:
    return StackPart(server, **options)  # type: ignore[arg-type]


def watch_until(supervisor: Supervisor, reached: Callable[[], bool]) -> None:
    """Keep the parts running until something holds; fail if it does not within the deadline."""
    give_up_at = time.monotonic() + DEADLINE_S
    supervisor.watch(lambda: reached() or time.monotonic() > give_up_at)
    assert reached()


def test_a_killed_part_is_started_again_and_the_others_are_left_alone(tmp_path: Path) -> None:
    parts = [quick_part(program(tmp_path, name, SLEEPS)) for name in ("one", "two")]
    supervisor = Supervisor([StartStage(tuple(parts))])
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
    supervisor = Supervisor([StartStage((StackPart(deaf), StackPart(mother)))])
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
    supervisor = Supervisor([StartStage((StackPart(slow),)), StartStage((StackPart(needs_it),))])
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
        Supervisor([StartStage((StackPart(broken),))]).bring_up()


def test_a_part_that_may_end_stays_down_after_success_and_comes_back_after_failure(
    tmp_path: Path,
) -> None:
    tried = tmp_path / "tried"
    code = (
        f"import os, sys\nif os.path.exists({str(tried)!r}): sys.exit(0)\n"
        f"open({str(tried)!r}, 'w'); sys.exit(1)"
    )
    part = quick_part(program(tmp_path, "source", code, ready=lambda: True), may_end=True)
    supervisor = Supervisor([StartStage((part,))])
    part.server.start()
    part.state = PartState.READY
    watch_until(supervisor, lambda: part.state is PartState.ENDED)
    assert part.restarts == 1


def test_a_failing_task_stops_the_bring_up_with_its_output(tmp_path: Path) -> None:
    later = program(tmp_path, "later", SLEEPS)
    task = StartTask("topics", Command((sys.executable, "-c", "import sys; sys.exit('no broker')")))
    with pytest.raises(ServerFailed, match=r"(?s)topics failed with status 1.*no broker"):
        Supervisor([task, StartStage((StackPart(later),))]).bring_up()
    assert not later.is_running


def test_what_a_task_found_is_said_and_otherwise_that_it_is_done() -> None:
    said: list[str] = []
    command = Command((sys.executable, "-c", "print('noise'); print('130 posts/s')"))
    Supervisor(
        [StartTask("rate", command, speaks=True), StartTask("topics", command)], say=said.append
    ).bring_up()
    assert said == ["130 posts/s", "topics: done"]


def test_a_stop_asked_for_during_the_bring_up_ends_it(tmp_path: Path) -> None:
    never_ready = program(tmp_path, "never-ready", SLEEPS, ready=lambda: False)
    supervisor = Supervisor([StartStage((StackPart(never_ready),))])
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


LISTENS = (
    "import socket, sys, time\n"
    "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "while True: time.sleep(0.05)"
)


def listener(tmp_path: Path, name: str, port: int, *told: int) -> StackPart:
    """Return a part that listens on a port, and is told of others as words of its command."""
    words = (sys.executable, "-S", "-c", LISTENS, str(port), *map(str, told))
    server = Program(
        name, Command(words), tmp_path / name, ports={"p": port}, ready=lambda: not is_free(port)
    )
    return quick_part(server)


class Planner:
    """Lays out a server, one who is told of its port, and a third; gives the server other ports."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.ports = {name: any_free_port() for name in ("server", "client", "third")}
        self.lost: list[int] = []

    def steps(self) -> list[StartStage]:
        server, client, third = self.ports.values()
        return [
            StartStage((listener(self.tmp_path, "server", server),)),
            StartStage((listener(self.tmp_path, "client", client, server),)),
            StartStage((listener(self.tmp_path, "third", third),)),
        ]

    def replan(self, lost: int) -> list[StartStage]:
        self.lost.append(lost)
        name = next(name for name, port in self.ports.items() if port == lost)
        self.ports[name] = any_free_port()
        return self.steps()


def pids(supervisor: Supervisor) -> dict[str, int]:
    return {part.server.name: part.server.pid for part in supervisor.parts}


def test_a_port_that_is_lost_before_the_bring_up_leads_to_another(tmp_path: Path) -> None:
    planner, said = Planner(tmp_path), list[str]()
    lost = planner.ports["server"]
    with socket.create_server(("127.0.0.1", lost)):
        supervisor = Supervisor(planner.steps(), replan=planner.replan, say=said.append)
        try:
            supervisor.bring_up()
            assert planner.lost == [lost]
            assert all(part.server.is_up() for part in supervisor.parts)
            assert [line for line in said if str(lost) in line] == [
                f"port {lost} of server is taken by another program: it gets another port, and all "
                "that use it are told"
            ]
        finally:
            supervisor.take_down()


def test_a_port_that_is_lost_between_start_and_bind_leads_to_another(tmp_path: Path) -> None:
    planner = Planner(tmp_path)
    steps = planner.steps()
    port = planner.ports["client"]
    (part,) = steps[1].parts
    start = part.server.start
    with socket.socket() as stranger:

        def start_too_late() -> None:
            stranger.bind(("127.0.0.1", port))
            stranger.listen()
            start()

        part.server.start = start_too_late  # type: ignore[method-assign]
        supervisor = Supervisor(steps, replan=planner.replan)
        try:
            supervisor.bring_up()
            assert planner.lost == [port]
            assert all(part.server.is_up() for part in supervisor.parts)
            assert "already in use" in part.server.log_tail()  # it did try
        finally:
            supervisor.take_down()


def test_a_port_that_is_lost_while_a_part_is_down_moves_it_and_whoever_was_told_of_it(
    tmp_path: Path,
) -> None:
    planner = Planner(tmp_path)
    supervisor = Supervisor(planner.steps(), replan=planner.replan)
    try:
        supervisor.bring_up()
        first, lost = pids(supervisor), planner.ports["server"]
        supervisor.parts[0].server.kill()
        with socket.create_server(("127.0.0.1", lost)):
            watch_until(
                supervisor,
                lambda: (
                    all(part.state is PartState.READY for part in supervisor.parts)
                    and planner.lost == [lost]
                ),
            )
        second = pids(supervisor)
        assert {name for name in first if first[name] != second[name]} == {"server", "client"}
        assert supervisor.parts[1].server.command().argv[-1] == str(planner.ports["server"])
        assert [part.restarts for part in supervisor.parts] == [1, 1, 0]
    finally:
        supervisor.take_down()
    assert all(start_time_of(pid) is None for pid in (*first.values(), *second.values()))


def test_a_stranger_who_answers_on_the_port_is_not_taken_for_the_part(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        sleeper = Program(
            "sleeper", Command((sys.executable, "-S", "-c", SLEEPS)), tmp_path,
            ports={"p": port}, ready=lambda: True,
        )  # fmt: skip
        sleeper.start()
        try:
            assert sleeper.is_ready()
            assert sleeper.is_running
            assert not sleeper.is_up()
            assert sleeper.lost_port() == port
        finally:
            sleeper.kill()


def test_without_a_planner_a_lost_port_is_an_error_with_the_parts_own_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        part = listener(tmp_path, "server", stranger.getsockname()[1])
        with pytest.raises(ServerFailed, match=r"(?s)server ended with status 1.*in use"):
            Supervisor([StartStage((part,))]).bring_up()


REFUSES = (
    "import sys; sys.stderr.write('groundswell: worker.group = 7: expected text\\n'); sys.exit(2)"
)


@pytest.mark.parametrize("name", ["exporter", "ingest"])
@pytest.mark.parametrize("may_end", [False, True])
def test_wrong_use_ends_the_stack_with_its_message(
    tmp_path: Path, name: str, may_end: bool
) -> None:
    part = quick_part(program(tmp_path, name, REFUSES, ready=lambda: False), may_end=may_end)
    with pytest.raises(PartRefused, match=rf"^{name}: worker.group = 7: expected text$"):
        Supervisor([StartStage((part,))]).bring_up()


def test_wrong_use_later_ends_the_stack_too_and_nothing_is_started_again(tmp_path: Path) -> None:
    flag = tmp_path / "changed"
    code = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)\n" + REFUSES
    part = quick_part(program(tmp_path, "closer", code))
    supervisor = Supervisor([StartStage((part,))])
    supervisor.bring_up()
    flag.touch()
    with pytest.raises(PartRefused, match="expected text"):
        supervisor.watch()
    assert part.restarts == 0


def test_wrong_use_of_one_who_was_told_of_a_stranger_is_the_strangers_fault(tmp_path: Path) -> None:
    planner = Planner(tmp_path)
    supervisor = Supervisor(planner.steps(), replan=planner.replan)
    try:
        supervisor.bring_up()
        server, client = supervisor.parts[:2]
        lost = planner.ports["server"]
        server.server.kill()
        client.server._command = Command((sys.executable, "-S", "-c", REFUSES))  # type: ignore[attr-defined]
        client.server.kill()
        client.server.start()
        server.state, server.next_step_at = PartState.WAITING, float("inf")  # its wait is long
        with socket.create_server(("127.0.0.1", lost)):
            watch_until(
                supervisor,
                lambda: (
                    planner.lost == [lost]
                    and all(part.state is PartState.READY for part in supervisor.parts)
                ),
            )
    finally:
        supervisor.take_down()
