"""State that an earlier version saved: this one goes on from it, to the same integers.

How the state was made is in `saved_state/README.md`.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from core.clock import ManualClock, epoch_ms
from core.codec import alert_decoder
from core.errors import ConfigError
from core.metrics import Metrics
from core.schemas import Alert, PostEvent, Progress, ScoredPost, Window
from core.settings import (
    AlertSettings,
    RedisSettings,
    Settings,
    ShiftSettings,
    WindowSettings,
    WorkerSettings,
)
from services.alerting.delivery import Delivery
from services.alerting.judges import AlertJudges
from services.closer.closing import Closer
from services.exporter.conversation import Exporter
from services.exporter.process import refresh
from services.ingest.cursor_store import CursorStore
from services.local.redis_server import RedisServer
from services.local.runfile import load_run
from services.repair.history import contributions
from stream.shifts.explanation import to_alert
from stream.shifts.signals import ShiftSignal
from stream.store.ids import decimal, id_hash, kept_shard, lookup
from stream.store.increments import DELETED, ApplyBatch, CountedPost, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.windows.layout import named

pytestmark = pytest.mark.integration

SAVED = Path(__file__).parent / "saved_state"
DATABASE = 6
PARTITIONS = (0, 1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(
    windows=WindowSettings(allowed_lateness_s=0),
    shifts=ShiftSettings(warmup_s=0, min_posts=0, min_authors=0),
    alerts=AlertSettings(link=""),
)


def lines_of(name: str) -> list[Any]:
    return [json.loads(line) for line in (SAVED / name).read_text().splitlines()]


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    """A store that holds what was saved, and nothing else."""
    found = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(found) as client:
        client.flushdb()
        for key, (kind, value) in json.loads((SAVED / "state.json").read_text()).items():
            name = key.encode("latin-1")
            if kind == "string":
                client.set(name, value.encode("latin-1"))
            elif kind == "set":
                client.sadd(name, *(one.encode("latin-1") for one in value))
            elif kind == "zset":
                client.zadd(name, {one.encode("latin-1"): at for one, at in value.items()})
            else:
                pairs = {f.encode("latin-1"): v.encode("latin-1") for f, v in value.items()}
                client.hset(name, mapping=pairs)
    return found


def store_at(url: str) -> RedisStore:
    horizons = Horizons.of(SETTINGS.windows, WorkerSettings())
    return RedisStore(RedisSettings(url=url), horizons)


class Topics:
    """Stands for `windows` and `alerts`, and for an Alertmanager that takes everything."""

    are_there = True

    def __init__(self) -> None:
        (first, *_) = (SAVED / "alerts.jsonl").read_bytes().splitlines()
        self.alerts = [first]
        self.windows: list[Window] = []
        self.posted: list[dict[str, object]] = []

    async def publish(self, windows: Iterable[Window]) -> None:
        self.windows.extend(windows)

    async def read(self) -> list[bytes]:
        return list(self.alerts)

    async def write(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        self.alerts.extend(value for _, value in records)

    async def post(self, alerts: Iterable[dict[str, object]]) -> None:
        self.posted.extend(alerts)

    async def known(self) -> frozenset[str]:
        return frozenset()

    async def close(self) -> None: ...


def batch_of_posts(state_cursor: int, posts: list[ScoredPost]) -> ApplyBatch:
    """Return what a worker makes of scored posts, from the record of how they were scored."""
    batch = ApplyBatch(POSTS, state_cursor, state_cursor + len(posts))
    counted = contributions([(post, post) for post in posts])
    for post, one in zip(posts, counted, strict=True):
        hashed, event_ms = id_hash(post.source, post.id), epoch_ms(post.event_at)
        hour = event_ms // 3_600_000
        batch.seen.setdefault((hour, lookup(hashed, (hour,))[1]), []).append(decimal(hashed))
        batch.kept.setdefault(kept_shard(hashed), []).extend((hashed, one.packed()))
        batch.watermark_ms = max(batch.watermark_ms, event_ms)
        batch.totals["counted"] = batch.totals.get("counted", 0) + 1
        for query in one.queries:
            strata = {one.stratum: one.counters[:4]}
            author = [f"{post.source}:{post.author}"]
            batch.panes.setdefault(one.start_s, []).append((query, one.counters, strata, author))
    return batch


def batch_of_events(
    state_cursor: int, events: list[PostEvent], edits: dict[str, ScoredPost]
) -> ApplyBatch:
    batch = ApplyBatch(POST_EVENTS, state_cursor, state_cursor + len(events))
    for event in events:
        blob = DELETED
        if event.kind == "edit":
            (one,) = contributions([(edits[event.post_id], edits[event.post_id])])
            blob = CountedPost(0, one.stratum, one.counters, one.queries).packed()
        batch.operations.append((id_hash(event.source, event.post_id), blob))
        batch.told_ms = max(batch.told_ms, epoch_ms(event.ingested_at))
    batch.totals["events"] = len(events)
    return batch


async def count_the_rest(store: RedisStore) -> None:
    """Apply what came after the state was saved, as a worker does."""
    scored: dict[tuple[int, str], list[ScoredPost]] = {}
    for line in lines_of("scored.jsonl"):
        topic = line["headers"].get("source-topic", POSTS)
        post = msgspec.convert(line["value"], ScoredPost)
        scored.setdefault((line["partition"], topic), []).append(post)
    for partition in PARTITIONS:
        state = await store.partition_state(partition)
        events = [
            msgspec.convert(line["value"], PostEvent)
            for line in lines_of("events.jsonl")
            if line["partition"] == partition and line["offset"] > state.cursors[POST_EVENTS]
        ]
        edits = {post.id: post for post in scored[partition, POST_EVENTS]}
        posts = scored[partition, POSTS]
        applied = await store.apply(partition, batch_of_posts(state.cursors[POSTS], posts))
        assert applied.removed == 1  # its deletion overtook it, and was kept
        applied = await store.apply(
            partition, batch_of_events(state.cursors[POST_EVENTS], events, edits)
        )
        assert (applied.removed, applied.edited, applied.aside) == (2, 1, ())


async def close(store: RedisStore, topics: Topics) -> Metrics:
    """Let a closer publish and judge all that is due."""
    metrics, clock = Metrics(), ManualClock(NOON + timedelta(minutes=20))

    async def plain(signal: ShiftSignal) -> Alert:
        return to_alert(signal)

    desk = AlertJudges(SETTINGS, store, clock, metrics, topics, None, plain)
    closer = Closer(SETTINGS.windows, store, topics, clock, metrics, desk, len(PARTITIONS))
    await closer.take_over()
    for partition in PARTITIONS:
        cursors = (await store.partition_state(partition)).cursors
        closer.observe(
            Progress(
                partition=partition, cursor=cursors[POSTS], event_cursor=cursors[POST_EVENTS],
                applied_at=NOON, model_version="invented-1",
            )
        )  # fmt: skip
    while await closer.step():
        pass
    delivery = Delivery(SETTINGS.alerts, store.alerts, topics, clock, metrics)
    await delivery.round()
    return metrics


async def windows_of(store: RedisStore) -> list[dict[str, object]]:
    starts = await store.pane_starts(PARTITIONS)
    revisions = await store.revisions(starts)
    found: list[dict[str, object]] = []
    for start, pane in (await store.panes(PARTITIONS, starts)).items():
        for query, content in sorted(pane.items()):
            known = revisions[start].get(query)
            counters = {name: value for name, value in named(content.counters).items() if value}
            found.append(
                {
                    "start": start, "query": query, "authors": content.authors,
                    "counters": counters, "strata": dict(sorted(content.strata.items())),
                    "published": None if known is None else known.packed(),
                }
            )  # fmt: skip
    return found


async def test_worker_and_closer_go_on_from_it_to_the_same_windows_and_alerts(url: str) -> None:
    store, topics = store_at(url), Topics()
    before = await windows_of(store)
    assert any(str(one["published"]).endswith(":sending") for one in before)
    assert len(await store.alerts.unpublished()) == 1
    await count_the_rest(store)
    metrics = await close(store, topics)
    assert await windows_of(store) == lines_of("windows.jsonl")
    # Each revision that was decided and not acknowledged is published, under its own number.
    published = {(w.query, int(w.start.timestamp())): w.revision for w in topics.windows}
    for one in before:
        if str(one["published"]).endswith(":sending"):
            place = (str(one["query"]), int(str(one["start"])))
            assert published[place] >= int(str(one["published"]).partition(":")[0])
    assert [_said(a) for a in topics.alerts] == [
        _said(line) for line in (SAVED / "alerts.jsonl").read_bytes().splitlines()
    ]
    assert await store.alerts.unpublished() == []
    assert await store.quarantine(PARTITIONS) == []
    refused = metrics.alert_state_refused.collect()
    assert [one for family in refused for one in family.samples] == []
    await store.close()


def _said(record: bytes) -> tuple[str, str, str, str, int]:
    alert = alert_decoder.decode(record)
    return alert.alert_id, alert.query, alert.kind, alert.state, alert.severity


async def test_copies_of_posts_that_were_counted_before_are_known(url: str) -> None:
    store = store_at(url)
    hour = epoch_ms(NOON) // 3_600_000
    asked = [lookup(id_hash("invented", one), (hour,)) for one in ("0-3-0", "0-19-5", "0-25-0")]
    assert await store.seen(0, asked) == [True, True, False]
    await store.close()


async def test_store_belongs_to_the_cluster_that_it_was_filled_from(url: str) -> None:
    store = store_at(url)
    await store.identity.claim("cluster-of-before")
    with pytest.raises(ConfigError, match="groundswell up --fresh"):
        await store.identity.claim("another")
    await store.close()


async def test_exporter_shows_it_and_corrects_no_share_whose_model_nobody_told(url: str) -> None:
    store, metrics = store_at(url), Metrics(role="exporter")
    await refresh(store, Exporter(metrics, 10), SETTINGS)
    value = metrics.registry.get_sample_value
    saved = [one for one in await windows_of(store) if one["query"] == "all"]
    last = max(int(str(one["start"])) for one in saved if one["published"] is not None)
    (shown,) = [one["counters"] for one in saved if one["start"] == last]
    assert isinstance(shown, dict)
    assert value("groundswell_window_posts", {"query": "all"}) == shown["posts"]
    assert await store.scoring_model() is None
    await close(store, Topics())
    model = await store.scoring_model()
    assert model is not None
    assert (model.of(last), model.of(last + 3_600)) == ("", "invented-1")
    await store.close()


def test_cursor_of_a_source_and_run_file_of_a_stack_are_read() -> None:
    stored = CursorStore(SAVED / "ingest", "mastodon").load("f1")
    assert stored is not None
    assert stored.cursor == {"home": "109", "tags": ["rail"]}
    assert (stored.totals.items_read, stored.totals.posts_produced) == (12, 9)
    run = load_run(SAVED / "run.json")
    assert run is not None
    assert run.environment == {"GROUNDSWELL__REDIS__URL": "redis://127.0.0.1:6390/0"}
    assert [part.name for part in run.parts] == ["redis"]
