"""Polls of a member of a group, which joins it however briefly it is polled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from core.errors import BrokerUnavailable

NOT_JOINED_S: Final = 45.0
"""A join that takes longer has been lost on its way: the broker waits for nobody for so long."""
_POLLS: Final = 10
"""And so many polls: who polls seldom has hardly waited."""


class _AnsweredJoin:
    """A join whose answer came between two polls.

    kafka-python 3.0.12 takes the answer only of a join that is still waited for when it comes. One
    that came since it throws away and joins anew, for ever where the broker takes longer than a
    poll and answers before the next. Where it was to join because a topic had changed, it takes
    the join for done and leaves all partitions between revoked and assigned. Either way nothing is
    read any more and no error is raised. So it is told that the join is needed and still under
    way; waiting for it ends at once.

    Args:
        join: The client's future of the join, which is done.
    """

    is_done: Final = False

    def __init__(self, join: Any) -> None:
        self._join = join

    def add_callback(self, tell: Callable[[Any], object]) -> None:
        """Tell the answer if there is one."""
        self._join.add_callback(tell)

    def add_errback(self, tell: Callable[[BaseException], object]) -> None:
        """Tell what failed if it did."""
        self._join.add_errback(tell)


class Membership:
    """A client's place in its group: polled, and given up when it is not joined for too long.

    kafka-python waits for the answer to a join for five minutes, and says nothing meanwhile. A
    member that waits in vain reads nothing, so it is said, and whoever polls makes the client
    anew.

    Args:
        client: The client, which is subscribed.
        group: The name of the group, for errors.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self, client: Any, group: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._group = group
        self._monotonic = monotonic
        self._outside_since: float | None = None
        self._polls_outside = 0

    def poll(self, timeout_s: float, max_records: int) -> dict[Any, list[Any]]:
        """Return partition -> records, waiting up to `timeout_s` for the first one.

        Raises:
            BrokerUnavailable: It has not been a member of its group for `NOT_JOINED_S`.
        """
        coordinator = self._client._coordinator
        join = coordinator._join_task
        if join is not None and join.is_done:
            coordinator._join_task = _AnsweredJoin(join)
            coordinator.request_rejoin()
        fetched = self._client.poll(int(timeout_s * 1000), max_records=max_records)
        is_inside = coordinator.stable() and not coordinator.need_rejoin()
        if fetched or (is_inside and not coordinator.rejoining):
            self._outside_since = None
        else:
            self._note_outside(self._monotonic())
        return fetched

    def _note_outside(self, now: float) -> None:
        if self._outside_since is None:
            self._outside_since, self._polls_outside = now, 0
        self._polls_outside += 1
        waited_s = now - self._outside_since
        if waited_s >= NOT_JOINED_S and self._polls_outside > _POLLS:
            self._outside_since = None
            raise BrokerUnavailable(
                f"group {self._group} not joined for {waited_s:.0f} s; the client is made anew"
            )
