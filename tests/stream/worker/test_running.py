"""Chains of made-up steps: their order is checked, and what is late or fails is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from core.errors import FatalError, StoreUnavailable
from core.metrics import Metrics
from stream.topics import POSTS
from stream.worker.batch import Column, PostBatch
from stream.worker.running import Chain, ChainRefused
from stream.worker.step import Step, beside_others, in_order, optional
from testkit.stream import batch_of

TEXTS = Column[list[str]]("texts")
LENGTHS = Column[list[int]]("lengths")
SUMS = Column[list[int]]("sums")


class Read(Step):
    adds = (TEXTS,)

    def run(self, batch: PostBatch) -> None:
        batch[TEXTS] = [(record.value or b"").decode() for record in batch.records]


class Measure(Step):
    needs = (TEXTS,)
    adds = (LENGTHS,)

    async def run(self, batch: PostBatch) -> None:
        batch[LENGTHS] = [len(text) for text in batch[TEXTS]]


class Sum(Step):
    needs = (LENGTHS,)
    adds = (SUMS,)

    def run(self, batch: PostBatch) -> None:
        batch[SUMS] = [sum(batch[LENGTHS])] * batch.size


class Wish(Sum):
    needs = ()
    wants = (LENGTHS,)

    def run(self, batch: PostBatch) -> None:
        batch[SUMS] = batch.get(LENGTHS) or [0] * batch.size


class Never(Measure):
    """Waits for ever, and does not heed its end when it is told to."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def run(self, batch: PostBatch) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            batch[LENGTHS] = [0] * batch.size
            self.ended.set()


class Drop(Step):
    needs = (TEXTS,)
    drops = True

    def run(self, batch: PostBatch) -> None:
        batch.keep([row for row in range(batch.size) if batch[TEXTS][row]])


async def _at_once(attempt: Callable[[], Awaitable[None]]) -> None:
    await attempt()


def _chain(*beside: Any, metrics: Metrics | None = None) -> Chain:
    return Chain(POSTS, metrics or Metrics(), in_order(Read()), beside_others(*beside), in_order())


async def _worked(chain: Chain, *values: bytes) -> PostBatch:
    batch = batch_of(*values)
    await chain.prepare(batch, _at_once)
    async with asyncio.timeout(60):
        await chain.work(batch)
    await chain.conclude(batch, _at_once)
    return batch


async def test_steps_run_in_their_order_and_those_that_need_others_wait_for_them() -> None:
    batch = await _worked(_chain(Measure(), Sum()), b"ab", b"c")
    assert (batch[LENGTHS], batch[SUMS]) == ([2, 1], [3, 3])


async def test_a_step_runs_while_one_beside_it_waits() -> None:
    meanwhile = asyncio.Event()

    class Waits(Measure):
        async def run(self, batch: PostBatch) -> None:
            await meanwhile.wait()
            await super().run(batch)

    class Quick(Step):
        needs = (TEXTS,)

        def run(self, batch: PostBatch) -> None:
            meanwhile.set()

    assert (await _worked(_chain(Waits(), Quick()), b"ab"))[LENGTHS] == [2]


def test_a_step_that_reads_what_is_added_after_it_is_refused_with_both_names() -> None:
    with pytest.raises(ChainRefused, match=r"posts: Sum reads `lengths`, which Measure adds after"):
        _chain(Sum(), Measure())
    with pytest.raises(ChainRefused, match=r"Wish reads `lengths`, which Measure adds after it"):
        _chain(Wish(), Measure())
    with pytest.raises(ChainRefused, match=r"Measure reads `texts`, which Read adds after it"):
        Chain(POSTS, Metrics(), in_order(), beside_others(Measure()), in_order(Read()))


def test_a_step_that_needs_what_nobody_adds_is_refused_and_one_that_wants_it_is_not() -> None:
    with pytest.raises(ChainRefused, match=r"Sum needs `lengths`, which no step adds"):
        _chain(Sum())
    _chain(Wish())


def test_a_step_cannot_need_what_an_optional_one_may_leave_out() -> None:
    with pytest.raises(ChainRefused, match=r"Sum needs `lengths`, which the optional Measure may"):
        _chain(optional(Measure(), within_ms=5), Sum())


def test_two_steps_that_add_one_column_are_refused() -> None:
    with pytest.raises(ChainRefused, match=r"both Measure and Never add `lengths`"):
        _chain(Measure(), Never())


@pytest.mark.parametrize("step", [Drop(), Sum()])
def test_only_a_coroutine_that_drops_nothing_can_be_optional(step: Step) -> None:
    with pytest.raises(ChainRefused, match=r"cannot be optional"):
        _chain(Measure(), optional(step, within_ms=5))


def test_an_optional_step_stands_beside_others_only() -> None:
    late: Any = optional(Measure(), within_ms=5)
    with pytest.raises(
        ChainRefused, match=r"Measure is optional, so it must stand in beside_others"
    ):
        Chain(POSTS, Metrics(), in_order(Read(), late), beside_others(), in_order())
    with pytest.raises(ChainRefused, match=r"expected in_order, beside_others, in_order"):
        Chain(POSTS, Metrics(), beside_others(Read()), beside_others(), in_order())


def _absent(metrics: Metrics, step: str, cause: str) -> float | None:
    labels = {"topic": POSTS, "step": step, "cause": cause}
    return metrics.registry.get_sample_value("groundswell_step_absent_total", labels)


async def test_an_optional_step_in_time_adds_its_column() -> None:
    metrics = Metrics()
    batch = await _worked(
        _chain(optional(Measure(), within_ms=60_000), Wish(), metrics=metrics), b"ab"
    )
    assert batch[SUMS] == [2]
    assert _absent(metrics, "measure", "late") == 0


async def test_what_an_optional_step_adds_too_late_is_absent_and_counted_and_it_is_ended() -> None:
    metrics, never = Metrics(), Never()
    batch = await _worked(_chain(optional(never, within_ms=1), Wish(), metrics=metrics), b"ab")
    async with asyncio.timeout(60):
        await never.ended.wait()
    assert LENGTHS not in batch
    assert batch[SUMS] == [0]
    assert _absent(metrics, "never", "late") == 1
    assert _absent(metrics, "never", "failed") == 0


async def test_an_optional_step_that_fails_is_left_out_and_counted() -> None:
    class Fails(Measure):
        async def run(self, batch: PostBatch) -> None:
            raise ValueError("a mistake")

    metrics = Metrics()
    batch = await _worked(
        _chain(optional(Fails(), within_ms=60_000), Wish(), metrics=metrics), b"ab"
    )
    assert batch[SUMS] == [0]
    assert _absent(metrics, "fails", "failed") == 1


async def test_a_batch_that_is_thrown_away_ends_the_steps_that_run_for_it() -> None:
    needed, extra = Never(), Never()
    extra.__class__ = type("Extra", (Never,), {"adds": (SUMS,)})
    work = asyncio.create_task(_worked(_chain(needed, optional(extra, within_ms=60_000)), b"ab"))
    async with asyncio.timeout(60):
        await needed.begun.wait()
        await extra.begun.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await needed.ended.wait()
        await extra.ended.wait()


async def test_a_step_that_fails_beside_others_fails_the_batch_and_ends_them() -> None:
    class Fails(Step):
        async def run(self, batch: PostBatch) -> None:
            raise ValueError("a mistake")

    never = Never()
    with pytest.raises(ValueError, match="a mistake"):
        await _worked(_chain(Fails(), never), b"ab")
    async with asyncio.timeout(60):
        await never.ended.wait()


async def test_nothing_runs_beside_a_step_that_drops_rows() -> None:
    batch = await _worked(_chain(Drop(), Measure()), b"ab", b"", b"c")
    assert (batch.size, batch[LENGTHS]) == (2, [2, 1])


async def test_a_step_that_does_not_do_what_it_declares_is_a_mistake_of_ours() -> None:
    class Forgets(Measure):
        async def run(self, batch: PostBatch) -> None:
            pass

    class Drops(Drop):
        drops = False

    with pytest.raises(FatalError, match="Forgets did not add the column `lengths`"):
        await _worked(_chain(Forgets()), b"ab")
    with pytest.raises(FatalError, match="Drops dropped rows and does not declare it"):
        await _worked(_chain(Drops()), b"ab", b"")


async def test_only_the_step_that_failed_is_tried_again() -> None:
    class Flaky(Step):
        needs = (TEXTS,)

        def __init__(self) -> None:
            self.tries = 0

        async def run(self, batch: PostBatch) -> None:
            self.tries += 1
            if self.tries < 3:
                raise StoreUnavailable("away")

    async def patiently(attempt: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await attempt()
            except StoreUnavailable:
                continue

    class CountedRead(Read):
        reads = 0

        def run(self, batch: PostBatch) -> None:
            type(self).reads += 1
            super().run(batch)

    flaky = Flaky()
    chain = Chain(POSTS, Metrics(), in_order(CountedRead(), flaky), beside_others(), in_order())
    await chain.prepare(batch_of(b"ab"), patiently)
    assert (CountedRead.reads, flaky.tries) == (1, 3)


async def test_steps_that_hold_something_are_told_when_a_batch_is_done() -> None:
    class Holds(Measure):
        released: ClassVar[list[PostBatch]] = []

        def release(self, batch: PostBatch) -> None:
            self.released.append(batch)

    chain = _chain(Holds())
    batch = await _worked(chain, b"ab")
    assert Holds.released == []
    chain.release(batch)
    assert Holds.released == [batch]
