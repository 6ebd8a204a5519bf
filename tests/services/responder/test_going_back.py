"""A responder on a real store that goes back; what is said comes from memory."""

from typing import Any

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.config import build
from core.errors import StoreWentBack
from core.metrics import Metrics
from services.bootstrap import make_store
from services.kafka_client.messages import Record
from services.local.redis_server import RedisServer
from services.responder.process import ResponderLoop, make_parts
from services.responder.reading import ReadSoFar
from stream.store import keys
from stream.topics import EVENTS, POST_EVENTS, POSTS
from testkit.builders import NOON
from testkit.responses import MemoryTopic
from tests.services.responder.said import NOON_S, event_of, post_of, take_off

pytestmark = pytest.mark.integration


class SaidBefore:
    """Brings all that was said, anew after each `begin`; deletions from where they were done."""

    def __init__(self) -> None:
        self.cluster_id, self.missed = "cluster", 0
        self.said: list[tuple[str, Any]] = []
        self._is_new, self._done, self._upto = True, 0, 0

    async def begin(self, _since_ms: int, deletions: dict[int, int]) -> None:
        self._done, self._upto = 0, deletions.get(0, 0)

    async def poll(self, _timeout_s: float) -> ReadSoFar:
        if self._is_new:
            self._is_new = False
            return ReadSoFar(True, True, False, {}, {}, {})
        found: dict[str, list[Any]] = {}
        for at, (topic, said) in enumerate(self.said[self._done :], self._done):
            if topic != POST_EVENTS or at >= self._upto:
                found.setdefault(topic, []).append(
                    Record(0, at, b"", encode(said), (), round(NOON_S * 1000))
                )
        self._done = len(self.said)
        return ReadSoFar(True, False, True, found, {}, {0: self._done})


@pytest.mark.parametrize("loses", ["the last writes", "everything"])
async def test_who_runs_does_again_what_the_store_lost(
    redis_server: RedisServer, loses: str
) -> None:
    settings = build({
        "redis": {"url": redis_server.url.removesuffix("/0") + "/10"},
        "responder": {"kind": "fake", "memory_s": 3_600},
    })  # fmt: skip
    clock, metrics, topic, reader = ManualClock(NOON), Metrics(), MemoryTopic(), SaidBefore()
    store: Any = make_store(settings)
    texts = store.responses
    stub: Any = reader
    loop = ResponderLoop(make_parts(settings, store, topic, None, clock, metrics), store, stub)
    client = texts._redis
    await client.flushdb()
    reader.said = [
        (POSTS, post_of("p", 0, "words")),
        (POSTS, post_of("a", 1, "one", root="p")),
        (POSTS, post_of("b", 2, "other", root="p")),
        (EVENTS, take_off("p", 5)),
    ]
    try:
        for _ in range(3):
            await loop.turn(0)
        names = [name async for name in client.scan_iter("{responder}:*")]
        before = {name: await client.dump(name) for name in names}
        (shown,) = await texts.events()
        assert len(shown.texts) == 3
        reader.said.append((POST_EVENTS, event_of("delete", "a", 9)))
        clock.advance(10)
        await loop.turn(0)
        (without,) = await texts.events()
        assert len(without.texts) == 2

        for name in [name async for name in client.scan_iter("{responder}:*")]:
            await client.delete(name)
        for name, value in before.items() if loses == "the last writes" else ():
            await client.restore(name, 0, value)
        assert bool(await texts.known()) == (loses == "the last writes")
        clock.advance(10)
        with pytest.raises(StoreWentBack):
            await loop.turn(0)
        for _ in range(3):
            await loop.turn(0)
            clock.advance(10)
        (again,) = await texts.events()
        assert again.texts == without.texts
        assert await client.zscore(keys.GONE, without.event.replace("p", "a")) is not None
        begun = metrics.registry.get_sample_value("groundswell_responder_begun_anew_total")
        assert begun == 1
    finally:
        await store.close()
