"""What a live source tells of itself, and what becomes of a session that ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import Struct

from core.errors import ConfigError, FatalError, TransientError
from services.ingest.sources.base import Cursor, Ignored, SourceContext, SourceItem
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.options import LiveLimits


class NoOptions(Struct, frozen=True):
    """None."""


class Told(LiveSource[NoOptions]):
    """Plays a session, and remembers the waits between sessions instead of waiting."""

    name: ClassVar[str] = "told"
    Options = NoOptions

    def __init__(
        self, directory: Path, *sessions: Callable[[Told], Awaitable[None]], **limits: float
    ) -> None:
        super().__init__(NoOptions(), SourceContext(directory), LiveLimits(**limits))
        self.sessions = list(sessions)
        self.started_at: list[Cursor] = []
        self.ended: list[SessionEnded] = []
        self.connected_at_end: list[float] = []
        self.played = threading.Event()

    def start_at(self, cursor: Cursor | None) -> None:
        self.started_at.append(cursor)

    async def session(self) -> None:
        if not self.sessions:
            self.played.set()
            await asyncio.Event().wait()
        await self.sessions.pop(0)(self)

    def on_session_ended(self, error: SessionEnded) -> None:
        self.ended.append(error)
        self.connected_at_end.append(self.metric("source_connected"))

    def metric(self, name: str, **labels: str) -> float:
        found = self.context.metrics.registry.get_sample_value(
            f"groundswell_{name}", {"source": self.name, **labels}
        )
        return -1.0 if found is None else found

    def play(self) -> Told:
        self.open(7)
        assert self.played.wait(60)
        return self


def _items(*numbers: int) -> list[SourceItem]:
    return [SourceItem(Ignored(), number) for number in numbers]


QUICK = {"backoff_first_s": 0.001, "backoff_max_s": 0.001}


def test_each_end_of_a_session_has_its_cause_and_is_counted(tmp_path: Path) -> None:
    async def connects(source: Told) -> None:
        source.connected()

    async def refuses(source: Told) -> None:
        raise SessionEnded("refused", "busy")

    async def breaks(source: Told) -> None:
        raise ConnectionResetError("reset")

    async def is_slow(source: Told) -> None:
        raise TimeoutError("slow")

    source = Told(tmp_path, connects, refuses, breaks, is_slow, **QUICK)
    with_end = source.play()
    assert [error.cause for error in with_end.ended] == ["closed", "refused", "network", "timeout"]
    assert [str(error) for error in source.ended] == [
        "closed", "refused: busy", "network: ConnectionResetError: reset",
        "timeout: TimeoutError: slow",
    ]  # fmt: skip
    for cause in ("closed", "refused", "network", "timeout"):
        assert source.metric("source_reconnects_total", cause=cause) == 1
    assert source.connected_at_end == [0.0] * 4
    assert source.started_at == [7]
    source.close()
    assert source.metric("source_connected") == 0


def test_a_source_counts_what_it_receives_and_repeats_and_how_far_behind_it_is(
    tmp_path: Path,
) -> None:
    async def tells(source: Told) -> None:
        source.connected()
        source.received()
        source.received(3)
        source.repeated()
        source.repeated(2)
        source.at_position(4.5)
        assert source.metric("source_connected") == 1

    source = Told(tmp_path, tells, **QUICK).play()
    assert [error.cause for error in source.ended] == ["closed"]
    assert source.metric("source_messages_total") == 4
    assert source.metric("source_duplicates_total") == 3
    assert source.metric("source_position_lag_seconds") == 4.5
    source.at_position(-2.0)
    assert source.metric("source_position_lag_seconds") == 0.0, "nobody is ahead of the present"
    source.close()


def test_what_waits_to_be_polled_is_shown_and_a_full_buffer_is_counted(tmp_path: Path) -> None:
    async def fills(source: Told) -> None:
        await source.deliver([], 100)
        await source.deliver(_items(1, 2), 1)
        await source.deliver(_items(3), 1)  # waits: two are all it takes

    source = Told(tmp_path, fills, max_buffered_items=2, **QUICK)
    source.open(None)
    found: list[int] = []
    while len(found) < 3:
        found += [item.cursor for item in source.poll(1, 60.0)]
        assert source.metric("source_buffered_items") == len(source.inlet)
    assert found == [1, 2, 3]
    assert source.metric("source_reader_waits_total") == 1
    source.close()


def test_a_session_that_ends_for_no_fault_of_theirs_is_followed_at_once(tmp_path: Path) -> None:
    async def ends(source: Told) -> None:
        raise SessionEnded("rotated", at_once=True)

    source = Told(tmp_path, ends, ends, backoff_first_s=3_600.0, backoff_max_s=3_600.0).play()
    assert [str(error) for error in source.ended] == ["rotated", "rotated"]
    source.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigError("token"), ConfigError),
        (FatalError("no"), FatalError),
        (KeyError(1), FatalError),
    ],
)
def test_what_no_other_attempt_helps_comes_out_of_poll_and_keeps_its_cause(
    tmp_path: Path, error: Exception, kind: type[Exception]
) -> None:
    async def fails(source: Told) -> None:
        raise error

    source = Told(tmp_path, fails, **QUICK)
    source.open(None)
    assert source._thread is not None
    source._thread.join(60)
    with pytest.raises(kind) as raised:
        source.poll(1, 0)
    assert raised.value is error or raised.value.__cause__ is error
    assert source.ended == []
    assert not source.exhausted
    source.close()
    source.close()


@pytest.mark.parametrize(
    "limits",
    [{"max_buffered_items": 0}, {"idle_min_s": -1.0}, {"idle_min_s": 9.0, "idle_max_s": 8.0}],
)
def test_limits_that_cannot_be_meant_are_refused_by_name(
    tmp_path: Path, limits: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(limits))):
        Told(tmp_path, **limits)
    Told(tmp_path, idle_min_s=8.0, idle_max_s=8.0)


def test_a_session_that_ended_is_transient_and_knows_what_was_asked_for() -> None:
    ended = SessionEnded("busy", retry_after_s=4.0)
    assert isinstance(ended, TransientError)
    assert (str(ended), ended.retry_after_s, ended.at_once) == ("busy", 4.0, False)


def test_a_source_that_was_never_opened_can_be_closed(tmp_path: Path) -> None:
    Told(tmp_path).close()
