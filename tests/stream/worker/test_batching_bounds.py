"""Batches and the budget at their bounds."""

import asyncio

import pytest

from core.settings import WorkerSettings
from stream.worker.batching import BatchLimits, PostBudget

LIMITS = BatchLimits(max_posts=3, max_bytes=100, max_age_s=0.05)


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], 0), ([101], 1), ([101, 1], 1), ([50, 50], 2), ([50, 51], 1), ([50, 50, 1], 2),
        ([1] * 4, 3), ([30, 30, 30, 30], 3), ([99, 1, 0, 5], 3), ([0, 101, 1], 1),
    ],
)  # fmt: skip
def test_a_batch_takes_what_fits_and_at_least_one(sizes: list[int], taken: int) -> None:
    assert LIMITS.take(sizes) == taken


@pytest.mark.parametrize(
    ("posts", "size", "in_flight", "wait_s"),
    [(2, 99, 1, 0.05), (3, 0, 1, 0.0), (2, 100, 1, 0.0), (1, 1, 0, 0.0), (0, 0, 2, 0.05)],
)
def test_a_batch_leaves_when_it_is_full_or_nothing_is_in_flight(
    posts: int, size: int, in_flight: int, wait_s: float
) -> None:
    assert LIMITS.wait_s(posts, size, 0.0, in_flight) == wait_s
    assert LIMITS.wait_s(posts, size, 0.06, in_flight) == 0.0


def test_limits_are_those_of_the_settings_with_the_age_in_seconds() -> None:
    worker = WorkerSettings(max_batch_posts=7, max_batch_bytes=70_000, max_batch_age_ms=250)
    assert BatchLimits.of(worker) == BatchLimits(7, 70_000, 0.25)


async def test_the_whole_budget_can_be_held_and_not_one_more() -> None:
    budget = PostBudget(10)
    assert await budget.acquire(10) == 10
    waiting = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(10)
    assert await waiting == 1
    assert budget.in_use == 1


async def test_several_are_served_at_once_when_enough_is_given_back() -> None:
    budget = PostBudget(4)
    await budget.acquire(4)
    waiting = [asyncio.create_task(budget.acquire(2)) for _ in range(3)]
    await asyncio.sleep(0)
    budget.release(4)
    assert await waiting[0] == await waiting[1] == 2
    assert not waiting[2].done()
    assert budget.in_use == 4
    budget.release(2)
    assert await waiting[2] == 2


async def test_one_that_is_cancelled_in_the_moment_it_is_served_gives_its_part_back() -> None:
    budget = PostBudget(4)
    await budget.acquire(4)
    waiting = asyncio.create_task(budget.acquire(3))
    await asyncio.sleep(0)
    budget.release(4)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert budget.in_use == 0


async def test_those_behind_one_that_gave_up_are_served_at_once_if_they_fit() -> None:
    budget = PostBudget(4)
    await budget.acquire(3)
    large, small = (asyncio.create_task(budget.acquire(n)) for n in (2, 1))
    await asyncio.sleep(0)
    assert not small.done()
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    assert await small == 1
    assert budget.in_use == 4
