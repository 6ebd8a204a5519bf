"""What a member of the workers' group remembers when it is told that it is unknown."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalGenerationError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from core.config import build
from core.errors import ConfigError, FatalError
from stream.runtime.app import instance_of
from stream.runtime.membership import FENCED_INSTANCE_ID, FETCH_WAIT_MS, GroupMember, MemberThread


class Answer:
    """A response of the broker, as far as it is looked at."""

    def __init__(self, error_code: int) -> None:
        self.error_code = error_code


def member(instance: str | None, generation: int = 3) -> Any:
    """Return a member in mid-life, without a broker."""
    made: Any = GroupMember.__new__(GroupMember)
    made.group_id, made._group_instance_id = "workers", instance
    made.generation, made.member_id = generation, "w1-0815"
    loop = asyncio.get_running_loop()
    made._rejoin_needed_fut, made._closing = loop.create_future(), loop.create_future()
    return made


async def test_a_named_member_joins_once_more_under_the_id_it_had() -> None:
    """The broker then says whether it is forgotten or another has its name."""
    named = member("w1")
    named.reset_generation()
    assert (named.generation, named.member_id) == (-1, "w1-0815")
    assert named._rejoin_needed_fut.done()
    named.reset_generation()  # forgotten: it may join as if it were new
    assert (named.generation, named.member_id) == (-1, "")


async def test_a_member_without_a_name_forgets_at_once() -> None:
    unnamed = member(None)
    unnamed.reset_generation()
    assert (unnamed.generation, unnamed.member_id) == (-1, "")


async def test_nothing_is_asked_of_the_broker_between_two_generations() -> None:
    """Its answer to a heartbeat or a commit would take the id away before it is joined with."""
    named = member("w1", generation=-1)
    assert await named._do_heartbeat() is True
    with pytest.raises(IllegalGenerationError):
        await named._do_commit_offsets(None, {"posts": 1})
    assert named.member_id == "w1-0815"


async def test_an_error_of_the_group_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    crashes: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashes.append(error)

    async def send(self: GroupCoordinator, request: int) -> Answer:
        return Answer(request)

    monkeypatch.setattr(GroupCoordinator, "_send_req", send)
    named = member("w1")
    named.crash = crash
    named._subscription = type("Waiters", (), {"abort_waiters": lambda *_: None})()
    named._closing.set_result(None)  # nobody else takes the error, and the end may come
    await named._push_error_to_user(KafkaError("GROUP_AUTHORIZATION_FAILED"))
    await named._send_req(FENCED_INSTANCE_ID)
    await named._push_error_to_user(KafkaError("UnknownError"))
    refused, fenced = crashes
    assert "GROUP_AUTHORIZATION_FAILED" in str(refused)
    assert isinstance(fenced, FatalError)
    assert "worker.instance = 'w1'" in str(fenced)


def test_a_fetch_that_finds_nothing_is_soon_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets a partition meanwhile waits for it: Faust's own wait is a second and a half."""
    made = SimpleNamespace(_fetch_max_wait_ms=1_500)
    monkeypatch.setattr(AIOKafkaConsumerThread, "_create_consumer", lambda _self, _loop: made)
    thread = MemberThread.__new__(MemberThread)
    assert thread._create_consumer(None)._fetch_max_wait_ms == FETCH_WAIT_MS < 500


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_named_member_leaves_only_when_it_ends_and_only_if_it_is_to(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    sent: list[str] = []

    async def send(self: GroupCoordinator, request: object) -> Answer:
        sent.append(type(request).__name__)
        return Answer(0)

    monkeypatch.setattr(GroupCoordinator, "_send_req", send)
    named = member("w1")
    named.leaves = leaves
    await named._maybe_leave_group()  # idle for too long, say
    assert sent == []
    named = member("w1")
    named.leaves = leaves
    named._closing.set_result(None)
    await named._maybe_leave_group()
    assert sent == (["LeaveGroupRequest"] if leaves else [])


def test_an_instance_may_be_the_host_and_must_be_a_word() -> None:
    assert instance_of(build({}).worker) is None
    assert instance_of(build({"worker": {"instance": "worker-3"}}).worker) == "worker-3"
    host = instance_of(build({"worker": {"instance": "{hostname}"}}).worker)
    assert host
    assert "{" not in host
    for refused in ("two words", "a/b", "{host}", "x" * 250, ".", "..", "w\n", "{hostname"):
        with pytest.raises(ConfigError, match=r"worker\.instance"):
            build({"worker": {"instance": refused}})


@pytest.mark.parametrize("host", ["two words", "h\u00f6st", "a/b", "x" * 250, "."])
def test_name_of_a_host_that_kafka_would_refuse_is_said_with_the_key(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with pytest.raises(ConfigError, match=r"worker\.instance = '\{hostname\}'.*expected") as said:
        instance_of(build({"worker": {"instance": "{hostname}"}}).worker)
    assert repr(host) in str(said.value)
