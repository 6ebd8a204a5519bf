"""Stacks beside each other and beside strangers: each has its own servers, and its own windows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from core import config
from core.settings import KafkaSettings
from services.kafka_client import TopicAdmin
from services.local.kafka_server import KafkaServer
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.redis_server import RedisServer
from services.local.server import LocalServer
from services.local.session import Session
from services.local.stack import Stack, plan_stack
from stream.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("stack_in_folder.py")
ROUNDS = int(os.environ.get("GROUNDSWELL_TWO_STACKS_ROUNDS", "1"))
"""More are for whoever changes how stacks start: ten take some minutes."""


def recording(path: Path, posts: int) -> list[list[Any]]:
    """Write a recording of `posts` posts, one every ten seconds; return the windows of `all`."""
    times = [f"2026-03-01T10:{at // 60:02}:{at % 60:02}Z" for at in range(0, 10 * posts, 10)]
    rows = [
        f"{path.stem}-{n},author{n % 7},{time},the trains are late" for n, time in enumerate(times)
    ]
    path.write_text("\n".join(["id,author,created_at,text", *rows]) + "\n")
    starts = [1_772_359_200 + 10 * n // 60 * 60 for n in range(posts)]
    return [["all", start, starts.count(start)] for start in sorted(set(starts))]


def started(folder: Path, data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(data)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a stack says next; one that says nothing has failed, and its errors are shown."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_stacks_started_at_once_both_come_up_and_count_their_own(
    tmp_path: Path, number: int
) -> None:
    wanted = {name: recording(tmp_path / f"{name}.csv", n) for name, n in (("a", 20), ("b", 33))}
    with ExitStack() as closing:
        stacks = {
            name: closing.enter_context(started(tmp_path / name, tmp_path / f"{name}.csv"))
            for name in wanted
        }
        for stack in stacks.values():  # also when one fails the other must end
            closing.callback(stack.terminate)
        for stack in stacks.values():
            assert heard(stack) == {"ready": True}
        for stack in stacks.values():
            go_on(stack)
        found = {name: heard(stack) for name, stack in stacks.items()}
        for name, said in found.items():
            assert [line for line in said["windows"] if line[0] == "all"] == wanted[name]
        assert found["a"]["cluster_id"] != found["b"]["cluster_id"]
        assert not set(found["a"]["ports"]) & set(found["b"]["ports"])
        for stack in stacks.values():
            go_on(stack)
            assert stack.wait(60) == 0


class Strangers:
    """Lets a real server of somebody else take a port between its choice and our server's bind."""

    def __init__(self, closing: ExitStack, folder: Path) -> None:
        self._closing = closing
        self._folder = folder
        self.taken: dict[str, int] = {}
        self.servers: list[LocalServer] = []

    def plan(self, options: StackOptions) -> Stack:
        stack = plan_stack(options, usual_ports=False)
        for server in stack.servers:
            if server.name in ("kafka", "redis"):
                server.start = self._too_late(server, server.start)  # type: ignore[method-assign]
        return stack

    def _too_late(self, server: LocalServer, start: Callable[[], None]) -> Callable[[], None]:
        def start_after_a_stranger() -> None:
            name, port = server.name, next(iter(server.ports.values()))
            self.taken[name] = port
            kind = KafkaServer if name == "kafka" else RedisServer
            self.servers.append(self._closing.enter_context(kind(self._folder / name, port)))
            start()

        return start_after_a_stranger


def test_strangers_who_take_the_ports_in_between_are_left_alone_and_the_stack_comes_up_elsewhere(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    options = StackOptions(
        source="", scorer="fake", heartbeat=False, metrics_stack=False, partitions=1,
        paths=RuntimePaths(tmp_path / "ours", shared_cache=DEFAULT_PATHS.cache),
    )  # fmt: skip
    with ExitStack() as closing:
        strangers = Strangers(closing, tmp_path / "theirs")
        with Session(options, say=said.append, plan=strangers.plan) as session:
            session.bring_up()
            settings = config.load(environ=session.stack.environment).kafka
            ours = {part.server.name: part.server for part in session.supervisor.parts}
            assert all(server.is_up() for server in ours.values())
            assert settings.bootstrap_servers == ours["kafka"].bootstrap  # type: ignore[attr-defined]
            with TopicAdmin(settings) as admin:  # by the address that the broker itself tells
                assert {topic.name for topic in admin.describe()} == set(TOPICS)
        assert [stranger.name for stranger in strangers.servers] == ["kafka", "redis"]
        for stranger in strangers.servers:
            assert stranger.is_up()
            assert strangers.taken[stranger.name] in stranger.ports.values()
        (theirs, _) = strangers.servers
        with TopicAdmin(KafkaSettings(bootstrap_servers=theirs.bootstrap)) as admin:  # type: ignore[attr-defined]
            assert admin.describe() == []
    moves = [line for line in said if "is taken by another program" in line]
    assert [re.sub(r"\d+", "N", line).split(" is taken")[0] for line in moves] == [
        "port N of kafka",
        "port N of redis",
    ]
    assert not [line for line in said if "Exception" in line or "\tat " in line]
