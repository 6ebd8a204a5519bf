"""Two topics read together: whose partitions, from where, and over a rebalance."""

from collections.abc import Callable, Iterator

import pytest

from core.errors import BrokerUnavailable, ConfigError
from core.settings import KafkaSettings
from services.kafka_client import CoPartitionedConsumer, RecordProducer, TopicAdmin, TopicPlan
from services.local.kafka_server import KafkaServer
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka: KafkaServer) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap, session_timeout_s=6)


@pytest.fixture
def topics(settings: KafkaSettings, request: pytest.FixtureRequest) -> tuple[str, str]:
    names = tuple(f"co-{abs(hash(request.node.name))}-{n}" for n in "ab")
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan(name, partitions=4, replication=1) for name in names])
    producer = RecordProducer(settings)
    for name in names:
        for number in range(80):
            producer.send(name, f"k{number}".encode(), f"{number}".encode())
    producer.flush(30)
    producer.close()
    return names[0], names[1]


@pytest.fixture
def join(
    settings: KafkaSettings, topics: tuple[str, str]
) -> Iterator[Callable[[], CoPartitionedConsumer]]:
    made: list[CoPartitionedConsumer] = []

    def one() -> CoPartitionedConsumer:
        made.append(CoPartitionedConsumer(settings, topics, f"group-{topics[0]}"))
        return made[-1]

    yield one
    for consumer in made:
        consumer.close()


def _until_owned(consumer: CoPartitionedConsumer, count: int, *others: CoPartitionedConsumer):
    def turn() -> bool:
        for one in (consumer, *others):
            one.poll(0.05)
        return len(consumer.owned()) == count

    wait_until(turn, f"{count} partitions")


def _read(consumer: CoPartitionedConsumer, topic: str) -> list[tuple[int, int]]:
    return [(r.partition, r.offset) for r in consumer.poll(0.2).get(topic, [])]


def test_nothing_is_read_before_it_is_said_where_from(join, topics) -> None:
    consumer = join()
    _until_owned(consumer, 4)
    assert consumer.unstarted() == {0, 1, 2, 3}
    assert consumer.poll(0.2) == {}
    ends = consumer.ends(topics[0], [2])
    consumer.start(2, {topics[0]: ends[2] - 1, topics[1]: 0})
    assert consumer.unstarted() == {0, 1, 3}
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in topics}

    def is_read() -> bool:
        for name, records in consumer.poll(0.1).items():
            found[name] += [(r.partition, r.offset) for r in records]
        return len(found[topics[1]]) == consumer.ends(topics[1], [2])[2]

    wait_until(is_read, "the second topic")
    assert found[topics[0]] == [(2, ends[2] - 1)]
    assert {partition for partition, _ in found[topics[1]]} == {2}


def test_members_own_the_same_partitions_of_both_topics_and_go_on_over_a_rebalance(
    join, topics
) -> None:
    first = join()
    _until_owned(first, 4)
    for partition in range(4):
        first.start(partition, dict.fromkeys(topics, 0))
    seen: list[tuple[str, int, int]] = []

    def drain(consumer: CoPartitionedConsumer) -> int:
        records = consumer.poll(0.1)
        seen.extend((t, r.partition, r.offset) for t, rs in records.items() for r in rs)
        return len(seen)

    wait_until(lambda: drain(first) == 160, "all records")
    first.hold(topics[0], 0, is_held=True)
    second = join()
    _until_owned(second, 2, first)
    assert first.owned().isdisjoint(second.owned())
    assert len(first.owned()) == 2
    assert first.unstarted() == frozenset()
    assert second.unstarted() == second.owned()
    second.close()
    _until_owned(first, 4)
    assert len(first.unstarted()) == 2, "what was another's in between is new"
    assert sorted(set(seen)) == sorted(seen)
    for partition in first.unstarted():
        first.start(partition, dict.fromkeys(topics, 10**6))
    assert drain(first) == 160 or all(p in first.owned() for _, p, _ in seen[160:])


def test_topics_that_do_not_fit_together_and_missing_ones_are_refused(
    settings: KafkaSettings, topics
) -> None:
    odd = f"{topics[0]}-odd"
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan(odd, partitions=3, replication=1)])
    with pytest.raises(ConfigError, match="expected the same number"):
        CoPartitionedConsumer(settings, (topics[0], odd), "group-odd")
    with pytest.raises(BrokerUnavailable, match="no partitions"):
        CoPartitionedConsumer(settings, (topics[0], "co-missing"), "group-missing")


def test_a_topic_that_was_held_while_much_was_there_is_read_to_its_end(
    settings: KafkaSettings, join, topics
) -> None:
    producer, many = RecordProducer(settings), 6_000
    for topic in topics:
        for number in range(many):
            producer.send(topic, b"k", b"%d" % number)
    producer.flush(30)
    producer.close()
    consumer = join()
    _until_owned(consumer, 4)
    ends = {topic: consumer.ends(topic, range(4)) for topic in topics}
    number = next(p for p, end in ends[topics[0]].items() if end >= many)
    consumer.start(number, dict.fromkeys(topics, 0))
    read = dict.fromkeys(topics, 0)

    def take() -> None:
        for topic, records in consumer.poll(0.1).items():
            assert [record.offset for record in records] == list(
                range(read[topic], read[topic] + len(records))
            )
            read[topic] += len(records)

    def is_all_of(topic: str) -> bool:
        take()
        return read[topic] == ends[topic][number]

    for held, other in (topics, topics[::-1]):
        wait_until(lambda: take() or any(read.values()), "the first records")
        consumer.hold(held, number, is_held=True)
        wait_until(lambda other=other: is_all_of(other), "all of the topic that is not held")
        consumer.hold(held, number, is_held=False)
        wait_until(lambda held=held: is_all_of(held), "all of the topic that was held")
        read.update(dict.fromkeys(topics, 0))
        consumer.start(number, read)


def _answered_between_polls(consumer: CoPartitionedConsumer, is_over: Callable[[], bool]) -> None:
    """Poll until it is over, as on a busy machine: a join takes longer than a poll."""
    coordinator = consumer._client._coordinator
    at_once = coordinator._do_join_and_sync_async

    async def slowly() -> bytes:
        await consumer._client._net.sleep(0.1)
        return await at_once()

    coordinator._do_join_and_sync_async = slowly
    for _ in range(50):
        consumer.poll(0.05)
        if is_over():
            return
        under_way = coordinator._join_task
        wait_until(lambda join=under_way: join is None or join.is_done, "an answer")
    raise AssertionError(f"{coordinator.state} for ever")


def test_a_member_joins_whose_every_join_is_answered_between_two_polls(
    join: Callable[[], CoPartitionedConsumer],
) -> None:
    consumer = join()
    _answered_between_polls(consumer, lambda: bool(consumer.owned()))
    assert consumer.owned() == {0, 1, 2, 3}


def test_a_member_reads_on_whose_join_for_a_changed_topic_is_answered_between_two_polls(
    join: Callable[[], CoPartitionedConsumer], topics: tuple[str, str]
) -> None:
    consumer = join()
    _until_owned(consumer, 4)
    coordinator = consumer._client._coordinator
    coordinator._assignment_snapshot = "as the topics were before"
    read: list[object] = []

    def has_read() -> bool:
        if not coordinator.rejoining and not read:
            for number in range(4):
                consumer.start(number, dict.fromkeys(topics, 0))
        read.extend(consumer.poll(0.05))
        return bool(read)

    _answered_between_polls(consumer, has_read)
