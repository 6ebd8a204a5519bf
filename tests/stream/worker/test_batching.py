import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.worker.batching import BatchLimits, PostBudget

LIMITS = BatchLimits(max_posts=4, max_bytes=100, max_age_s=0.05)


def test_a_lone_record_leaves_at_once_when_nothing_is_in_flight():
    assert LIMITS.wait_s(posts=1, size=10, age_s=0.0, in_flight=0) == 0


def test_an_incomplete_batch_waits_for_its_age_while_others_are_in_flight():
    assert LIMITS.wait_s(posts=1, size=10, age_s=0.02, in_flight=1) == pytest.approx(0.03)
    assert LIMITS.wait_s(posts=1, size=10, age_s=0.06, in_flight=1) == 0


@pytest.mark.parametrize(
    ("last_call_s", "age_s", "waits_s"),
    [
        (0.0, 0.0, 0.0),
        (0.02, 0.0, 0.02),
        (0.02, 0.015, 0.005),
        (0.02, 0.03, 0.0),
        (9.0, 0.01, 0.04),
    ],
)
def test_with_nothing_in_flight_a_record_waits_as_long_as_the_last_call_took_bounded_by_its_age(
    last_call_s, age_s, waits_s
):
    limits = BatchLimits(4, 100, 0.05, last_call_s=lambda: last_call_s)
    assert limits.wait_s(posts=1, size=5, age_s=age_s, in_flight=0) == pytest.approx(waits_s)
    assert limits.wait_s(posts=4, size=5, age_s=age_s, in_flight=0) == 0


def test_a_full_batch_leaves_at_once():
    assert LIMITS.wait_s(posts=4, size=10, age_s=0.0, in_flight=3) == 0
    assert LIMITS.wait_s(posts=1, size=100, age_s=0.0, in_flight=3) == 0


@given(st.lists(st.integers(0, 150), max_size=20))
def test_a_batch_is_never_empty_nor_over_its_bounds(sizes: list[int]):
    count = LIMITS.take(sizes)
    assert count <= LIMITS.max_posts
    assert count >= min(1, len(sizes))
    assert count == 1 or sum(sizes[:count]) <= LIMITS.max_bytes


async def test_the_budget_serves_in_order_and_never_exceeds_its_size():
    budget = PostBudget(10)
    served: list[str] = []

    async def take(name: str, posts: int, release: asyncio.Event) -> None:
        held = await budget.acquire(posts)
        served.append(name)
        await release.wait()
        budget.release(held)

    release = asyncio.Event()
    tasks = [
        asyncio.create_task(take(name, posts, release))
        for name, posts in (("a", 6), ("b", 6), ("c", 2))
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # c would fit, but b came first: otherwise a large batch could wait for ever
    assert served == ["a"]
    assert budget.in_use == 6
    release.set()
    await asyncio.gather(*tasks)
    assert served == ["a", "b", "c"]
    assert budget.in_use == 0


async def test_a_cancelled_wait_gives_its_place_back():
    budget = PostBudget(4)
    held = await budget.acquire(4)
    waiting = asyncio.create_task(budget.acquire(3))
    behind = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    budget.release(held)
    assert await behind == 1
    assert budget.in_use == 1


async def test_more_than_the_whole_budget_is_granted_alone():
    budget = PostBudget(4)
    assert await budget.acquire(100) == 4


async def test_a_budget_that_shrinks_takes_nothing_back_and_grants_less_from_then_on():
    size = 10
    budget = PostBudget(10, lambda: size)
    held = await budget.acquire(8)
    size = 4
    large, small = (asyncio.create_task(budget.acquire(posts)) for posts in (6, 1))
    await asyncio.sleep(0)
    assert budget.in_use == 8
    budget.release(held)
    assert await large == 6, "cut while there was more room: it goes alone"
    assert not small.done()
    budget.release(6)
    assert await small == 1


def test_a_batch_is_cut_by_what_it_may_have_now():
    most = 2
    limits = BatchLimits(max_posts=4, max_bytes=100, max_age_s=0.05, posts_now=lambda: most)
    assert limits.take([1] * 5) == 2
    assert limits.wait_s(posts=2, size=2, age_s=0.0, in_flight=1) == 0
    most = 9
    assert limits.take([1] * 5) == 4
    assert limits.wait_s(posts=2, size=2, age_s=0.0, in_flight=1) > 0
