"""Whom a pool of servers asks: load, sickness, fail-over, versions; clients that answer as told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from core.clock import ManualClock
from core.errors import ScorerRefused, ScorerTimedOut, ScorerUnavailable
from models.scorers.pool import ServerPool
from testkit.builders import NOON


@dataclass(frozen=True)
class Said:
    """An answer: who gave it, and with which model."""

    model_version: str
    by: str


@dataclass
class Told:
    """A client that does as it is told."""

    name: str
    version: str = "v1"
    is_up: bool = True
    error: Exception | None = None
    gate: asyncio.Event | None = None
    asked: int = 0
    probed: int = 0
    during: Callable[[], None] = field(default=lambda: None)

    async def is_ready(self) -> bool:
        self.probed += 1
        return self.is_up

    async def close(self) -> None:
        pass

    async def answer(self) -> Said:
        self.asked += 1
        self.during()
        if self.gate is not None:
            await self.gate.wait()
        if not self.is_up:
            raise ScorerUnavailable(f"{self.name} is away")
        if self.error is not None:
            raise self.error
        return Said(self.version, self.name)


class Bench:
    """Two servers, a pool of them, and what it left out."""

    def __init__(self, number: int = 2) -> None:
        self.clock = ManualClock(NOON)
        self.told = [Told(name) for name in "abc"[:number]]
        self.pool = ServerPool([(one.name, one) for one in self.told], 30.0, self.clock)
        self.left_out: list[tuple[str, str]] = []
        self.pool.on_left_out = lambda url, cause: self.left_out.append((url, cause))

    async def ask(self, posts: int = 1) -> Said:
        return await self.pool.ask(posts, Told.answer)

    async def probed(self) -> None:
        """Wait for the probes that are on their way."""
        await asyncio.gather(*self.pool._probes.values())

    def later(self) -> None:
        self.clock.advance(11.0)


async def test_the_server_with_fewer_posts_in_flight_is_asked():
    bench = Bench()
    gate = bench.told[0].gate = asyncio.Event()
    waiting = asyncio.create_task(bench.ask(posts=100))
    await asyncio.sleep(0)  # chosen by now
    assert [(await bench.ask(posts=10)).by for _ in range(5)] == ["b"] * 5
    assert [one.in_flight for one in bench.pool.servers] == [100, 0]
    gate.set()
    assert (await waiting).by == "a"
    assert [one.in_flight for one in bench.pool.servers] == [0, 0]


async def test_calls_that_begin_together_are_shared_out():
    bench = Bench()
    found = await asyncio.gather(*(bench.ask(posts=10) for _ in range(6)))
    assert sorted(one.by for one in found) == ["a", "a", "a", "b", "b", "b"]


async def test_idle_servers_take_turns():
    bench = Bench()
    assert [(await bench.ask()).by for _ in range(4)] == ["a", "b", "a", "b"]


async def test_a_sick_server_is_left_out_and_comes_back_when_it_is_ready():
    bench = Bench()
    bench.told[0].is_up = False
    assert [(await bench.ask()).by for _ in range(5)] == ["b"] * 5
    assert bench.told[0].asked == 1
    assert bench.left_out == [("a", "sick")]
    bench.later()
    await bench.ask()
    await bench.probed()
    assert bench.told[0].probed == 1
    assert bench.pool.servers[0].why_out == "a is away"
    bench.told[0].is_up = True
    await bench.ask()  # its pause has begun again
    assert bench.told[0].probed == 1
    bench.later()
    await bench.ask()
    await bench.probed()
    assert {(await bench.ask()).by for _ in range(2)} == {"a", "b"}


async def test_with_all_away_each_is_asked_once_and_named_and_the_next_call_probes_at_once():
    bench = Bench()
    for one in bench.told:
        one.is_up = False
    with pytest.raises(ScorerUnavailable, match=r"none of 2 .* a: a is away; b: b is away"):
        await bench.ask()
    with pytest.raises(ScorerUnavailable, match="none of 2"):
        await bench.ask()
    assert [one.asked for one in bench.told] == [1, 1]
    bench.told[1].is_up = True
    assert (await bench.ask()).by == "b"


async def test_a_refused_batch_says_nothing_against_the_server():
    bench = Bench()
    bench.told[0].error = ScorerRefused("not this text")
    with pytest.raises(ScorerRefused, match="not this text"):
        await bench.ask()
    assert not bench.left_out
    assert bench.told[1].asked == 0


async def test_a_fail_over_spends_what_is_left_of_the_time():
    bench = Bench()
    bench.told[0].is_up = False
    bench.told[0].during = lambda: bench.clock.advance(30.0)
    with pytest.raises(ScorerUnavailable, match="a: a is away"):
        await bench.ask()
    assert bench.told[1].asked == 0


async def test_a_server_that_does_not_answer_in_time_is_left_out_and_named():
    bench = Bench(1)
    bench.told[0].gate = asyncio.Event()
    bench.pool._timeout_s = 0.01
    with pytest.raises(ScorerTimedOut, match=r"Triton at a, 3 posts: nothing within 0\.01 s"):
        await bench.ask(posts=3)
    assert bench.left_out == [("a", "sick")]
    assert bench.pool.servers[0].in_flight == 0
    bench.told[0].gate = None
    assert (await bench.ask()).by == "a"
    assert not bench.pool.servers[0].why_out


async def test_a_server_of_another_version_is_held_out_and_named_while_the_old_one_answers():
    bench = Bench()
    bench.told[1].version = "v2"
    assert [(await bench.ask()).model_version for _ in range(6)] == ["v1"] * 6
    assert bench.left_out == [("b", "version")]
    assert bench.told[1].asked == 1
    assert bench.pool.servers[1].why_out == "answers version v2, expected v1 as a"
    bench.later()  # it is tried with one batch, and held out again
    await bench.ask()
    await bench.probed()
    assert [(await bench.ask()).model_version for _ in range(4)] == ["v1"] * 4
    assert bench.left_out == [("b", "version")] * 2
    assert bench.told[1].asked == 2


async def test_the_pool_moves_once_no_server_answers_the_old_version():
    bench = Bench()
    bench.told[1].version = "v2"
    await bench.ask()
    await bench.ask()
    bench.told[0].is_up = False
    assert [(await bench.ask()).model_version for _ in range(3)] == ["v2"] * 3
    bench.told[0].is_up = True  # back with what it had: it is the one held out now
    bench.later()
    await bench.ask()
    await bench.probed()
    assert [(await bench.ask()).model_version for _ in range(4)] == ["v2"] * 4
    assert bench.pool.servers[0].why_out == "answers version v1, expected v2 as b"
    bench.told[0].version = "v2"
    bench.later()
    await bench.ask()
    await bench.probed()
    assert {(await bench.ask()).by for _ in range(2)} == {"a", "b"}


async def test_a_server_yet_unknown_may_answer_the_old_version_and_is_asked_first():
    bench = Bench(3)
    bench.told[1].version = "v2"
    await bench.ask()
    bench.told[0].is_up = False
    assert (await bench.ask()) == Said("v1", "c")
    bench.told[2].version = "v2"
    assert (await bench.ask()).model_version == "v2"
    assert {(await bench.ask()).by for _ in range(4)} == {"b", "c"}


async def test_a_late_answer_does_not_take_a_sick_server_back():
    bench = Bench()
    gate = bench.told[0].gate = asyncio.Event()
    late = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.pool._leave_out(bench.pool.servers[0], "away", "sick")
    gate.set()
    assert (await late).by == "a"
    assert bench.pool.servers[0].why_out == "away"


class Slow(Bench):
    """Two servers, of which a call is doubted as soon as another one could be asked."""

    def __init__(self, number: int = 2) -> None:
        super().__init__(number)
        clients = [(one.name, one) for one in self.told]
        self.pool = ServerPool(clients, 30.0, self.clock, least_delay_s=0.0)
        self.pool.on_left_out = lambda url, cause: self.left_out.append((url, cause))
        self.doubted: list[str] = []
        self.pool.on_asked_again = self.doubted.append
        self.pool._hedge_delay.note(1e-9)  # one that was answered at once


async def test_a_batch_that_waits_long_is_answered_by_another_and_the_slow_one_left_out():
    bench = Slow()
    bench.told[0].gate = asyncio.Event()
    assert (await bench.ask(posts=5)).by == "b"
    assert bench.left_out == [("a", "slow")]
    assert bench.doubted == ["a"]
    assert bench.pool.servers[0].why_out == "takes long, b was faster though asked later"
    assert [one.in_flight for one in bench.pool.servers] == [0, 0]
    assert not bench.pool.servers[0].is_doubted
    assert [(await bench.ask()).by for _ in range(3)] == ["b"] * 3
    bench.told[0].gate = None
    bench.later()
    await bench.ask()
    await bench.probed()
    assert {(await bench.ask()).by for _ in range(2)} == {"a", "b"}


async def test_the_slow_one_that_answers_first_stays_and_the_other_call_is_given_up():
    bench = Slow()
    slow, other = asyncio.Event(), asyncio.Event()
    bench.told[0].gate, bench.told[1].gate = slow, other
    bench.told[1].during = slow.set
    assert (await bench.ask(posts=5)).by == "a"
    assert bench.left_out == []
    assert bench.told[1].asked == 1
    assert [one.in_flight for one in bench.pool.servers] == [0, 0]


async def test_where_all_are_slow_one_call_of_a_server_is_asked_twice_and_no_more():
    bench = Slow()
    gate = asyncio.Event()
    for one in bench.told:
        one.gate = gate
    calls = [asyncio.create_task(bench.ask()) for _ in range(6)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert sum(one.asked for one in bench.told) == 6 + 2
    assert sorted(bench.doubted) == ["a", "b"]
    gate.set()
    await asyncio.gather(*calls)


async def test_all_batches_of_a_server_that_hangs_move_once_one_of_them_has():
    bench = Slow()
    bench.told[0].gate = asyncio.Event()
    assert [(one.by) for one in await asyncio.gather(*(bench.ask() for _ in range(6)))] == ["b"] * 6
    assert bench.left_out == [("a", "slow")]


async def test_a_server_that_answers_other_calls_is_at_work_however_long_its_queue():
    bench = Slow()
    gate = bench.told[0].gate = asyncio.Event()
    bench.pool.servers[1].in_flight = 1_000
    queued = asyncio.create_task(bench.ask())
    bench.pool._timeout_s = float("inf")
    for _ in range(20):
        bench.pool.servers[0].answers += 1
        await asyncio.sleep(0)
    assert bench.doubted == []
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.doubted == ["a"]
    gate.set()
    await queued


async def test_a_call_that_is_lost_is_doubted_after_half_the_time_out_though_others_are_answered():
    bench = Slow()
    bench.told[0].gate = asyncio.Event()
    lost = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.pool._timeout_s = 0.0
    for _ in range(20):
        bench.pool.servers[0].answers += 1
        await asyncio.sleep(0)
    assert (await lost).by == "b"


async def test_a_slow_server_without_another_is_waited_for():
    bench = Slow()
    bench.told[1].is_up = False
    bench.pool._leave_out(bench.pool.servers[1], "away", "sick")
    gate = bench.told[0].gate = asyncio.Event()
    asked = asyncio.create_task(bench.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not asked.done()
    gate.set()
    assert (await asked).by == "a"
    assert bench.doubted == []


async def test_while_one_hangs_the_other_that_was_away_is_taken_back_before_its_pause_ends():
    bench = Slow()
    bench.pool._leave_out(bench.pool.servers[1], "away", "sick")
    bench.told[0].gate = asyncio.Event()
    assert (await bench.ask()).by == "b"  # the clock stands still: no pause has ended
    assert bench.told[1].probed == 1
    assert bench.left_out == [("b", "sick"), ("a", "slow")]


async def test_the_second_answers_another_model_and_the_slow_one_is_waited_for():
    bench = Slow()
    assert (await bench.ask()).by == "a"
    bench.told[1].version = "v2"
    gate = bench.told[0].gate = asyncio.Event()
    bench.pool.servers[1].in_flight = 10
    asked = asyncio.create_task(bench.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    gate.set()
    assert await asked == Said("v1", "a")
    assert bench.left_out == [("b", "version")]


async def test_the_delay_follows_the_longest_call_of_late_within_bounds():
    bench = Bench()
    assert bench.pool._hedge_delay.seconds() == 7.5  # nothing is known: a quarter of the time-out
    bench.told[0].during = bench.told[1].during = lambda: bench.clock.advance(0.1)
    await bench.ask()
    assert bench.pool._hedge_delay.seconds() == 1.0
    bench.told[1].during = lambda: bench.clock.advance(2.0)
    await bench.ask()
    assert bench.pool._hedge_delay.seconds() == pytest.approx(6.0)
    for _ in range(60):
        bench.told[0].during = bench.told[1].during = lambda: bench.clock.advance(0.1)
        await bench.ask()
    assert bench.pool._hedge_delay.seconds() == 1.0
    bench.told[0].during = bench.told[1].during = lambda: bench.clock.advance(20.0)
    await bench.ask()
    assert bench.pool._hedge_delay.seconds() == 15.0
