"""The responder: follows what is posted, scored and done, and tells how people answer.

One is active, others of its group stand by. The workers neither know of it nor wait for it. Kill it
at any moment: the next one reads what it had read, and shows the same.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from core.clock import Clock, SystemClock, epoch_ms
from core.errors import StoreWentBack, TransientError
from core.giving_way import give_way
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.ports import CrowdModel, Responder
from core.retry import pause_s
from core.settings import Settings
from services.bootstrap import make_crowd, make_responder, make_store
from services.responder.at_work import ResponderAtWork, ResponderParts, deletions_upto
from services.responder.crowd_asking import CrowdAsking
from services.responder.generating import Generation
from services.responder.publishing import KafkaResponses, ResponsePublisher, ResponseTopic
from services.responder.reading import ReadSoFar, ResponderReader
from services.stopping import until_signalled, wait
from stream.store.redis_store import RedisStore
from stream.topics import POSTS

_log = get_logger(__name__)

POLL_S: Final = 0.2
_LOOK_EVERY_S: Final = 1.0
READ_BACK: Final = 3
"""So many times `responder.memory_s` is read anew: replies come from so long before their event,
it is followed for so long, and its replies are learnt from so long after."""


class ResponderLoop:
    """Drives a responder from its group membership until told to stop.

    Args:
        parts: What it is made of while it is active.
        store: The store.
        reader: The membership, and the reading.

    Attributes:
        work: What it does while it is active; None while it stands by.
    """

    def __init__(self, parts: ResponderParts, store: RedisStore, reader: ResponderReader) -> None:
        self._parts = parts
        self._store = store
        self._reader = reader
        self.work: ResponderAtWork | None = None
        self.is_caught_up = False
        self._looked_at_s = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; waits out whatever is away.

        Raises:
            ConfigError: The broker or the store is another's.
        """
        attempt, rng = 0, random.Random()
        while not stop.is_set():
            try:
                await self.turn(POLL_S)
                attempt = 0
            except TransientError as error:
                if attempt == 0:
                    _log.warning("waiting", reason=str(error))
                self._parts.metrics.responder_retries.inc()
                await wait(stop, pause_s(attempt, rng))
                attempt += 1

    async def turn(self, timeout_s: float) -> None:
        """Read once, and tell what is new.

        Raises:
            TransientError: Broker or store do not answer.
        """
        read = await self._reader.poll(timeout_s)
        self._parts.metrics.responder_active.set(read.is_active)
        if not read.is_active:
            self.work, self.is_caught_up = None, False
            return
        if read.is_new:
            self.work, self.is_caught_up = None, False
            await self._begin()
            return
        if self.work is None:  # its beginning has failed
            await self._begin()
            return
        self.work.take(read)
        await self._look_around(read)
        await self._forget_what_was_missed()
        await self._tell(self.work, read)
        self.is_caught_up = read.is_caught_up

    async def _tell(self, work: ResponderAtWork, read: ReadSoFar) -> None:
        """Tell what is new; begin anew if Redis no longer has what was told before."""
        try:
            await work.tell(read)
        except StoreWentBack:
            self.work, self.is_caught_up = None, False
            self._parts.metrics.responder_begun_anew.inc()
            raise

    async def _begin(self) -> None:
        await self._store.identity.claim(self._reader.cluster_id)
        await self._store.responses.heal()
        await self._store.responses.begin()
        known = await self._store.responses.known()
        past = await self._store.responses.events()
        memory_ms = self._parts.settings.memory_s * 1000
        since_ms = epoch_ms(self._parts.clock.now()) - READ_BACK * memory_ms
        await self._reader.begin(since_ms, deletions_upto(known))
        self.work = ResponderAtWork(self._parts, known, past, since_ms)
        _log.info("events are followed", kept=len(past))

    async def _look_around(self, read: ReadSoFar) -> None:
        """Look whether what is stored is of this cluster, and how long posts wait to be counted.

        Raises:
            ConfigError: It is of another.
        """
        now_s = self._parts.clock.monotonic()
        if now_s - self._looked_at_s < _LOOK_EVERY_S:
            return
        await self._store.identity.claim(self._reader.cluster_id)
        states, _ = await self._store.readable_states(read.posts_ends)
        counted = {number: state.cursors[POSTS] + 1 for number, state in states.items()}
        self._parts.generation.pacer.delay.look(read.posts_ends, counted, now_s)
        self._looked_at_s = now_s

    async def _forget_what_was_missed(self) -> None:
        """Remove all texts if deletions can be known no more."""
        missed = self._reader.missed
        if not missed:
            return
        removed = await self._store.responses.forget_all()
        self._reader.missed = 0
        self._parts.metrics.responder_missed_deletions.inc(missed)
        self._parts.metrics.response_texts_removed.labels(why="unsure").inc(removed)
        _log.error(
            "post-events no longer has what was not read: all texts are removed, as some may be of "
            "deleted posts", records=missed, events=removed,
        )  # fmt: skip


def make_parts(
    settings: Settings, store: RedisStore, topic: ResponseTopic, model: Responder | None,
    clock: Clock, metrics: Metrics, crowd: CrowdModel | None = None,
) -> ResponderParts:  # fmt: skip
    """Return what a responder is made of.

    Args:
        settings: All settings.
        store: The store.
        topic: Where responses go.
        model: What writes replies; None if nothing does.
        clock: The present time.
        metrics: The metrics of this process.
        crowd: What is asked about crowds; None: the usual shares are all there is.
    """
    asked, texts = settings.responder, store.responses
    return ResponderParts(
        asked, texts, ResponsePublisher(topic, texts, asked, clock, metrics),
        Generation(model, asked, clock, metrics), CrowdAsking(crowd, asked, clock, metrics),
        clock, metrics,
    )  # fmt: skip


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the responder until `stop` is set."""
    metrics, clock = Metrics(role="responder"), SystemClock()
    metrics.serve(settings.metrics.address, settings.metrics.port)
    store, model, crowd = make_store(settings), make_responder(settings), make_crowd(settings)
    topic, reader = KafkaResponses(settings.kafka), ResponderReader(settings)
    parts = make_parts(settings, store, topic, model, clock, metrics, crowd)
    try:
        await ResponderLoop(parts, store, reader).run(stop)
    finally:
        await reader.close()
        await parts.generation.close()
        await topic.close()
        for one in (model, crowd):
            if one is not None:
                await one.close()
        await store.close()


def main(settings: Settings) -> None:
    """Run a responder process until SIGTERM or SIGINT."""
    set_up(settings.log, "responder")
    give_way()
    asyncio.run(until_signalled(lambda stop: run(settings, stop)))
