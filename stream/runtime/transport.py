"""Record-batch transport for Faust: runs of records instead of single messages, cursors from Redis.

Faust's own loop costs about 75 us a message (tasks, locks and acknowledgements for each), while the
aiokafka driver under it hands over runs of records at 270,000-540,000 records/s. So this transport
does three things and nothing else:

- `getmany` yields one Faust message for each fetched run of a partition (value = the records);
- `perform_seek`, which Faust calls after a rebalance, hands the assignment to the flows, which
  seek to the cursor that the store holds;
- `to_cursor` does the same for one partition whose apply was refused.

What is committed to Kafka is the applied cursor. It serves lag monitoring only: losing or repeating
a commit changes no window.
"""

# aiokafka and faust ship no complete types; this module is where they become ours.
# pyright: reportMissingTypeStubs=false, reportMissingTypeArgument=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from core.logs import get_logger
from stream.runtime.membership import MemberThread, use_group_members
from stream.worker.ports import PartitionControl

if TYPE_CHECKING:
    from core.settings import WorkerSettings
    from stream.worker.flows import PartitionFlows

_log = get_logger(__name__)

FETCH_TIMEOUT_S: Final = 0.1
"""A fetch waits at most so long: a partition that is resumed meanwhile joins the next one."""


class PlainRecords(fetcher.PartitionRecords):
    """Yields the parser's own records (offset, key, value, timestamp, headers).

    aiokafka copies each into a dataclass with the topic and the sizes in it, which nobody here
    asks for, and passes it through three frames: 1 us a record, most of what fetching costs.
    Transactions are not used, so nothing is ever aborted.
    """

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return cast(Iterator[Any], self._records_iterator)

    def _unpack_records(self) -> Generator[Any, None, None]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"a batch of {self._tp} has a wrong checksum")
            if not batch.is_control_batch:
                expected = self.next_fetch_offset
                for record in batch:
                    offset = record.offset
                    if offset >= expected:  # a batch is fetched whole, wherever the fetch began
                        self.next_fetch_offset = offset + 1
                        yield record
            # Also past records that compaction has removed.
            self.next_fetch_offset = batch.next_offset


class RecordRunConsumer(driver.Consumer):
    """Faust's aiokafka consumer, yielding runs of records and seeking to the stored cursor."""

    flows: PartitionFlows
    max_fetched_records: int
    leaves: bool

    def _new_consumer_thread(self) -> MemberThread:
        return MemberThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109 Faust's name
        """Yield `(tp, message)` with a run of consecutive records as the message's value."""
        del timeout
        if not self.flow_active:
            await cast(Any, self.wait)(self.can_resume_flow)
        active = self._get_active_partitions()
        if not active:
            # Everything is paused: look again soon (Faust's own wait of a second would be felt).
            await asyncio.sleep(0.01)
            return
        records = await self._getmany(active_partitions=active, timeout=FETCH_TIMEOUT_S)
        generation = self.app.consumer_generation_id
        for tp, fetched in records.items():
            for start in range(0, len(fetched), self.max_fetched_records):
                stale = self.app.consumer_generation_id != generation
                if self.should_stop or stale or not self.flow_active:
                    return  # dropped: whoever owns the partition next seeks to its cursor
                run = fetched[start : start + self.max_fetched_records]
                yield tp, self._to_run(tp, run)

    def _to_run(self, tp: TP, run: list[Any]) -> Any:
        last = run[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type,
            [], None, cast(Any, run), None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def perform_seek(self) -> None:
        """Give the flows the partitions assigned now; each seeks to its stored cursor."""
        generation = self.app.consumer_generation_id
        self._paused_partitions.clear()
        self._set_active_tps(self.assignment())
        await self.flows.assign(
            {
                (tp.topic, tp.partition): self._control(tp, generation)
                for tp in self.assignment()
                if tp.topic in self.flows.topics
            }
        )

    def _control(self, tp: TP, generation: int) -> PartitionControl:
        return PartitionControl(
            seek=lambda offset: self.to_cursor(tp, offset, generation),
            pause=lambda: self.pause_partitions([tp]),
            resume=lambda: self.resume_partitions([tp]),
            earliest=lambda: self._earliest(tp),
            end=lambda: self._end(tp),
        )

    async def to_cursor(self, tp: TP, offset: int, generation: int) -> None:
        """Seek one partition, unless it has been taken away since `generation`."""
        if self.app.consumer_generation_id != generation or tp not in self.assignment():
            return
        try:
            await self.seek_wait({tp: offset})
        except (IllegalStateError, TimeoutError) as error:
            # Revoked in this moment, or the broker is away: the flow seeks again on the next run.
            _log.warning("seek did not finish", topic=tp.topic, partition=tp.partition,
                         offset=offset, error=repr(error))  # fmt: skip
        self._read_offset[tp] = None  # offsets are judged by the flow, not here

    async def _earliest(self, tp: TP) -> int:
        return (await self.earliest_offsets(tp))[tp]

    def _end(self, tp: TP) -> int | None:
        """Return the end of the partition as last fetched, None before the first fetch."""
        return self.highwater(tp) if tp in self.assignment() else None

    # -- committing the applied cursor, for lag monitoring ------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return (
            tp for tp in self.assignment() if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        cursor = self.flows.cursor(tp.topic, tp.partition)
        return None if cursor is None or cursor < 0 else cursor + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: to Faust every run is a gap, and it would keep, merge and sort all of them.

        They serve its own commits, which are not used here: memory would grow with every run, and
        the processor time of a run with all before it.
        """

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's stall detector judges by acknowledgements, which are not used here."""


class RecordRunTransport(driver.Transport):
    """Faust transport whose consumer is a `RecordRunConsumer`."""

    Consumer: ClassVar[Any] = RecordRunConsumer

    def __init__(
        self, *args: Any, flows: PartitionFlows, worker: WorkerSettings, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        # The fetcher takes the class from its module; every consumer of a worker is one of ours.
        fetcher.PartitionRecords = PlainRecords
        use_group_members()
        self._flows = flows
        self._worker = worker

    def create_consumer(self, callback: Any, **kwargs: Any) -> Any:
        """Return the consumer, with the flows that it serves."""
        consumer = cast(Any, super()).create_consumer(callback, **kwargs)
        consumer.flows = self._flows
        consumer.max_fetched_records = self._worker.max_fetched_records
        consumer.leaves = self._worker.leave_at_end
        return consumer


def owned(tps: Iterable[TP], topics: Iterable[str]) -> list[tuple[str, int]]:
    """Return those of the partitions that belong to `topics`, as plain pairs."""
    wanted = set(topics)
    return [(tp.topic, tp.partition) for tp in tps if tp.topic in wanted]
