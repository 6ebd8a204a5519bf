"""Polls of a member of a group, which joins it however briefly it is polled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


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


def poll(client: Any, timeout_s: float, max_records: int) -> dict[Any, list[Any]]:
    """Return partition -> records of the client, waiting up to `timeout_s` for the first one."""
    coordinator = client._coordinator
    join = coordinator._join_task
    if join is not None and join.is_done:
        coordinator._join_task = _AnsweredJoin(join)
        coordinator.request_rejoin()
    return client.poll(int(timeout_s * 1000), max_records=max_records)
