"""The flows of one worker: made on assignment, ended on revocation, drained on shutdown.

They know topics and partitions, not Faust: `stream.runtime.app` calls them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from core.errors import FatalError, StateUnreadable, StoreUnavailable
from core.logs import get_logger
from stream.worker.batch import FetchedRecord
from stream.worker.flow import FlowParts, PartitionFlow
from stream.worker.ports import PartitionControl
from stream.worker.running import Chain

_log = get_logger(__name__)

FlowKey = tuple[str, int]
"""(topic, partition)"""


class PartitionFlows:
    """Owns a `PartitionFlow` for each assigned partition of each topic that it has a chain for.

    Not thread-safe: one event loop.
    """

    def __init__(self, parts: FlowParts, chains: Iterable[Chain]) -> None:
        self._parts = parts
        self._chains = {chain.topic: chain for chain in chains}
        self._flows: dict[FlowKey, PartitionFlow] = {}
        self._draining = False

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that there is a chain for."""
        return tuple(self._chains)

    @property
    def assigned(self) -> tuple[FlowKey, ...]:
        """What is assigned now."""
        return tuple(self._flows)

    async def assign(self, controls: Mapping[FlowKey, PartitionControl]) -> None:
        """Own exactly these partitions; those owned before start again from the stored cursor."""
        await self.revoke(tuple(self._flows))
        if self._draining:
            return
        for (topic, partition), control in controls.items():
            flow = PartitionFlow(partition, self._parts, self._chains[topic], control)
            self._flows[topic, partition] = flow
            await flow.start()
        _log.info("partitions assigned", partitions=sorted(controls))

    async def revoke(self, keys: Iterable[FlowKey]) -> None:
        """End the flows of these partitions; their next owner goes on from the stored cursor."""
        ending = [flow for key in list(keys) if (flow := self._flows.pop(key, None))]
        if ending:
            await asyncio.gather(*(flow.stop() for flow in ending))

    async def offer(self, topic: str, partition: int, records: Sequence[FetchedRecord]) -> None:
        """Hand consecutive records to their flow; without one another worker reads them.

        Raises:
            FatalError: A flow ended by itself; the worker must stop, not go on without it.
        """
        self.raise_if_failed()
        flow = self._flows.get((topic, partition))
        if flow is not None:
            await flow.offer(records)

    def cursor(self, topic: str, partition: int) -> int | None:
        """Return the last applied offset of an assigned partition, None if it is not known."""
        flow = self._flows.get((topic, partition))
        return None if flow is None else flow.cursor

    def raise_if_failed(self) -> None:
        """Raise `FatalError` if a flow ended by itself."""
        for key, flow in self._flows.items():
            if flow.failure is not None:
                why = "; ".join(_reasons(flow.failure))
                raise FatalError(f"flow of {key[0]}[{key[1]}] ended: {why}") from flow.failure

    async def check(self) -> None:
        """Raise `FatalError` if a flow ended, wake one that stalled; called every few seconds."""
        self.raise_if_failed()
        flows = list(self._flows.values())
        for flow in flows:
            await flow.check()
        with suppress(StoreUnavailable):  # said by whoever has something to apply
            for flow in flows:
                with suppress(StateUnreadable):
                    await flow.check_store()

    async def drain(self, timeout_s: float) -> bool:
        """Finish what is in flight, then end every flow; tell whether all finished in time."""
        self._draining = True
        flows = list(self._flows.values())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(flow.drain() for flow in flows))
            finished = True
        except TimeoutError:
            finished = False
        await self.revoke(tuple(self._flows))
        return finished


def _reasons(failure: BaseException) -> list[str]:
    """Return what the errors in a failure say."""
    if isinstance(failure, BaseExceptionGroup):
        exceptions = cast("tuple[BaseException, ...]", cast(Any, failure).exceptions)
        return [reason for one in exceptions for reason in _reasons(one)]
    return [str(failure) or type(failure).__name__]
