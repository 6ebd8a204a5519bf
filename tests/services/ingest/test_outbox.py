from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BrokerUnavailable
from services.ingest.outbox import Outbox
from services.ingest.outgoing import OutgoingRecord
from testkit.kafka import FakeAcknowledgement, FakeProducer, MemoryBroker


def records(count: int) -> list[OutgoingRecord]:
    return [
        OutgoingRecord(
            "posts", f"{number % 7}".encode(), f"value {number}".encode(), number, "posts_produced"
        )
        for number in range(count)
    ]


@given(order=st.permutations(range(12)))
def test_cursor_is_the_highest_with_nothing_unacknowledged_before_it(order: list[int]) -> None:
    broker = MemoryBroker()
    broker.holds_answers = True
    outbox = Outbox(FakeProducer(broker), 100, 10_000)
    sent = records(12)
    outbox.add(sent)
    outbox.transmit()
    answered: set[int] = set()
    for place in order:
        answer = sent[place].acknowledgement
        assert isinstance(answer, FakeAcknowledgement)
        answer.settle()
        answered.add(place)
        outbox.collect()
        contiguous = next(n for n in range(13) if n not in answered)
        assert outbox.cursor == (contiguous - 1 if contiguous else None)
        assert outbox.acknowledged["posts_produced"] == contiguous


def test_what_does_not_move_the_cursor_is_settled_by_what_does() -> None:
    start, end = {"n": 0}, {"n": 5}
    outbox = Outbox(FakeProducer(MemoryBroker()), 100, 10_000)
    outbox.cursor = start
    found = records(7)
    for record, cursor in zip(found, [start, start, end, end, end, {"n": 6}, start], strict=True):
        record.cursor = cursor
    settled = []
    for record in found:
        outbox.add([record])
        outbox.transmit()
        outbox.collect()
        settled.append(outbox.settled.total())
    assert settled == [0, 0, 3, 3, 3, 6, 7]
    assert outbox.acknowledged.total() == 7


def test_failed_record_is_sent_again_before_what_follows_it() -> None:
    broker = MemoryBroker()
    broker.holds_answers = True
    producer = FakeProducer(broker)
    outbox = Outbox(producer, 100, 10_000)
    outbox.add(records(30))
    outbox.transmit()
    # One partition is written, the others are lost: what was written comes twice, in order.
    broker.release(lambda partition: partition == 1)
    broker.lose()
    broker.holds_answers = False
    with pytest.raises(BrokerUnavailable):
        outbox.collect()
    producer.reconnect()
    outbox.start_over()
    outbox.transmit()
    outbox.collect()
    assert outbox.cursor == 29
    for key in {record.key for record in broker.topics["posts"]}:
        numbers = [
            int((record.value or b"").split()[1])
            for record in broker.topics["posts"]
            if record.key == key
        ]
        again = numbers[len(numbers) - numbers[::-1].index(min(numbers)) - 1 :]
        assert again == sorted(again)
        assert set(again) == set(numbers)


def test_outbox_is_full_by_count_and_by_bytes() -> None:
    by_count = Outbox(FakeProducer(MemoryBroker()), max_posts=3, max_bytes=10_000)
    by_count.add(records(3))
    assert by_count.is_full
    assert by_count.room(largest_bytes=1) == 0
    by_bytes = Outbox(FakeProducer(MemoryBroker()), max_posts=100, max_bytes=20)
    by_bytes.add(records(3))
    assert by_bytes.held_bytes == 21
    assert by_bytes.is_full


def test_room_shrinks_for_large_records_but_never_to_nothing() -> None:
    outbox = Outbox(FakeProducer(MemoryBroker()), max_posts=100, max_bytes=1_000)
    assert outbox.room(largest_bytes=10) == 100
    assert outbox.room(largest_bytes=300) == 3
    assert outbox.room(largest_bytes=5_000) == 1


def test_broker_away_while_sending_keeps_what_was_not_sent() -> None:
    broker = MemoryBroker()

    def leave(sent: int) -> None:
        broker.is_away = sent == 2

    producer = FakeProducer(broker, leave)
    outbox = Outbox(producer, 100, 10_000)
    outbox.add(records(5))
    with pytest.raises(BrokerUnavailable):
        outbox.transmit()
    broker.is_away = False
    outbox.transmit()
    outbox.collect()
    assert broker.values("posts") == [record.value for record in records(5)]
    assert len(outbox) == 0
