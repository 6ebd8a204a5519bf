"""Probes against real servers."""

import pytest

from core.config import build
from services.kafka_client import RecordProducer, TopicAdmin, TopicPlan
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from testkit.chaos.probes import NoAnswer, RedisLine, end_offsets

pytestmark = pytest.mark.integration


def test_redis_answers_every_kind_of_reply(redis_server: RedisServer):
    line = RedisLine(redis_server.port)
    long = "x" * 600_000
    assert line.ask("SET", "probe:a", long) == b"OK"
    assert line.ask("GET", "probe:a") == long.encode()
    assert line.ask("GET", "probe:none") is None
    assert line.ask("HSET", "probe:h", "f", 7) == 1
    assert line.ask("HGETALL", "probe:h") == [b"f", b"7"]
    assert line.ask_all([("DEL", "probe:a"), ("DEL", "probe:h")]) == [1, 1]
    with pytest.raises(NoAnswer, match="unknown command"):
        line.ask("NO-SUCH")
    assert line.ask("PING") == b"PONG"
    line.close()


def test_a_redis_that_is_away_gives_no_answer():
    with pytest.raises(NoAnswer):
        RedisLine(1).ask("PING")


def _once_led(port: int) -> list[int]:
    """Return the ends of the new topic's partitions once each has a leader."""
    for _ in range(1_000):
        try:
            return end_offsets(port, "chaos-probe", 3)
        except NoAnswer:
            continue
    raise AssertionError("no leader")


def test_end_offsets_are_those_of_the_broker(kafka: KafkaServer):
    settings = build({"kafka": {"bootstrap_servers": kafka.bootstrap}}).kafka
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan("chaos-probe", 3, 1)])
    assert _once_led(kafka.port) == [0, 0, 0]
    producer = RecordProducer(settings)
    for number in range(50):
        producer.send("chaos-probe", b"%d" % number, b"value")
    producer.flush(30)
    producer.close()
    ends = end_offsets(kafka.port, "chaos-probe", 3)
    assert sum(ends) == 50
    assert min(ends) > 0


def test_a_topic_or_broker_that_is_not_there_gives_no_answer(kafka: KafkaServer):
    with pytest.raises(NoAnswer):
        end_offsets(kafka.port, "chaos-no-such-topic", 1)
    with pytest.raises(NoAnswer):
        end_offsets(1, "posts", 1)
