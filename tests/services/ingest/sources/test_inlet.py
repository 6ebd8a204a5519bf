"""The buffer between reader and runner at its bounds."""

from __future__ import annotations

import asyncio

import pytest

from services.ingest.sources.base import Ignored, SourceItem
from services.ingest.sources.inlet import Inlet


def _items(*numbers: int) -> list[SourceItem]:
    return [SourceItem(Ignored(), number) for number in numbers]


def _taken(inlet: Inlet, count: int) -> list[int]:
    return [item.cursor for item in inlet.take(count, 0)]


def test_it_is_full_at_its_bounds_and_not_one_below() -> None:
    inlet = Inlet(3, 10)
    assert inlet.offer(_items(1, 2), 9)
    assert not inlet.is_full
    assert inlet.offer(_items(3), 0)
    assert inlet.is_full
    by_bytes = Inlet(30, 10)
    assert by_bytes.offer(_items(1), 9)
    assert not by_bytes.is_full
    assert by_bytes.offer(_items(2), 1)
    assert not by_bytes.offer(_items(3), 0)


def test_bytes_leave_with_the_last_part_of_what_they_came_with() -> None:
    inlet = Inlet(100, 10)
    inlet.offer(_items(1, 2, 3), 10)
    assert _taken(inlet, 2) == [1, 2]
    assert len(inlet) == 1
    assert inlet.is_full
    assert _taken(inlet, 2) == [3]
    assert not inlet.is_full
    assert inlet.offer(_items(4), 9)
    assert not inlet.is_full


def test_one_call_takes_from_several_messages_and_no_more_than_asked_for() -> None:
    inlet = Inlet(100, 100)
    inlet.offer(_items(1), 1)
    inlet.offer(_items(2, 3, 4), 1)
    inlet.offer(_items(5), 1)
    assert _taken(inlet, 3) == [1, 2, 3]
    assert _taken(inlet, 0) == []
    assert _taken(inlet, 5) == [4, 5]
    assert _taken(inlet, 5) == []


def test_nothing_is_no_message() -> None:
    inlet = Inlet(1, 10)
    assert inlet.offer([], 10)
    assert not inlet.is_full
    assert _taken(inlet, 5) == []


def test_who_takes_waits_for_the_first_item_as_long_as_it_may_and_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inlet = Inlet(100, 100)
    waits_s: list[float] = []

    def wait(timeout_s: float) -> None:
        waits_s.append(timeout_s)
        inlet.offer(_items(7), 1)

    monkeypatch.setattr(inlet._filled, "wait", wait)
    assert inlet.take(5, 0) == []
    assert waits_s == []
    assert [item.cursor for item in inlet.take(5, 4.5)] == [7]
    assert waits_s == [4.5]
    inlet.offer(_items(8), 1)
    assert [item.cursor for item in inlet.take(5, 4.5)] == [8]
    assert waits_s == [4.5], "what is there is not waited for"


async def _put_while_full(inlet: Inlet, takes: list[int]) -> list[bool]:
    """Return, after each of the takes, whether the reader has gone on."""
    reader = asyncio.create_task(inlet.put(_items(99), 1))
    await asyncio.sleep(0)
    assert inlet.is_waiting
    gone_on: list[bool] = []
    for count in takes:
        inlet.take(count, 0)
        for _ in range(5):  # what wakes it comes from another thread's queue
            await asyncio.sleep(0)
        gone_on.append(reader.done())
    await reader
    return gone_on


async def test_a_reader_goes_on_when_a_tenth_is_free_and_not_before() -> None:
    inlet = Inlet(20, 1_000)
    inlet.offer(_items(*range(20)), 1)
    assert await _put_while_full(inlet, [1, 1]) == [False, True]
    assert not inlet.is_waiting
    assert inlet.waits == 1
    assert _taken(inlet, 100) == [*range(2, 20), 99]


async def test_a_reader_waits_for_bytes_as_it_does_for_items() -> None:
    inlet = Inlet(1_000, 20)
    for number in range(20):
        inlet.offer(_items(number), 1)
    assert await _put_while_full(inlet, [1, 1]) == [False, True]


async def test_a_reader_that_need_not_wait_did_not() -> None:
    inlet = Inlet(20, 1_000)
    await inlet.put(_items(1), 1)
    assert inlet.waits == 0
    assert not inlet.is_waiting
    assert _taken(inlet, 1) == [1]


async def test_a_reader_that_is_cancelled_while_it_waits_is_waiting_no_more() -> None:
    inlet = Inlet(1, 10)
    inlet.offer(_items(1), 1)
    reader = asyncio.create_task(inlet.put(_items(2), 1))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert not inlet.is_waiting
    assert _taken(inlet, 5) == [1]


def test_what_is_taken_after_the_readers_loop_has_ended_wakes_nobody() -> None:
    inlet = Inlet(1, 10)
    inlet.offer(_items(1), 1)

    async def cut_short() -> None:
        try:
            async with asyncio.timeout(0):
                await inlet.put(_items(2), 1)
        except TimeoutError:
            inlet.is_waiting = True  # as of a thread that was ended where it stood

    asyncio.run(cut_short())
    assert _taken(inlet, 5) == [1]
