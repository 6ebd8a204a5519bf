from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock, SystemClock, epoch_ms, from_epoch_ms

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(NOON)
    assert clock.now() == clock.now() == NOON
    clock.advance(90.5)
    assert clock.now() == NOON + timedelta(seconds=90.5)
    await clock.sleep(10)
    assert clock.monotonic() == 100.5


def test_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock(NOON).advance(-1)


def test_manual_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 3, 1))  # noqa: DTZ001 - the naive time is the point


async def test_system_clock_is_aware_and_monotonic() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before


@given(st.integers(0, 253_402_300_799_999))
def test_milliseconds_survive_the_way_to_a_time_and_back(ms: int) -> None:
    assert epoch_ms(from_epoch_ms(ms)) == ms


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_milliseconds_are_rounded_down(at: datetime) -> None:
    lower = from_epoch_ms(epoch_ms(at))
    assert lower <= at < lower + timedelta(milliseconds=1)


def test_zone_of_a_time_makes_no_difference() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    assert epoch_ms(elsewhere) == epoch_ms(NOON)
