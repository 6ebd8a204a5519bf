"""The flows over an in-memory topic and the real store: the promise, without a broker."""

import asyncio
import contextlib
import itertools
import random
from datetime import timedelta

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import testkit.stream
from core import reasons
from core.codec import dead_post_decoder, encode, progress_decoder
from core.errors import CursorConflict, FatalError, ScorerRefused, StoreUnavailable
from core.heads import HEADS
from core.metrics import Metrics
from core.ports import ScoreBatch
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from stream.queries.catalog import Query
from stream.queries.grammar import parse
from stream.queries.matcher import Matcher
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import DEAD_POSTS, POST_EVENTS, POSTS, PROGRESS, SCORED_POSTS
from stream.windows.layout import named
from testkit.builders import NOON, make_event, make_post
from testkit.scorers.fake import FakeScorer
from testkit.scorers.nonsense import spoil_rows
from testkit.stream import ListSink, MemoryPartition, count_plainly, decode_scored, feed, make_tools

MATCHER = Matcher(
    [Query("late", parse("late OR delayed")), Query("trains", parse("trains NOT bus"))]
)
_partitions = itertools.count(1000)
"""A partition number of its own for every run: the store is shared by all tests."""


class HashScorer:
    """Scores that depend on the text alone; takes a random while; refuses what it is told to."""

    def __init__(self, rng: random.Random, poison: str = "") -> None:
        self._rng = rng
        self._poison = poison

    async def score_batch(self, texts, langs):
        await asyncio.sleep(self._rng.random() * 0.003)
        if self._poison and any(self._poison in text for text in texts):
            raise ScorerRefused("poison")
        seeds = np.array([sum(text.encode()) % 997 for text in texts], dtype=np.float64)
        heads = {}
        for name, labels in HEADS.items():
            raw = np.stack([(seeds * (i + 3)) % 101 + 1 for i in range(len(labels))], axis=1)
            heads[name] = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
        rated = np.array([lang == "en" for lang in langs], dtype=bool)
        return ScoreBatch("hash-1", rated, heads)

    async def is_ready(self):
        return True

    async def close(self):
        """Nothing to close."""


class FlakyStore:
    """The real store, unavailable now and then, sometimes only after it has applied."""

    def __init__(self, store: RedisStore, rng: random.Random, share: float) -> None:
        self._store = store
        self._rng = rng
        self._share = share
        self.faults = 0

    def _maybe_fail(self) -> None:
        if self._rng.random() < self._share:
            self.faults += 1
            raise StoreUnavailable("asked to fail")

    async def partition_state(self, partition):
        self._maybe_fail()
        return await self._store.partition_state(partition)

    async def seen(self, partition, lookups, first=None, applied=-1):
        self._maybe_fail()
        return await self._store.seen(partition, lookups, first, applied)

    async def apply(self, partition, batch):
        self._maybe_fail()
        applied = await self._store.apply(partition, batch)
        self._maybe_fail()  # applied, but the answer is lost
        return applied


def make_flows(store, sink, rng, worker=None, poison="", metrics=None, scorer=None):
    """Return flows on `store` with everything else in memory."""
    worker = worker or WorkerSettings(max_batch_posts=16, max_batch_age_ms=5)
    tools = make_tools(
        store,
        sink,
        worker=worker,
        scorer=scorer or HashScorer(rng, poison),
        matcher=MATCHER,
        metrics=metrics,
    )
    return testkit.stream.make_flows(tools, rng, worker)


@pytest.fixture
async def store(redis_server):
    store = RedisStore(
        RedisSettings(url=redis_server.url),
        Horizons.of(WindowSettings(), WorkerSettings()),
    )
    yield store
    await store.close()


class AllAtOnce(random.Random):
    """For feeding in the longest runs, so that a batch ends where its bound says."""

    def randint(self, a, b):
        return b


async def run_until_applied(flows, store, topics, rng):
    """Feed until the stored cursors have reached the end of every partition."""
    feeding = asyncio.create_task(feed(flows, topics, rng))
    try:
        async with asyncio.timeout(60):
            while True:
                done = True
                for (topic, number), partition in topics.items():
                    state = await store.partition_state(number)
                    done &= state.cursors[topic] >= partition.records[-1].offset
                if done:
                    break
                if feeding.done():
                    feeding.result()
                await asyncio.sleep(0.005)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        # What follows the last apply, progress among it, is asked for too.
        has_ended = await flows.drain(60)
    assert has_ended


async def read_windows(store, number):
    """Return (query, start) -> counters, without zeros."""
    windows = {}
    for start in await store.pane_starts([number]):
        for query, pane in (await store.pane([number], start)).items():
            if counters := {k: v for k, v in named(pane.counters).items() if v}:
                windows[query, start] = counters
    return windows


def _texts(rng, count):
    words = ["trains", "late", "delayed", "bus", "great", "awful", "city", "strike"]
    return [" ".join(rng.choices(words, k=5)) for _ in range(count)]


async def test_windows_equal_the_plain_program_and_each_post_is_counted_once(store):
    rng = random.Random(7)
    number, sink, metrics = next(_partitions), ListSink(), Metrics()
    posts = [
        make_post(i * 3, text=text, lang=rng.choice(["en", "en", "de"]))
        for i, text in enumerate(_texts(rng, 300))
    ]
    values = [encode(post) for post in posts]
    values.insert(50, b"{broken")
    values.insert(99, values[10])  # a copy
    partition = MemoryPartition(values)
    flows = make_flows(store, sink, rng, metrics=metrics)
    await run_until_applied(flows, store, {(POSTS, number): partition}, rng)

    expected = count_plainly(decode_scored(sink.values(SCORED_POSTS)))
    expected = {k: {n: v for n, v in c.items() if v} for k, c in expected.items()}
    assert await read_windows(store, number) == expected
    assert sum(c["posts"] for (q, _), c in expected.items() if q == "all") == 300
    dead = [dead_post_decoder.decode(value) for value in sink.values(DEAD_POSTS)]
    assert sorted((d.offset, d.reason) for d in dead) == [
        (50, reasons.NOT_JSON),
        (99, reasons.DUPLICATE),
    ]
    totals = (await store.partition_state(number)).totals
    assert totals["counted"] + totals[f"dead:{POSTS}"] == len(values)
    last = progress_decoder.decode(sink.values(PROGRESS)[-1])
    assert last.cursor == len(values) - 1
    assert last.watermark == max(p.claimed_at for p in posts) - timedelta(seconds=30)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 64),
    in_flight=st.integers(1, 6),
    fault_share=st.sampled_from([0.0, 0.1]),
)
def test_any_order_batch_size_and_faults_give_the_same_windows(
    redis_server, seed, batch, in_flight, fault_share
):
    async def run_both() -> None:
        store = RedisStore(
            RedisSettings(url=redis_server.url), Horizons.of(WindowSettings(), WorkerSettings())
        )
        rng = random.Random(seed)
        texts = _texts(random.Random(1), 120)
        plain = [encode(make_post(i * 2, text=text)) for i, text in enumerate(texts)]
        # shuffled within the allowed lateness: 30 s are fifteen posts
        order = sorted(range(len(plain)), key=lambda i: i + rng.random() * 15)
        shuffled = [plain[i] for i in order]
        windows = []
        for values, size, share in ((plain, 7, 0.0), (shuffled, batch, fault_share)):
            number = next(_partitions)
            worker = WorkerSettings(
                max_batch_posts=size,
                max_batch_age_ms=2,
                max_in_flight_batches=in_flight,
                max_in_flight_posts=200,
            )
            flaky = FlakyStore(store, rng, share)
            sink = ListSink(failures_left=2 if share else 0)
            flows = make_flows(flaky, sink, rng, worker)
            await run_until_applied(flows, store, {(POSTS, number): MemoryPartition(values)}, rng)
            windows.append(await read_windows(store, number))
        await store.close()
        assert windows[0] == windows[1]
        assert sum(c["posts"] for (q, _), c in windows[1].items() if q == "all") == 120

    asyncio.run(run_both())


async def test_a_writer_whose_records_another_has_counted_calls_none_of_them_a_copy(store):
    rng = random.Random(5)
    number, metrics, sink = next(_partitions), Metrics(), ListSink()
    values = [encode(make_post(i)) for i in range(40)]
    slept = make_flows(store, sink, rng, metrics=metrics)
    unread = MemoryPartition(values)
    await slept.assign({(POSTS, number): unread.control()})
    while slept.cursor(POSTS, number) is None:  # noqa: ASYNC110 it tells nobody
        await asyncio.sleep(0.001)
    awake = make_flows(store, ListSink(), rng)
    await run_until_applied(awake, store, {(POSTS, number): MemoryPartition(values)}, rng)

    await slept.offer(POSTS, number, unread.fetch(40))
    while not _refused(metrics, number):  # noqa: ASYNC110 nor does this
        await asyncio.sleep(0.001)
    assert await slept.drain(60)
    assert sink.values(DEAD_POSTS) == []
    assert (await store.partition_state(number)).totals["counted"] == 40


def _refused(metrics, number):
    labels = {"partition": str(number)}
    return metrics.registry.get_sample_value("groundswell_applies_refused_total", labels)


class Meddled(FlakyStore):
    """Another owner applies the next posts under the writer's nose, twice."""

    async def apply(self, partition, batch):
        if self.faults < 2 and batch.expected >= 60 * self.faults:
            self.faults += 1
            others = ApplyBatch(POSTS, batch.expected, batch.expected + 5, totals={"counted": 5})
            await self._store.apply(partition, others)
        return await self._store.apply(partition, batch)


async def test_a_refused_apply_goes_back_to_the_stored_cursor_and_counts_nothing_twice(store):
    rng = random.Random(3)
    number, metrics = next(_partitions), Metrics()
    partition = MemoryPartition([encode(make_post(i)) for i in range(200)])
    meddled = Meddled(store, rng, 0.0)
    flows = make_flows(meddled, ListSink(), rng, metrics=metrics)
    await run_until_applied(flows, store, {(POSTS, number): partition}, rng)
    assert _refused(metrics, number) == meddled.faults == 2
    assert len(partition.seeks) >= 3
    assert (await store.partition_state(number)).totals["counted"] == 200


@pytest.mark.parametrize("instead", ["refused", "applied", "unavailable"])
async def test_a_flow_whose_apply_ends_in_the_moment_it_is_stopped_ends_too(store, instead):
    rng = random.Random(9)
    number = next(_partitions)
    applying = asyncio.Event()

    class SwallowsCancellation(FlakyStore):
        async def apply(self, partition, batch):
            applying.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if instead == "applied":
                    return await self._store.apply(partition, batch)
                if instead == "refused":
                    raise CursorConflict(partition, batch.topic, batch.expected, 7) from None
                raise StoreUnavailable("asked to fail") from None

    flows = make_flows(SwallowsCancellation(store, rng, 0.0), ListSink(), rng)
    partition = MemoryPartition([encode(make_post(i)) for i in range(3)])
    feeding = asyncio.create_task(feed(flows, {(POSTS, number): partition}, rng))
    async with asyncio.timeout(60):
        await applying.wait()
        feeding.cancel()
        await flows.revoke([(POSTS, number)])
    await asyncio.gather(feeding, return_exceptions=True)
    assert flows.assigned == ()


async def test_a_look_up_that_ends_in_the_moment_of_a_refusal_starts_no_batch(store):
    rng = random.Random(9)
    number, metrics = next(_partitions), Metrics()
    looking = asyncio.Event()

    class RefusedWhileLooking(FlakyStore):
        async def seen(self, partition, lookups, first=None, applied=-1):
            found = await self._store.seen(partition, lookups, first, applied)
            if first and not looking.is_set():
                looking.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return found

        async def apply(self, partition, batch):
            if batch.expected == -1 and not self.faults:
                self.faults += 1
                await looking.wait()
                raise CursorConflict(partition, batch.topic, batch.expected, 7)
            return await self._store.apply(partition, batch)

    flows = make_flows(
        RefusedWhileLooking(store, rng, 0.0),
        ListSink(),
        rng,
        WorkerSettings(max_batch_posts=4, max_batch_age_ms=5),
        metrics=metrics,
    )
    partition = MemoryPartition([encode(make_post(i)) for i in range(40)])
    await run_until_applied(flows, store, {(POSTS, number): partition}, rng)
    assert looking.is_set()
    assert _refused(metrics, number) == 1
    assert (await store.partition_state(number)).totals["counted"] == 40


async def test_a_copy_looked_up_while_its_original_is_applied_is_no_post(store):
    rng = random.Random(9)
    number, sink = next(_partitions), ListSink()
    looked = asyncio.Event()

    class AnswersLate(FlakyStore):
        """The look-up of the copy is answered before the apply, and read after it."""

        async def seen(self, partition, lookups, first=None, applied=-1):
            found = await self._store.seen(partition, lookups, first, applied)
            if first == 4:
                looked.set()
                # The last that is told of a batch: by then its ids are no longer in flight.
                while not sink.values(PROGRESS):  # noqa: ASYNC110 it tells nobody
                    await asyncio.sleep(0.001)
            return found

        async def apply(self, partition, batch):
            await looked.wait()
            return await self._store.apply(partition, batch)

    worker = WorkerSettings(max_batch_posts=4, max_batch_age_ms=5)
    flows = make_flows(AnswersLate(store, rng, 0.0), sink, rng, worker)
    values = [encode(make_post(i)) for i in range(7)]
    values.insert(5, values[0])
    topics = {(POSTS, number): MemoryPartition(values)}
    await run_until_applied(flows, store, topics, AllAtOnce())
    assert (await store.partition_state(number)).totals["counted"] == 7
    letters = [dead_post_decoder.decode(value) for value in sink.values(DEAD_POSTS)]
    assert [(d.offset, d.reason) for d in letters] == [(5, reasons.DUPLICATE)]


async def test_a_copy_is_not_scored_as_a_post_because_the_store_was_emptied(store, redis_server):
    rng = random.Random(9)
    number, sink = next(_partitions), ListSink()
    worker = WorkerSettings(max_batch_posts=4, max_batch_age_ms=5)
    flows = make_flows(store, sink, rng, worker)
    values = [encode(make_post(i)) for i in range(4)]
    partition = MemoryPartition([*values, values[0]])
    await flows.assign({(POSTS, number): partition.control()})
    while flows.cursor(POSTS, number) is None:  # noqa: ASYNC110 it tells nobody
        await asyncio.sleep(0.001)
    await flows.offer(POSTS, number, partition.fetch(4))
    while flows.cursor(POSTS, number) != 3:  # noqa: ASYNC110 nor this
        await asyncio.sleep(0.001)
    with redis.Redis.from_url(redis_server.url) as client:
        for key in client.scan_iter(match=f"{{{number}}}:*"):
            client.delete(key)
    await flows.offer(POSTS, number, partition.fetch(1))
    while partition.seeks[-1] != 0 or len(partition.seeks) < 2:  # noqa: ASYNC110 nor this
        await asyncio.sleep(0.001)
    topics = {(POSTS, number): partition}
    await run_until_applied(flows, store, topics, rng)
    scored = [record for _, record in sink.records[SCORED_POSTS]]
    offsets = {dict(record.headers)["source-offset"] for record in scored}
    assert offsets == {b"0", b"1", b"2", b"3"}


async def test_a_second_run_over_the_same_topic_changes_nothing(store):
    rng = random.Random(5)
    number = next(_partitions)
    values = [encode(make_post(i)) for i in range(60)]
    for _ in range(2):
        flows = make_flows(store, ListSink(), rng)
        topics = {(POSTS, number): MemoryPartition(values)}
        await run_until_applied(flows, store, topics, rng)
    assert (await store.partition_state(number)).totals["counted"] == 60


async def test_records_that_the_topic_lost_are_counted_as_a_gap_and_the_rest_goes_on(store):
    rng = random.Random(5)
    number, metrics = next(_partitions), Metrics()
    values = [encode(make_post(i)) for i in range(40)]
    flows = make_flows(store, ListSink(), rng, metrics=metrics)
    topics = {(POSTS, number): MemoryPartition(values, first_offset=100)}
    await run_until_applied(flows, store, topics, rng)
    gap = metrics.registry.get_sample_value(
        "groundswell_offset_gap_posts_total", {"partition": str(number)}
    )
    assert gap == 100
    assert (await store.partition_state(number)).totals["counted"] == 40


async def test_a_post_that_the_scorer_cannot_take_is_found_and_kept_as_a_letter(store):
    rng = random.Random(5)
    number, sink = next(_partitions), ListSink()
    values = [encode(make_post(i)) for i in range(50)]
    values[23] = encode(make_post(23, text="POISON pill"))
    flows = make_flows(store, sink, rng, poison="POISON")
    await run_until_applied(flows, store, {(POSTS, number): MemoryPartition(values)}, rng)
    dead = [dead_post_decoder.decode(value) for value in sink.values(DEAD_POSTS)]
    assert [(d.offset, d.reason) for d in dead] == [(23, reasons.SCORER_REFUSED)]
    assert (await store.partition_state(number)).totals["counted"] == 49


class SpoilingScorer(FakeScorer):
    """Spoils the rows whose texts say so, before the edge."""

    async def score_batch(self, texts, langs):
        rows = [row for row, text in enumerate(texts) if "SPOILT" in text]
        self.faults.spoil = lambda answer: spoil_rows("nan", answer, rows)
        return await super().score_batch(texts, langs)


async def test_posts_and_edits_with_wrong_scores_are_letters_and_nothing_else_is(store):
    rng = random.Random(5)
    number, sink, metrics = next(_partitions), ListSink(), Metrics()
    posts = [make_post(i, text="late again", lang="en") for i in range(50)]
    for spoilt in (7, 23):
        posts[spoilt] = make_post(spoilt, text="late SPOILT", lang="en")
    events = [
        make_event("edit", 1, text="on time, SPOILT", lang="en"),
        make_event("edit", 2, text="on time", lang="en"),
        make_event("like", 3),
    ]
    flows = make_flows(store, sink, rng, metrics=metrics, scorer=SpoilingScorer())
    topics = {
        (POSTS, number): MemoryPartition([encode(post) for post in posts]),
        (POST_EVENTS, number): MemoryPartition([encode(event) for event in events]),
    }
    await run_until_applied(flows, store, topics, rng)
    dead = [dead_post_decoder.decode(value) for value in sink.values(DEAD_POSTS)]
    assert sorted((d.topic, d.offset, d.reason) for d in dead) == [
        (POST_EVENTS, 0, reasons.INVALID_SCORE),
        (POSTS, 7, reasons.INVALID_SCORE),
        (POSTS, 23, reasons.INVALID_SCORE),
    ]
    for letter in dead:
        assert "NaN, expected numbers in [0, 1]" in letter.detail
        assert "SPOILT" not in letter.detail
        assert b"SPOILT" in letter.payload
    totals = (await store.partition_state(number)).totals
    assert totals["counted"] == 48
    assert totals["dead:posts"] == 2
    assert totals["events"] == 2
    assert totals["dead:post-events"] == 1
    # The post of the edit that has no scores counts as it was: it still matches.
    panes = await read_windows(store, number)
    assert sum(counters["posts"] for (query, _), counters in panes.items() if query == "late") == 47
    value = metrics.registry.get_sample_value
    labels = {"reason": reasons.INVALID_SCORE, "stage": "worker"}
    assert value("groundswell_dead_posts_total", labels) == 3


async def test_a_number_that_got_past_the_edge_stops_the_worker_and_reaches_no_pane(store):
    class Unchecked(HashScorer):
        async def score_batch(self, texts, langs):
            scores = await super().score_batch(texts, langs)
            scores.heads["emotion"][0, 0] = np.nan
            return scores

    rng = random.Random(5)
    number, sink = next(_partitions), ListSink()
    flows = make_flows(store, sink, rng, scorer=Unchecked(rng))
    topics = {(POSTS, number): MemoryPartition([encode(make_post(i)) for i in range(20)])}
    feeding = asyncio.create_task(feed(flows, topics, rng))
    with pytest.raises(FatalError) as stopped:
        await feeding
    found = stopped.value.__cause__
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    assert "head emotion of hash-1 has 1 numbers outside [0, 1]" in str(found)
    await flows.drain(60)
    assert await read_windows(store, number) == {}
    assert sink.values(SCORED_POSTS) == []


async def test_deletions_and_edits_reach_the_windows_in_any_order_of_topics(store):
    rng = random.Random(11)
    posts = [make_post(i, text="trains are late") for i in range(6)]
    events = [
        make_event("delete", 1),
        make_event("edit", 2, text="the bus is fine", lang="en"),
        make_event("like", 3),
    ]
    windows = []
    # Post by post, the events have waited through applies that tell the watermark first.
    for events_first, size in ((False, 16), (True, 16), (True, 1)):
        number = next(_partitions)
        worker = WorkerSettings(max_batch_posts=size, max_batch_age_ms=5)
        topics = {
            (POSTS, number): MemoryPartition([encode(post) for post in posts]),
            (POST_EVENTS, number): MemoryPartition([encode(event) for event in events]),
        }
        order = sorted(topics, reverse=not events_first)
        for key in order:
            flows = make_flows(store, ListSink(), rng, worker)
            await run_until_applied(flows, store, {key: topics[key]}, rng)
        windows.append(await read_windows(store, number))
        totals = (await store.partition_state(number)).totals
        assert (totals["removed"], totals["edited"], totals["events"]) == (1, 1, 3)
    assert windows[0] == windows[1] == windows[2]
    start = int(NOON.timestamp())
    assert windows[0]["all", start]["posts"] == 5
    assert windows[0]["trains", start]["posts"] == 4
    assert windows[0]["late", start]["posts"] == 4


async def test_a_full_partition_is_paused_and_resumed(store):
    rng = random.Random(2)
    number = next(_partitions)
    worker = WorkerSettings(max_batch_posts=2, max_batch_age_ms=1, max_in_flight_posts=4)
    partition = MemoryPartition([encode(make_post(i)) for i in range(400)])
    paused = []
    control = partition.control()
    original = control.pause

    def pause() -> None:
        paused.append(partition.position)
        original()

    object.__setattr__(control, "pause", pause)
    partition.control = lambda: control  # type: ignore[method-assign]
    flows = make_flows(store, ListSink(), rng, worker)
    await run_until_applied(flows, store, {(POSTS, number): partition}, rng)
    assert paused
    assert not partition.paused
    assert (await store.partition_state(number)).totals["counted"] == 400
