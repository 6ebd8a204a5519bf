"""Membership of the workers' group: static members, and errors of the group that end the worker.

A member with an instance id (KIP-345) that is back before its session has timed out gets its
partitions again, and nobody else notices. aiokafka does half of it, and `GroupMember` the rest:

- It tells the broker the instance when it joins and never else. A member that is forgotten or
  replaced is told `UNKNOWN_MEMBER_ID` for both, and aiokafka would join as if it were new: two
  processes with one instance would take the partitions from each other for ever, in silence. So
  the member id is kept for one more join, and the broker says which of the two it is.
- A static member never leaves; here it does where it is asked to, so that others take over at once.
- What goes wrong in the group is raised by aiokafka's `getmany`, which Faust does not call: a
  worker would stand still. Here it crashes, with the reason.
"""

# aiokafka and faust ship no complete types; this module is where they become ours.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiokafka import consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalGenerationError
from faust.transport.drivers import aiokafka as driver

from core.errors import FatalError

FETCH_WAIT_MS: Final = 250
"""How long the broker may hold a fetch that finds nothing; Faust has 1,500. What a rebalance or a
pause has changed is not asked for before the fetch under way has come back."""

FENCED_INSTANCE_ID: Final = 82
"""The broker's error code: another member has joined with our instance; aiokafka has no name."""


class GroupMember(GroupCoordinator):
    """A coordinator whose member may be static; see the module.

    Attributes:
        crash: ends the worker; None until `MemberThread` has started.
        leaves: a static member leaves the group when it is closed.
    """

    crash: Callable[[BaseException], Awaitable[None]] | None = None
    leaves: bool = True
    _is_fenced = False

    def reset_generation(self) -> None:
        """Forget the generation; a static member keeps its id until the broker has judged it."""
        claimed = self.member_id if self._is_static and self.generation >= 0 else ""
        super().reset_generation()
        self.member_id = claimed

    async def _do_heartbeat(self) -> bool:
        # Between two generations there is nothing to keep alive, and the answer would make the
        # member forget its id before it has joined with it.
        return self.generation < 0 or await super()._do_heartbeat()

    async def _do_commit_offsets(self, assignment: Any, offsets: Any) -> None:
        if self.generation < 0:
            raise IllegalGenerationError(self.group_id)
        await super()._do_commit_offsets(assignment, offsets)

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        self._is_fenced |= getattr(response, "error_code", 0) == FENCED_INSTANCE_ID
        return response

    async def _push_error_to_user(self, exc: BaseException) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._is_fenced:
            exc = FatalError(
                f"another worker has joined {self.group_id} as worker.instance = "
                f"{self._group_instance_id!r}: give each worker its own"
            )
        if self.crash is not None:
            await self.crash(exc)
        await super()._push_error_to_user(exc)

    async def _maybe_leave_group(self) -> None:
        if self.leaves and self._closing.done():
            self._group_instance_id = None  # from here on a member like others: it leaves
        await super()._maybe_leave_group()

    @property
    def _is_static(self) -> bool:
        return self._group_instance_id is not None


class MemberThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around a consumer whose coordinator is a `GroupMember`."""

    def _create_consumer(self, loop: Any) -> Any:
        consumer: Any = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Start the consumer; it joins when Faust subscribes it, which is later."""
        await super().on_start()
        member = cast(Any, self._consumer)._coordinator
        member.crash, member.leaves = self.crash, cast(Any, self.consumer).leaves


def use_group_members() -> None:
    """Make every aiokafka consumer of this process a `GroupMember`: it looks the class up there."""
    aiokafka_consumer.consumer.GroupCoordinator = GroupMember  # pyright: ignore[reportPrivateImportUsage]
