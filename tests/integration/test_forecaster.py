"""Kill -9 the forecaster, its store, its broker: its state is what it were without, to the byte."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import SystemClock
from core.codec import encode, post_event_decoder
from core.metrics import Metrics
from models.engagement.partition import ForecastPartition
from services.bootstrap import make_store
from services.forecaster.intake import Intake
from services.forecaster.merging import TimeMerge
from services.forecaster.taking_over import KINDS
from services.kafka_client import RecordProducer, read_topic
from stream.topics import FORECASTS, POST_EVENTS, POSTS, SCORED_POSTS
from testkit.builders import make_event, make_post
from testkit.scorers.engagement import FakeEngagement
from testkit.stream import count_plainly

pytestmark = pytest.mark.integration

Said = tuple[str, bytes, bytes]
HORIZON_S = 3_700
HOURS_AGO = 8


def _said(count: int, seed: int) -> list[Said]:
    """Return posts a second apart, their counts or deletions half an hour later, in order."""
    chance = random.Random(seed)
    base = datetime.now(UTC) - timedelta(hours=HOURS_AGO)
    found: list[tuple[datetime, int, Said]] = []

    def add(at: datetime, topic: str, author: str, value: bytes) -> None:
        found.append((at, len(found), (topic, author.encode(), value)))

    for number in range(count):
        at = base + timedelta(seconds=number)
        author = f"a{chance.randrange(200)}"
        times = {"claimed_at": at, "ingested_at": at + timedelta(seconds=1)}
        text = f"the late train {chance.randrange(10**6)} and nobody says why"
        add(at, POSTS, author, encode(make_post(number, author=author, text=text, **times)))
        if chance.random() < 0.7:
            later = at + timedelta(seconds=1_800 + chance.randrange(60))
            kind = "delete" if chance.random() < 0.05 else "counts"
            likes = {"likes": chance.randrange(50)} if kind == "counts" else {}
            event = make_event(
                kind, number, author=author, claimed_at=later, ingested_at=later, **likes
            )
            add(later, POST_EVENTS, author, encode(event))
    until = base + timedelta(seconds=count)
    return [said for at, _, said in sorted(found, key=lambda one: one[:2]) if at <= until]


def _produce(stream, said: list[Said]) -> None:
    producer = RecordProducer(stream.settings.kafka)
    try:
        for topic, key, value in said:
            producer.send(topic, key, value)
        producer.flush(60)
    finally:
        producer.close()


def _kept(stream) -> dict[int, tuple[tuple[int, int], Counter[str], dict]]:
    """Return of each partition how far it was taken, its totals and its records."""

    async def read() -> dict:
        store = make_store(stream.settings)
        found = {}
        try:
            for partition in stream.partitions:
                stored = await store.forecasts.load(partition, KINDS, lambda *_: "")
                upto = stored.upto
                found[partition] = (
                    (upto.posts, upto.events), Counter(stored.totals), stored.records
                )  # fmt: skip
            return found
        except Exception:
            return {}
        finally:
            await store.close()

    return asyncio.run(read())


def _without_faults(stream, partition: int) -> tuple[Counter[str], dict]:
    """Take everything of a partition in one process, at once, and return totals and records."""
    topics = {topic: [] for topic in (SCORED_POSTS, POST_EVENTS)}
    for topic, records in topics.items():
        records += read_topic(stream.settings.kafka, topic, only=[partition])
    intake = Intake(partition, -1, SystemClock(), Metrics())
    merge = TimeMerge(0, 0)
    merge.add_events([intake.event(record) for record in topics[POST_EVENTS]])
    merge.add_posts([intake.post(record) for record in topics[SCORED_POSTS]], merge.next_event)
    merge.release(merge.next_event)
    forecasts, model = ForecastPartition(stream.settings.forecasts), FakeEngagement()
    while arrivals := merge.take(1_000):
        items = [one.item for one in arrivals if one.item is not None]
        planned = forecasts.take(items)
        answer = asyncio.run(model.predict(planned.features, planned.sequence))
        forecasts.finish(planned, answer)
    return Counter(forecasts.counts), forecasts.changes()


def test_whatever_is_killed_forecasts_are_neither_lost_nor_doubled_and_windows_are_the_same(
    make_stream: Callable,
) -> None:
    stream = make_stream(
        worker={"max_batch_posts": 64},
        forecasts={
            "kind": "fake", "horizon_s": HORIZON_S, "batch_posts": 32, "shed_after_s": 10_000,
        },
    )  # fmt: skip
    said = _said(6_000, seed=5)
    stream.start_worker("w1")
    forecaster = stream.start_process("forecaster", "f1")

    def tracked() -> int:
        return sum(totals["tracked"] for _, totals, _ in _kept(stream).values())

    parts, step = 5, len(said) // 5 + 1
    for number in range(parts):
        before = tracked()  # after a slow producer nothing may be left to be tracked
        _produce(stream, said[number * step : (number + 1) * step])
        stream.wait_until(lambda before=before: tracked() > before + 50, "forecasts")
        if number in (0, 3):
            os.kill(forecaster.pid, signal.SIGKILL)
            stream.wait_until(
                lambda one=forecaster: not one.is_running, "the end of the forecaster"
            )
            forecaster = stream.start_process("forecaster", f"f{number + 2}")
        elif number == 1:
            stream.redis.kill()
            stream.redis.start()
            stream.redis.wait_ready()
        elif number == 2:
            stream.kafka.kill()
            stream.kafka.start()
            stream.kafka.wait_ready()
    stream.wait_until(lambda: _is_all_taken(stream, len(said)), "all posts and events")
    kept = _kept(stream)
    for partition, (_, totals, records) in kept.items():
        plain_totals, plain = _without_faults(stream, partition)
        assert totals["tracked"] == totals["settled"] + totals["gone"] + len(records["pending"])
        assert {n: totals[n] for n in ("tracked", "settled", "gone", "lost")} == {
            n: plain_totals[n] for n in ("tracked", "settled", "gone", "lost")
        }
        assert {kind: dict(of_kind) for kind, of_kind in records.items() if of_kind} == {
            kind: {k: v for k, v in of_kind.items() if v is not None}
            for kind, of_kind in plain.items()
        }
    posts = sum(topic == POSTS for topic, _, _ in said)
    assert sum(totals["tracked"] for _, totals, _ in kept.values()) == posts
    first = {
        (record.key, record.value[: record.value.index(b'"made_at"')])
        for record in read_topic(stream.settings.kafka, FORECASTS)
    }
    assert len(first) == posts, "every post was forecast at least once"
    stream.stop_workers()
    events = [post_event_decoder.decode(value) for topic, _, value in said if topic == POST_EVENTS]
    deleted = {event.post_id for event in events if event.kind == "delete"}
    expected = count_plainly(
        post for post in stream.scored() if post.pane_start is not None and post.id not in deleted
    )
    windows = {key: {n: v for n, v in c.items() if v} for key, c in expected.items()}
    assert stream.windows() == windows


def _is_all_taken(stream, said: int) -> bool:
    """Tell whether both cursors have come to the end of both topics, with everything scored."""
    if stream.accounted() < said - _events(stream):
        return False
    ends = {
        topic: Counter(record.partition for record in read_topic(stream.settings.kafka, topic))
        for topic in (SCORED_POSTS, POST_EVENTS)
    }
    kept = _kept(stream)
    return bool(kept) and all(
        (posts + 1, events + 1) == (ends[SCORED_POSTS][number], ends[POST_EVENTS][number])
        for number, ((posts, events), _, _) in kept.items()
    )


def _events(stream) -> int:
    return sum(1 for _ in read_topic(stream.settings.kafka, POST_EVENTS))
