"""Which flows a worker has: assigned, revoked, drained, failed; their parts are not real."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import FatalError
from stream.topics import POST_EVENTS, POSTS
from stream.worker import flows as flows_module
from stream.worker.flows import PartitionFlows
from testkit.stream import MemoryPartition, MemoryRecord


class FakeFlow:
    """Remembers what a worker does with it; `made` are those that were made, in order."""

    made: list[FakeFlow]

    def __init__(self, partition: int, parts: Any, chain: Any, control: Any) -> None:
        del parts, control
        self.key, self.chain = (chain.topic, partition), chain
        self.done: list[str] = []
        self.cursor = 41
        self.failure: BaseException | None = None
        self.drained = asyncio.Event()
        self.drained.set()
        type(self).made.append(self)

    async def start(self) -> None:
        self.done.append("start")

    async def stop(self) -> None:
        self.done.append("stop")

    async def offer(self, records: Any) -> None:
        self.done.append(f"offer {len(records)}")

    async def check(self) -> None:
        self.done.append("check")

    async def check_store(self) -> None:
        self.done.append("check store")

    async def drain(self) -> None:
        await self.drained.wait()
        self.done.append("drain")


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[FakeFlow]:
    FakeFlow.made = []
    monkeypatch.setattr(flows_module, "PartitionFlow", FakeFlow)
    return FakeFlow.made


@pytest.fixture
def owned() -> PartitionFlows:
    parts: Any = None
    chains: Any = [SimpleNamespace(topic=topic) for topic in (POSTS, POST_EVENTS)]
    return PartitionFlows(parts, chains)


def _control(*keys: tuple[str, int]) -> Any:
    return {key: MemoryPartition([]).control() for key in keys}


RUN = [MemoryRecord(0, b"a"), MemoryRecord(1, b"b")]


async def test_each_partition_gets_a_flow_with_the_chain_of_its_topic(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    assert owned.topics == (POSTS, POST_EVENTS)
    await owned.assign(_control((POSTS, 3), (POST_EVENTS, 3)))
    assert [(flow.key, flow.chain.topic, flow.done) for flow in flows] == [
        ((POSTS, 3), POSTS, ["start"]), ((POST_EVENTS, 3), POST_EVENTS, ["start"]),
    ]  # fmt: skip
    assert owned.assigned == ((POSTS, 3), (POST_EVENTS, 3))
    assert owned.cursor(POSTS, 3) == 41
    assert owned.cursor(POSTS, 4) is None


async def test_an_assignment_ends_every_flow_of_the_one_before_it(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    await owned.assign(_control((POSTS, 3), (POSTS, 4)))
    await owned.assign(_control((POSTS, 3)))
    assert [flow.done for flow in flows] == [["start", "stop"], ["start", "stop"], ["start"]]
    assert owned.assigned == ((POSTS, 3),)


async def test_runs_go_to_their_own_flow_and_those_of_nobody_are_dropped(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    await owned.assign(_control((POSTS, 3), (POST_EVENTS, 3)))
    await owned.offer(POST_EVENTS, 3, RUN)
    await owned.offer(POSTS, 9, RUN)
    assert [flow.done for flow in flows] == [["start"], ["start", "offer 2"]]
    await owned.revoke([(POSTS, 3), (POSTS, 8)])
    assert flows[0].done == ["start", "stop"]
    assert owned.assigned == ((POST_EVENTS, 3),)


async def test_a_flow_that_ended_by_itself_ends_the_worker_at_the_next_call(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    await owned.assign(_control((POSTS, 3), (POSTS, 4)))
    owned.raise_if_failed()
    await owned.check()
    assert [flow.done[-1] for flow in flows] == ["check store", "check store"]
    flows[1].failure = ValueError("a mistake")
    for call in (owned.check(), owned.offer(POSTS, 3, RUN)):
        with pytest.raises(FatalError, match=r"posts\[4\]") as raised:
            await call
        assert raised.value.__cause__ is flows[1].failure
    assert flows[0].done == ["start", "check", "check store"]


async def test_an_engine_that_drains_finishes_its_flows_ends_them_and_takes_no_others(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    await owned.assign(_control((POSTS, 3), (POSTS, 4)))
    assert await owned.drain(60.0) is True
    assert [flow.done for flow in flows] == [["start", "drain", "stop"]] * 2
    assert owned.assigned == ()
    await owned.assign(_control((POSTS, 3)))
    assert len(flows) == 2


async def test_flows_that_do_not_finish_in_time_are_ended_and_that_is_told(
    owned: PartitionFlows, flows: list[FakeFlow]
) -> None:
    await owned.assign(_control((POSTS, 3), (POSTS, 4)))
    flows[0].drained.clear()
    assert await owned.drain(0.0) is False
    assert flows[0].done == ["start", "stop"]
    assert owned.assigned == ()
