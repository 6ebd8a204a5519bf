"""The parts below every network source: buffer, idle timer, back-off, hosts, and failures."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import Struct

from core.clock import Clock, ManualClock, SystemClock
from core.errors import ConfigError, FatalError
from core.retry import Backoff
from services.ingest.sources.base import Gap, Ignored, SourceContext, SourceItem
from services.ingest.sources.inlet import Inlet
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.memory import Recent
from services.ingest.sources.options import LiveLimits
from services.ingest.sources.pacing import Hosts, IdleTimer
from testkit.checks.live_sources import wait_until


def numbered(*numbers: int) -> list[SourceItem]:
    return [SourceItem(Ignored(), number) for number in numbers]


class NoOptions(Struct, frozen=True):
    """None."""


class Scripted(LiveSource[NoOptions]):
    """Runs a coroutine as its session."""

    name: ClassVar[str] = "scripted"
    Options = NoOptions

    def __init__(
        self,
        play: Callable[[Scripted], object],
        directory: Path,
        clock: Clock | None = None,
        **limits: float,
    ):
        chosen = LiveLimits(**({"backoff_first_s": 0.01, "backoff_max_s": 0.02} | limits))
        context = SourceContext(directory, clock=clock or SystemClock())
        super().__init__(NoOptions(), context, chosen)
        self._play = play

    def __enter__(self) -> Scripted:
        self.open(None)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def session(self) -> None:
        await self._play(self)  # type: ignore[misc]


def test_items_come_out_in_order_in_pieces_of_any_size() -> None:
    inlet = Inlet(100, 10_000)
    assert inlet.offer(numbered(1, 2, 3), 30)
    assert inlet.offer(numbered(4), 10)
    taken = [item.cursor for size in (2, 1, 5) for item in inlet.take(size, 0)]
    assert taken == [1, 2, 3, 4]
    assert len(inlet) == 0


@pytest.mark.parametrize(("items", "size"), [(10, 0), (1, 100)])
def test_a_full_inlet_takes_nothing_more(items: int, size: int) -> None:
    inlet = Inlet(10, 100)
    assert inlet.offer(numbered(*range(items)), size)
    assert not inlet.offer(numbered(99), 1)
    inlet.take(100, 0)
    assert inlet.offer(numbered(99), 1)


def test_a_reader_waits_for_room_and_loses_nothing() -> None:
    inlet = Inlet(10, 10_000)

    async def read() -> None:
        for number in range(500):
            await inlet.put(numbered(number), 1)

    thread = threading.Thread(target=lambda: asyncio.run(read()), daemon=True)
    thread.start()
    taken: list[int] = []
    while len(taken) < 500:
        assert len(inlet) <= 10
        taken += [item.cursor for item in inlet.take(3, 1.0)]
    thread.join()
    assert taken == list(range(500))
    assert inlet.waits > 0


def test_the_idle_limit_follows_the_stream() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    timer = IdleTimer(5.0, 600.0, 30.0, clock.monotonic)
    assert timer.limit_s == 30.0
    for _ in range(3_000):
        clock.advance(0.01)
        timer.heard()
    assert timer.limit_s == 5.0
    for _ in range(200):
        clock.advance(10)
        timer.heard()
    assert timer.limit_s == pytest.approx(250, rel=0.1)
    for _ in range(400_000):
        clock.advance(0.01)
        timer.heard()
    assert timer.limit_s == 5.0


def test_a_silence_that_was_given_up_raises_the_limit_to_its_bound() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    timer = IdleTimer(5.0, 100.0, 5.0, clock.monotonic)
    limits = []
    for _ in range(6):
        while not timer.is_over:
            clock.advance(0.5)
        limits.append(timer.limit_s)
        timer.gave_up()
    assert limits == sorted(limits)
    assert limits[-1] == 100.0


def test_time_in_which_we_did_not_listen_is_no_silence() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    timer = IdleTimer(5.0, 600.0, 5.0, clock.monotonic)
    clock.advance(60)
    timer.not_listening(58.0)
    assert timer.silent_s == 2.0
    timer.not_listening(100.0)
    assert timer.silent_s == 0.0


def test_back_off_grows_with_jitter_and_starts_over() -> None:
    backoff = Backoff(1.0, 8.0, random.Random(1))
    waits = [backoff.next_s() for _ in range(6)]
    for wait, ceiling in zip(waits, (1, 2, 4, 8, 8, 8), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert 20 <= backoff.next_s(20.0) <= 28
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_hosts_take_turns() -> None:
    hosts = Hosts(("a", "b"))
    assert [hosts.current, hosts.rotate(), hosts.rotate()] == ["a", "b", "a"]


def test_recent_keys_are_bounded() -> None:
    recent = Recent(100)
    assert all(recent.is_new(number) for number in range(1_000))
    assert len(recent) == 100
    assert not recent.is_new(999)
    assert recent.is_new(0)


def test_sessions_follow_each_other_until_it_is_closed(tmp_path: Path) -> None:
    begun: list[int] = []

    async def play(source: Scripted) -> None:
        begun.append(len(begun))
        await source.deliver(numbered(len(begun)), 1)
        raise (SessionEnded("closed"), OSError("reset"), TimeoutError())[len(begun) % 3]

    with Scripted(play, tmp_path) as source:
        wait_until(lambda: len(begun) >= 7, "seven sessions")

    def has_ended() -> bool:
        return not any(t.name == "scripted-reader" for t in threading.enumerate())

    wait_until(has_ended, "the reader's thread has ended")
    found = [item.cursor for item in source.poll(100, 0)]
    assert found == list(range(1, len(begun) + 1))


def test_a_silent_session_is_given_up(tmp_path: Path) -> None:
    async def play(source: Scripted) -> None:
        source.connected()
        await asyncio.sleep(3_600)

    with Scripted(play, tmp_path, idle_min_s=0.05, idle_initial_s=0.05) as source:
        wait_until(lambda: stalls(source) >= 2, "two stalls")


def stalls(source: Scripted) -> float:
    count = source.context.metrics.source_reconnects.labels(source="scripted", cause="stalled")
    return count._value.get()


def test_a_process_that_was_held_up_gives_up_no_session(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    held_up = threading.Event()

    async def play(source: Scripted) -> None:
        source.connected()
        for _ in range(3):
            clock.advance(100.0)  # between two looks at the idle timer
            await asyncio.sleep(0.3)
        held_up.set()
        await asyncio.sleep(3_600)

    with Scripted(play, tmp_path, clock, idle_min_s=5.0, idle_initial_s=5.0) as source:
        assert held_up.wait(60)
        assert stalls(source) == 0


@pytest.mark.parametrize("error", [ConfigError("a wrong token"), ValueError("a mistake of ours")])
def test_what_no_retry_helps_ends_the_source_after_what_was_read(
    error: Exception, tmp_path: Path
) -> None:
    async def play(source: Scripted) -> None:
        await source.deliver(numbered(1), 1)
        raise error

    wanted = ConfigError if isinstance(error, ConfigError) else FatalError
    with Scripted(play, tmp_path) as source:
        assert [item.cursor for item in source.poll(10, 60.0)] == [1]

        def raised() -> bool:
            try:
                source.poll(10, 0.01)
            except wanted:
                return True
            return False

        wait_until(raised, "the failure comes out of poll")


def test_a_source_that_cannot_wait_counts_what_it_loses_and_says_so(tmp_path: Path) -> None:
    done, taken = threading.Event(), threading.Event()

    class Hasty(Scripted):
        """Cannot wait."""

        can_wait: ClassVar[bool] = False

    async def play(source: Scripted) -> None:
        for number in range(30):
            await source.deliver(numbered(number), 1)
        done.set()
        await asyncio.to_thread(taken.wait, 60)
        await source.deliver(numbered(99), 1)
        await asyncio.sleep(3_600)

    rest: list[SourceItem] = []
    with Hasty(play, tmp_path, max_buffered_items=10) as source:
        assert done.wait(60)
        kept = source.poll(20, 0)
        taken.set()
        assert [item.cursor for item in kept] == list(range(10))
        wait_until(
            lambda: bool(rest.extend(source.poll(20, 0.05)) or len(rest) == 2), "the gap is told"
        )
    assert [type(item.record) for item in rest] == [Ignored, Gap]
    assert rest[1].record == Gap("buffer_full", items=20)
