"""What drives a closer: its membership, what is away, and when it looks at the store again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.errors import BrokerUnavailable, StoreUnavailable
from core.metrics import Metrics
from core.schemas import Progress, Window
from core.settings import Settings
from services.acknowledged import Outgoing
from services.closer import process as closing_process
from services.closer.process import RESYNC_S, KafkaPublisher, _Loop, _Member, window_key
from services.closer.publishing import Superseded
from services.kafka_client.messages import Record
from stream.cluster import group_in
from stream.topics import PROGRESS, WINDOWS

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HELD: tuple[bool, list[Record]] = (True, [])


class FakeCloser:
    """Remembers what it was asked to do; fails or goes on as it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.observed: list[int] = []
        self.excused_s: list[float] = []
        self.failures: list[Exception] = []
        self.steps_due = 0
        self.superseded = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def take_over(self) -> None:
        self.calls.append("take over")
        if self.failures:
            raise self.failures.pop(0)

    async def resync(self) -> None:
        self.calls.append("resync")

    async def step(self) -> bool:
        self.calls.append("step")
        if self.superseded:
            raise Superseded
        self.meanwhile()
        self.steps_due -= 1
        return self.steps_due > 0

    def observe(self, progress: Progress) -> None:
        self.observed.append(progress.partition)

    def excuse(self, delay_s: float) -> None:
        self.excused_s.append(delay_s)


class FakeMember:
    """Answers each poll from a list and sets `stop` at its end."""

    def __init__(self, stop: asyncio.Event, clock: ManualClock) -> None:
        self.stop = stop
        self.clock = clock
        self.answers: list[tuple[bool, list[Record]] | Exception] = []
        self.takes_s = 0.0
        self.cluster_id = "ours"

    async def poll(self) -> tuple[bool, list[Record]]:
        self.clock.advance(self.takes_s)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeIdentity:
    """Remembers of which clusters it was asked."""

    def __init__(self) -> None:
        self.claimed: list[str] = []

    async def claim(self, cluster_id: str) -> None:
        self.claimed.append(cluster_id)


class FakeAdmin:
    """Stands for the client that knows the broker's cluster."""

    def __init__(self, settings: object) -> None:
        del settings

    def __enter__(self) -> FakeAdmin:
        return self

    def __exit__(self, *error: object) -> None:
        del error

    def cluster_id(self) -> str:
        return "ours"


class Rig:
    """A loop with nothing real around it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.clock, self.metrics, self.closer = ManualClock(NOON), Metrics(), FakeCloser()
        self.member = FakeMember(self.stop, self.clock)
        self.waits_s: list[float] = []
        self.identity = FakeIdentity()
        self.loop = _Loop(
            cast(Any, self.closer),
            cast(Any, self.member),
            cast(Any, self.identity),
            self.clock,
            self.metrics,
        )

    async def turns(self, *answers: tuple[bool, list[Record]] | Exception) -> None:
        self.member.answers = list(answers)
        self.stop.clear()
        await self.loop.run(self.stop)

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    made = Rig()

    async def at_once(stop: asyncio.Event, delay_s: float) -> None:
        made.waits_s.append(delay_s)

    monkeypatch.setattr(closing_process, "wait", at_once)
    # What is waited is then the number of the try; how long that is, `stream.worker.scoring` says.
    monkeypatch.setattr(closing_process, "pause_s", lambda attempt, chance: attempt)
    return made


def _record(value: bytes | None) -> Record:
    return Record(0, 0, b"", value)


def _progress(partition: int) -> Record:
    return _record(
        encode(Progress(partition=partition, cursor=1, event_cursor=-1, applied_at=NOON))
    )


async def test_who_holds_progress_takes_over_once_and_steps_every_turn(rig: Rig) -> None:
    await rig.turns(HELD, HELD, HELD)
    assert rig.closer.calls == ["take over", "step", "step", "step"]
    assert rig.loop.is_active
    assert rig.metric("closer_active") == 1


async def test_who_lost_progress_does_nothing_and_takes_over_anew_when_it_has_it_again(
    rig: Rig,
) -> None:
    await rig.turns(HELD, (False, [_progress(3)]))
    assert rig.closer.calls == ["take over", "step"]
    assert rig.closer.observed == []
    assert not rig.loop.is_active
    assert rig.metric("closer_active") == 0
    await rig.turns(HELD)
    assert rig.closer.calls[2:] == ["take over", "step"]


async def test_news_is_taken_in_before_the_step_and_what_cannot_be_read_stops_nothing(
    rig: Rig,
) -> None:
    await rig.turns((True, [_progress(2), _record(b"{"), _record(None), _progress(5)]))
    assert rig.closer.observed == [2, 5]
    assert rig.closer.calls == ["take over", "step"]


async def test_the_store_is_asked_again_after_a_while_and_not_before(rig: Rig) -> None:
    rig.member.takes_s = RESYNC_S / 2
    await rig.turns(HELD, HELD, HELD, HELD, HELD)
    assert rig.closer.calls == [
        "take over", "step", "step", "resync", "step", "step", "resync", "step",
    ]  # fmt: skip
    assert rig.identity.claimed == ["ours"] * 3, "and whose it is, whenever it is asked"


async def test_a_closer_that_could_not_hear_excuses_the_partitions_for_that_time_only(
    rig: Rig,
) -> None:
    rig.member.takes_s = RESYNC_S
    await rig.turns(HELD, HELD)
    assert rig.closer.excused_s == []
    rig.member.takes_s = RESYNC_S + 2
    await rig.turns(HELD, HELD)
    assert rig.closer.excused_s == [RESYNC_S + 2, RESYNC_S + 2]


async def test_without_a_broker_it_is_no_closer_and_takes_over_again_when_it_is_back(
    rig: Rig,
) -> None:
    await rig.turns(HELD, BrokerUnavailable("away"))
    assert not rig.loop.is_active
    assert rig.metric("closer_active") == 0
    assert rig.metric("closer_retries_total") == 1
    await rig.turns(HELD)
    assert rig.closer.calls == ["take over", "step", "take over", "step"]


async def test_a_store_that_is_away_is_tried_again_later_and_later_until_it_is_there(
    rig: Rig,
) -> None:
    rig.closer.failures = [StoreUnavailable("away")] * 6
    await rig.turns(*[HELD] * 7)
    assert rig.closer.calls == ["take over"] * 7 + ["step"]
    assert rig.metric("closer_retries_total") == 6
    assert rig.waits_s == [0, 1, 2, 3, 4, 5]
    rig.closer.failures = [StoreUnavailable("away")]
    rig.loop.is_active = False
    await rig.turns(HELD, HELD)
    assert rig.waits_s[6:] == [0], "after a good turn the waits begin anew"


async def test_a_superseded_closer_is_active_no_more_and_asks_the_store_who_it_is(
    rig: Rig,
) -> None:
    await rig.turns(HELD)
    rig.closer.superseded = True
    await rig.turns(HELD)
    assert not rig.loop.is_active
    assert rig.metric("closer_retries_total") == 0
    rig.closer.superseded = False
    await rig.turns(HELD)
    assert rig.closer.calls == ["take over", "step", "step", "take over", "step"]


async def test_steps_follow_each_other_while_more_is_due_until_progress_must_be_read(
    rig: Rig,
) -> None:
    rig.closer.steps_due = 3
    await rig.turns(HELD, HELD)
    assert rig.closer.calls == ["take over", "step", "step", "step", "step"]
    rig.closer.calls.clear()
    rig.closer.steps_due = 100
    rig.closer.meanwhile = lambda: rig.clock.advance(RESYNC_S / 5)
    await rig.turns(HELD, HELD)
    assert rig.closer.calls == ["step"] * 5 + ["resync"] + ["step"]


async def test_steps_end_when_the_process_is_asked_to_stop(rig: Rig) -> None:
    rig.closer.steps_due = 100
    await rig.turns(HELD)
    assert rig.closer.calls == ["take over", "step"]


class FakeConsumer:
    """Stands for the client of Kafka; `made` are those that were made."""

    made: list[FakeConsumer]

    def __init__(self, *args: object, **options: object) -> None:
        self.args, self.options = args, options
        self.is_closed = False
        self.failure: Exception | None = None
        self.held = {0}
        type(self).made.append(self)

    def poll(self, timeout_s: float) -> list[Record]:
        if self.failure is not None:
            raise self.failure
        return [_progress(int(timeout_s * 10))]

    def assignment(self) -> set[int]:
        return self.held

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[FakeConsumer]:
    FakeConsumer.made = []
    monkeypatch.setattr(closing_process, "PartitionConsumer", FakeConsumer)
    monkeypatch.setattr(closing_process, "TopicAdmin", FakeAdmin)
    return FakeConsumer.made


async def test_a_member_reads_progress_from_now_on_with_one_client(
    consumers: list[FakeConsumer],
) -> None:
    settings = Settings()
    member = _Member(settings)
    holds, records = await member.poll()
    assert holds is True
    assert len(records) == 1
    await member.poll()
    (consumer,) = consumers
    assert consumer.args[1:] == (PROGRESS, group_in(settings.closer.group, "ours"))
    assert consumer.options == {"from_beginning": False}
    consumer.held = set()
    assert (await member.poll())[0] is False
    await member.close()
    assert consumer.is_closed
    await member.close()


async def test_a_client_that_failed_is_closed_and_another_is_made(
    consumers: list[FakeConsumer],
) -> None:
    member = _Member(Settings())
    await member.poll()
    consumers[0].failure = BrokerUnavailable("away")
    with pytest.raises(BrokerUnavailable):
        await member.poll()
    assert consumers[0].is_closed
    assert (await member.poll())[0]
    assert len(consumers) == 2


class FakeProducer:
    """Stands for the producer of Kafka."""

    def __init__(self, settings: object) -> None:
        del settings
        self.sent: list[Outgoing] = []
        self.is_closed = False

    async def send(self, records: list[Outgoing]) -> None:
        self.sent.extend(records)

    async def close(self) -> None:
        self.is_closed = True


async def test_windows_are_keyed_for_compaction_and_placed_by_their_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(closing_process, "AcknowledgedProducer", FakeProducer)
    publisher = KafkaPublisher(Settings().kafka)
    window = Window(
        query="trains", start=NOON, end=NOON, revision=3, closed_at=NOON, counters={}, authors=1,
        strata={},
    )  # fmt: skip
    assert window_key(window) == b"trains|1772366400"
    await publisher.publish([window])
    producer = cast(FakeProducer, publisher._producer)
    assert producer.sent == [Outgoing(WINDOWS, b"trains|1772366400", encode(window), b"trains")]
    await publisher.close()
    assert producer.is_closed
