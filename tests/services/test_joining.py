"""A member that does not get into its group says so, and not before it has waited in vain."""

from typing import Any

import pytest

from core.errors import BrokerUnavailable
from services.kafka_client.joining import NOT_JOINED_S, Membership


class _Coordinator:
    """What `Membership` looks at of kafka-python's."""

    def __init__(self) -> None:
        self.is_stable = self.needs_join = self.rejoining = False
        self._join_task = None

    def stable(self) -> bool:
        return self.is_stable

    def need_rejoin(self) -> bool:
        return self.needs_join


class _Client:
    def __init__(self) -> None:
        self._coordinator = _Coordinator()
        self.brings: dict[Any, list[Any]] = {}

    def poll(self, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        assert timeout_ms == 200
        assert max_records == 500
        return self.brings


class _Seconds:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client() -> _Client:
    return _Client()


@pytest.fixture
def seconds() -> _Seconds:
    return _Seconds()


@pytest.fixture
def membership(client: _Client, seconds: _Seconds) -> Membership:
    return Membership(client, "counters", seconds)


def _poll(membership: Membership, seconds: _Seconds, for_s: float, every_s: float = 1.0) -> None:
    until = seconds.now + for_s
    while seconds.now < until:
        membership.poll(0.2, 500)
        seconds.now += every_s


def test_who_is_not_joined_for_too_long_is_told_and_told_again(membership, seconds) -> None:
    for _ in range(2):
        _poll(membership, seconds, NOT_JOINED_S)
        with pytest.raises(BrokerUnavailable, match="group counters not joined for 45 s"):
            membership.poll(0.2, 500)


@pytest.mark.parametrize("outside", ["is_stable", "needs_join", "rejoining"])
def test_whatever_keeps_it_outside_is_seen(membership, client, seconds, outside: str) -> None:
    for name in ("is_stable", "needs_join", "rejoining"):
        setattr(client._coordinator, name, (name == "is_stable") != (name == outside))
    _poll(membership, seconds, NOT_JOINED_S)
    with pytest.raises(BrokerUnavailable):
        membership.poll(0.2, 500)


def test_a_member_in_between_starts_the_wait_anew(membership, client, seconds) -> None:
    _poll(membership, seconds, NOT_JOINED_S - 1)
    client._coordinator.is_stable = True
    membership.poll(0.2, 500)
    client._coordinator.is_stable = False
    _poll(membership, seconds, NOT_JOINED_S)


def test_what_was_fetched_is_handed_out_and_shows_that_it_reads(membership, client, seconds):
    _poll(membership, seconds, NOT_JOINED_S)
    client.brings = {"p": [1]}
    assert membership.poll(0.2, 500) == {"p": [1]}
    client.brings = {}
    _poll(membership, seconds, NOT_JOINED_S)


def test_who_polls_seldom_has_not_waited(membership, seconds) -> None:
    _poll(membership, seconds, 9 * NOT_JOINED_S, every_s=NOT_JOINED_S)


def test_a_member_that_owns_nothing_stands_by_for_ever(membership, client, seconds) -> None:
    client._coordinator.is_stable = True
    _poll(membership, seconds, 20 * NOT_JOINED_S)
