import asyncio

import pytest

from core.clock import ManualClock
from core.errors import StoreUnavailable
from services.console.recent import RecentAnswers
from testkit.builders import NOON


async def test_what_was_read_is_kept_for_a_while_and_no_longer() -> None:
    clock, looks = ManualClock(NOON), 0
    recent = RecentAnswers(2.0, clock)

    async def look() -> int:
        nonlocal looks
        looks += 1
        clock.advance(0.5)  # a look takes time; what it found is as old as its beginning
        return looks

    assert [await recent.get("a", look) for _ in range(2)] == [1, 1]
    clock.advance(1.4)
    assert await recent.get("a", look) == 1
    clock.advance(0.1)
    assert await recent.get("a", look) == 2


async def test_several_who_ask_at_once_wait_for_one_look() -> None:
    recent, looks = RecentAnswers(2.0, ManualClock(NOON)), 0

    async def look() -> int:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return looks

    assert await asyncio.gather(*(recent.get("a", look) for _ in range(5))) == [1] * 5


async def test_what_fails_is_not_kept() -> None:
    recent = RecentAnswers(2.0, ManualClock(NOON))

    async def fail() -> int:
        raise StoreUnavailable("away")

    async def look() -> int:
        return 7

    with pytest.raises(StoreUnavailable):
        await recent.get("a", fail)
    assert await recent.get("a", look) == 7
