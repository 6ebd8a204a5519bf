"""Which flows an engine has: assigned, revoked, drained, failed; their parts are not real."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import FatalError
from stream.topics import POST_EVENTS, POSTS
from stream.worker import flows as engine_module
from stream.worker.flows import Engine
from testkit.stream import MemoryPartition, MemoryRecord


class FakeFlow:
    """Remembers what an engine does with it; `made` are those that were made, in order."""

    made: list[FakeFlow]

    def __init__(self, topic: str, partition: int, parts: Any, stage: Any, steering: Any) -> None:
        del parts, steering
        self.key, self.stage = (topic, partition), stage
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

    async def offer(self, run: Any) -> None:
        self.done.append(f"offer {len(run)}")

    async def look_after(self) -> None:
        self.done.append("look after")

    async def drain(self) -> None:
        await self.drained.wait()
        self.done.append("drain")


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[FakeFlow]:
    FakeFlow.made = []
    monkeypatch.setattr(engine_module, "PartitionFlow", FakeFlow)
    return FakeFlow.made


@pytest.fixture
def engine() -> Engine:
    parts: Any = None
    stages: Any = {POSTS: lambda: "posts stage", POST_EVENTS: lambda: "events stage"}
    return Engine(parts, stages)


def _steering(*keys: tuple[str, int]) -> Any:
    return {key: MemoryPartition([]).steering() for key in keys}


RUN = [MemoryRecord(0, b"a"), MemoryRecord(1, b"b")]


async def test_each_partition_gets_a_flow_with_the_stage_of_its_topic(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    assert engine.topics == (POSTS, POST_EVENTS)
    await engine.assign(_steering((POSTS, 3), (POST_EVENTS, 3)))
    assert [(flow.key, flow.stage, flow.done) for flow in flows] == [
        ((POSTS, 3), "posts stage", ["start"]), ((POST_EVENTS, 3), "events stage", ["start"]),
    ]  # fmt: skip
    assert engine.assigned == ((POSTS, 3), (POST_EVENTS, 3))
    assert engine.cursor(POSTS, 3) == 41
    assert engine.cursor(POSTS, 4) is None


async def test_an_assignment_ends_every_flow_of_the_one_before_it(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    await engine.assign(_steering((POSTS, 3), (POSTS, 4)))
    await engine.assign(_steering((POSTS, 3)))
    assert [flow.done for flow in flows] == [["start", "stop"], ["start", "stop"], ["start"]]
    assert engine.assigned == ((POSTS, 3),)


async def test_runs_go_to_their_own_flow_and_those_of_nobody_are_dropped(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    await engine.assign(_steering((POSTS, 3), (POST_EVENTS, 3)))
    await engine.offer(POST_EVENTS, 3, RUN)
    await engine.offer(POSTS, 9, RUN)
    assert [flow.done for flow in flows] == [["start"], ["start", "offer 2"]]
    await engine.revoke([(POSTS, 3), (POSTS, 8)])
    assert flows[0].done == ["start", "stop"]
    assert engine.assigned == ((POST_EVENTS, 3),)


async def test_a_flow_that_ended_by_itself_ends_the_worker_at_the_next_call(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    await engine.assign(_steering((POSTS, 3), (POSTS, 4)))
    engine.check()
    await engine.look_after()
    assert [flow.done[-1] for flow in flows] == ["look after", "look after"]
    flows[1].failure = ValueError("a mistake")
    for call in (engine.look_after(), engine.offer(POSTS, 3, RUN)):
        with pytest.raises(FatalError, match=r"posts\[4\]") as raised:
            await call
        assert raised.value.__cause__ is flows[1].failure
    assert flows[0].done == ["start", "look after"]


async def test_an_engine_that_drains_finishes_its_flows_ends_them_and_takes_no_others(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    await engine.assign(_steering((POSTS, 3), (POSTS, 4)))
    assert await engine.drain(60.0) is True
    assert [flow.done for flow in flows] == [["start", "drain", "stop"]] * 2
    assert engine.assigned == ()
    await engine.assign(_steering((POSTS, 3)))
    assert len(flows) == 2


async def test_flows_that_do_not_finish_in_time_are_ended_and_that_is_told(
    engine: Engine, flows: list[FakeFlow]
) -> None:
    await engine.assign(_steering((POSTS, 3), (POSTS, 4)))
    flows[0].drained.clear()
    assert await engine.drain(0.0) is False
    assert flows[0].done == ["start", "stop"]
    assert engine.assigned == ()
