"""Kafka, the only import of kafka-python: producing, reading, consuming in a group, topics.

Every producer of the system keys by bytes and places them with Java's murmur2, so that a key is on
the same partition whoever wrote it. Errors of the client become ours where they enter.
"""

from services.kafka_client.activity import TopicActivity, read_record, topic_activity
from services.kafka_client.client import client_options, partition_of
from services.kafka_client.consuming import PartitionConsumer, TopicProbe, read_topic
from services.kafka_client.copartitioned import CoPartitionedConsumer
from services.kafka_client.following import TopicFollower
from services.kafka_client.producing import RecordProducer
from services.kafka_client.topics import TopicAdmin, TopicPlan, TopicState

__all__ = [
    "CoPartitionedConsumer",
    "PartitionConsumer",
    "RecordProducer",
    "TopicActivity",
    "TopicAdmin",
    "TopicFollower",
    "TopicPlan",
    "TopicProbe",
    "TopicState",
    "client_options",
    "partition_of",
    "read_record",
    "read_topic",
    "topic_activity",
]
