"""The outbox at its bounds, and what it holds when a record is replaced or sent again."""

from __future__ import annotations

import pytest

from services.ingest.outbox import Outbox
from services.ingest.outgoing import OutgoingRecord
from testkit.kafka import FakeProducer, MemoryBroker


def _record(number: int, size: int = 1, topic: str = "posts") -> OutgoingRecord:
    return OutgoingRecord(topic, b"k", b"%d" % (number % 10) * size, number, "posts_produced")


def _outbox(max_posts: int = 3, max_bytes: int = 10) -> tuple[Outbox, MemoryBroker]:
    broker = MemoryBroker()
    return Outbox(FakeProducer(broker), max_posts, max_bytes), broker


def test_it_is_full_at_its_bounds_and_not_one_below() -> None:
    outbox, _ = _outbox()
    assert not outbox.is_full
    outbox.add([_record(1), _record(2)])
    assert not outbox.is_full
    assert outbox.room(1) == 1
    outbox.add([_record(3)])
    assert outbox.is_full
    by_bytes, _ = _outbox(100)
    by_bytes.add([_record(1, 9)])
    assert not by_bytes.is_full
    assert by_bytes.room(1) == 1
    by_bytes.add([_record(2)])
    assert by_bytes.is_full
    assert by_bytes.room(1) == 0


def test_room_counts_what_is_held_and_takes_records_of_no_size_for_one_byte() -> None:
    outbox, _ = _outbox(100, 10)
    outbox.add([_record(1, 4)])
    assert outbox.room(3) == 2
    assert outbox.room(0) == 6
    assert _outbox(4, 1_000)[0].room(1) == 4


def test_what_was_acknowledged_weighs_nothing_and_is_counted_by_its_kind() -> None:
    outbox, broker = _outbox(100, 100)
    outbox.add([_record(1, 4), _record(2, 5, topic=""), _record(3, 6)])
    outbox.transmit()
    assert outbox.collect() == 3
    assert outbox.collect() == 0
    assert (len(outbox), outbox.held_bytes) == (0, 0)
    assert outbox.acknowledged == {"posts_produced": 3}
    assert outbox.cursor == 3
    assert len(broker.values("posts")) == 2, "nothing is sent of what only moves the cursor"


def test_a_letter_is_sent_once_however_often_it_is_transmitted() -> None:
    outbox, broker = _outbox(100, 100)
    outbox.add([_record(1)])
    outbox.transmit()
    outbox.transmit()
    outbox.add([_record(2)])
    outbox.transmit()
    assert broker.values("posts") == [b"1", b"2"]


def test_what_was_not_given_to_kafka_yet_is_not_let_go() -> None:
    outbox, _ = _outbox(100, 100)
    outbox.add([_record(1)])
    assert outbox.collect() == 0
    assert outbox.cursor is None
    assert outbox.head.cursor == 1


@pytest.mark.parametrize("size", [2, 9])
def test_a_replaced_head_is_sent_in_its_place_and_weighs_what_it_weighs(size: int) -> None:
    outbox, broker = _outbox(100, 100)
    broker.holds_answers = True
    outbox.add([_record(1, 5), _record(2, 3)])
    outbox.transmit()
    outbox.replace_head(_record(7, size, "dead-posts"))
    assert (len(outbox), outbox.held_bytes) == (2, size + 3)
    assert outbox.head.topic == "dead-posts"
    broker.release()
    assert outbox.collect() == 2
    assert outbox.held_bytes == 0
    assert broker.values("dead-posts") == [b"7" * size]


def test_starting_over_sends_all_that_is_held_again_in_order() -> None:
    outbox, broker = _outbox(100, 100)
    broker.holds_answers = True
    outbox.add([_record(1), _record(2)])
    outbox.transmit()
    outbox.add([_record(3)])
    broker.release()
    outbox.start_over()
    assert outbox.collect() == 0, "an answer from before counts for nothing"
    outbox.transmit()
    broker.release()
    assert broker.values("posts") == [b"1", b"2", b"1", b"2", b"3"]
    assert outbox.collect() == 3
    assert outbox.cursor == 3
