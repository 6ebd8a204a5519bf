"""A source that hands out its items when they are due, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from core.clock import ManualClock
from services.ingest.sources.base import (
    Cursor,
    Ignored,
    PacedSource,
    SourceContext,
    SourceItem,
)


class NoOptions(Struct, frozen=True):
    """None."""


class Timed(PacedSource[NoOptions]):
    """Delivers one item at each of the times."""

    name: ClassVar[str] = "timed"
    Options = NoOptions

    def __init__(self, directory: Path, due_s: list[float], *, paced: bool = True) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.waits_s: list[float] = []
        super().__init__(NoOptions(), SourceContext(directory, clock=self.clock, wait=self._wait))
        self.due_s = due_s
        self.paced = paced

    def _wait(self, delay_s: float) -> None:
        self.waits_s.append(delay_s)
        self.clock.advance(delay_s)

    def items(self, cursor: Cursor | None) -> Iterator[SourceItem]:
        for number in range(cursor or 0, len(self.due_s)):
            yield SourceItem(Ignored(), number + 1, due_s=self.due_s[number])

    def taken(self, max_items: int, timeout_s: float) -> list[int]:
        return [item.cursor for item in self.poll(max_items, timeout_s)]


def test_items_leave_when_they_are_due_and_not_before(tmp_path: Path) -> None:
    source = Timed(tmp_path, [0.0, 0.0, 2.0, 5.0])
    source.open(None)
    assert source.taken(10, 60.0) == [1, 2]
    assert source.waits_s == [], "what is due is not held back for what is not"
    assert source.taken(10, 60.0) == [3]
    assert source.clock.monotonic() == 2.0
    assert not source.exhausted
    assert source.taken(10, 60.0) == [4]
    assert source.taken(10, 60.0) == []
    assert source.exhausted
    assert source.clock.monotonic() == 5.0, "at the end nobody waits"


def test_a_poll_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    source = Timed(tmp_path, [2.0])
    source.open(None)
    assert source.taken(10, 0.5) == []
    assert source.waits_s == [0.5]
    assert source.taken(10, 0.0) == []
    assert source.waits_s == [0.5]
    assert not source.exhausted
    assert source.taken(10, 1.5) == [1]
    assert source.waits_s == [0.5, 1.5]


def test_a_poll_takes_no_more_than_it_is_asked_for(tmp_path: Path) -> None:
    for paced in (True, False):
        source = Timed(tmp_path, [0.0, 0.0, 0.0], paced=paced)
        source.open(None)
        assert [source.taken(2, 1.0), source.taken(2, 1.0)] == [[1, 2], [3]]
        assert source.exhausted


def test_an_unpaced_source_that_gave_all_it_was_asked_for_may_have_more(tmp_path: Path) -> None:
    source = Timed(tmp_path, [9.0, 9.0], paced=False)
    source.open(None)
    assert source.taken(2, 1.0) == [1, 2]
    assert not source.exhausted
    assert source.taken(2, 1.0) == []
    assert source.exhausted
    assert source.waits_s == []


def test_the_run_begins_with_the_first_poll_and_again_when_it_is_opened_again(
    tmp_path: Path,
) -> None:
    source = Timed(tmp_path, [0.0, 3.0])
    source.open(None)
    source.clock.advance(100.0)
    assert source.taken(1, 60.0) == [1]
    assert source.taken(1, 1.0) == [], "the second is due three seconds after the first poll"
    source.open(1)
    assert not source.exhausted
    assert source.taken(2, 60.0) == [2]
    assert source.waits_s[-1] == 3.0
    assert source.taken(2, 60.0) == []
    assert source.exhausted
    source.open(None)
    assert not source.exhausted


def test_a_source_that_keeps_nothing_recalls_every_cursor_and_one_that_does_answers_itself(
    tmp_path: Path,
) -> None:
    class Keeps(Timed):
        """Writes something of its own."""

        def acknowledged(self, cursor: Cursor) -> None:
            """Note nothing; it is about who answers."""

    assert Timed(tmp_path, []).recalls(7)
    assert not Keeps(tmp_path, []).recalls(7)
    assert Timed(tmp_path, []).fingerprint() == ""
