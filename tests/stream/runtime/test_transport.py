"""What Faust's consumer must not do behind our back."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP, ConsumerMessage
from intervaltree import IntervalTree

from stream.runtime.transport import RecordRunConsumer

POSTS = TP("posts", 0)
RUNS = 50
RUN_RECORDS = 20


def test_runs_of_records_leave_nothing_behind_in_faust():
    """A run counts as one message whose offset is its last: to Faust the rest is a gap."""
    consumer = _fed(RecordRunConsumer)
    assert consumer._read_offset[POSTS] == RUNS * RUN_RECORDS - 1
    assert not any(consumer._gap.values())
    # Else this test would prove nothing: Faust itself keeps every one of them.
    assert len(_fed(Consumer)._gap[POSTS]) > RUNS // 2


def _fed(kind: type) -> Any:
    """Return a consumer of this kind, without a broker, that has drained `RUNS` messages."""
    stopped = asyncio.Event()
    taken: list[int] = []

    async def getmany(timeout: float) -> Any:  # noqa: ASYNC109 Faust's name
        for run in range(RUNS):
            last = (run + 1) * RUN_RECORDS - 1
            yield (
                POSTS,
                ConsumerMessage(
                    *POSTS, last, 0.0, 0, [], None, b"", None, 0, 0, POSTS, generation_id=1
                ),
            )
        stopped.set()

    class Fed(kind):
        should_stop = False

        async def sleep(self, _seconds: float) -> None:
            await asyncio.sleep(0)

        async def wait_first(self, *waited: Any) -> None:
            await waited[0]
            waited[1].close()

        def set_shutdown(self) -> None:
            pass

    async def callback(message: Any) -> None:
        taken.append(message.offset)

    fed: Any = Fed.__new__(Fed)
    fed.callback, fed.getmany = callback, getmany
    fed._stopped = stopped
    fed._read_offset = defaultdict(lambda: None)
    fed._committed_offset = defaultdict(lambda: None)
    fed._gap = defaultdict(IntervalTree)
    fed._commit_every, fed._n_acked = None, 0
    fed.diag = SimpleNamespace(set_flag=lambda _: None, unset_flag=lambda _: None)
    fed.app = SimpleNamespace(topics=SimpleNamespace(acks_enabled_for=lambda _: True))
    fed.suspend_flow = asyncio.Event()
    asyncio.run(fed._drain_messages(SimpleNamespace(_stopped=stopped)))
    assert len(taken) == RUNS
    return fed
