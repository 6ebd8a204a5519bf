"""The texts that responses show, by event, and what the responder must know after a restart.

Texts are here and nowhere else: a response names posts, and whoever deletes a post takes its text
from all events at once (`response_gone.lua`). A deletion that comes before the text stays one.

Every write is numbered in Redis. If Redis has fewer writes than it has acknowledged to this
process, it lost some: writes are refused with `StoreWentBack` until `begin` is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import StoreWentBack
from core.logs import get_logger
from stream.store import keys
from stream.store.client import answers, is_wrong_value, redis_faults
from stream.store.scripts import Script, Together, Word

_log = get_logger(__name__)

MAX_GONE: Final = 100_000
"""Deletions that are remembered, a hundred bytes each."""
_TEXT: Final = b"t:"
_GENERATION: Final = "response_generation"
_AT_ONCE: Final = 64
_TYPES: Final = {keys.RESPONDER: "hash", keys.RESPONSE_EVENTS: "zset", keys.GONE: "zset"}


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What is kept of an event.

    Attributes:
        event: The post that takes off, as `post_name` writes it.
        response: The last response, as it was published.
        texts: Post -> text, of those that are not deleted.
    """

    event: str
    response: bytes
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


def post_name(source: str, post_id: str) -> str:
    """Return the name of a post over all sources.

    Example:
        >>> post_name("bluesky", "p1")
        'bluesky|p1'
    """
    return f"{source}|{post_id}"


class ResponseTexts:
    """The part of the store that is about responses; `RedisStore.responses` is one.

    Args:
        client: The store's connection.
    """

    def __init__(self, client: Any) -> None:
        self._redis = client
        self._put = Script(client, _GENERATION, "response_put")
        self._gone = Script(client, _GENERATION, "response_gone")
        self._keep = Script(client, _GENERATION, "response_keep")
        self._generation = 0
        self._together = Together(client)

    async def put(
        self, stored: StoredResponse, *, now_ms: int, keep_ms: int, most: int
    ) -> tuple[int, int]:
        """Keep a response and exactly these texts with it.

        Args:
            stored: What is kept.
            now_ms: The present time, ms since 1970.
            keep_ms: How long it is kept.
            most: How many events are kept; the one whose response is oldest goes first.

        Returns:
            How many texts were left out, as their posts are deleted; how many events had to go.

        Raises:
            StoreUnavailable: Redis does not answer.
            StoreWentBack: Redis has lost what it had acknowledged; nothing is kept.
        """
        listed: list[bytes | str | int] = [stored.event, stored.response, now_ms, keep_ms, most]
        for post, text in stored.texts.items():
            listed += (post, text.encode("utf-8", "replace"))
        left_out, dropped = await self._write(self._put, keys.response_texts(stored.event), listed)
        return left_out, dropped

    async def gone(self, posts: Sequence[str], *, now_ms: int, keep_ms: int) -> int:
        """Remove the texts of deleted posts everywhere, and what was said to them.

        Args:
            posts: The posts, as `post_name` writes them.
            now_ms: The present time, ms since 1970.
            keep_ms: For how long a text that comes after its deletion is refused.

        Returns:
            How many texts were removed.

        Raises:
            StoreUnavailable: Redis does not answer.
            StoreWentBack: Redis has lost what it had acknowledged; nothing more is removed.
        """
        removed = 0
        for first in range(0, len(posts), _AT_ONCE):
            some = posts[first : first + _AT_ONCE]
            (number,) = await self._write(self._gone, keys.GONE, [now_ms, keep_ms, MAX_GONE, *some])
            removed += number
        return removed

    async def events(self, last: int = -1) -> list[StoredResponse]:
        """Return the events that are kept, the one with the newest response first.

        Args:
            last: So many of them; -1 is all.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        async with redis_faults():
            names: list[bytes] = await self._redis.zrange(
                keys.RESPONSE_EVENTS, 0, last - 1 if last > 0 else -1, desc=True
            )
        found: list[StoredResponse] = []
        for first in range(0, len(names), _AT_ONCE):
            some = [name.decode(errors="replace") for name in names[first : first + _AT_ONCE]]
            pipe = self._redis.pipeline(transaction=False)
            for name in some:
                pipe.hgetall(keys.response_texts(name))
            for name, fields in zip(some, await answers(pipe), strict=True):
                if not is_wrong_value(fields) and b"response" in fields:
                    found.append(StoredResponse(name, fields[b"response"], _texts(fields)))
        return found

    async def event(self, event: str) -> StoredResponse | None:
        """Return what is kept of an event, None if nothing is.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(keys.response_texts(event))
        (fields,) = await answers(pipe)
        if is_wrong_value(fields) or b"response" not in fields:
            return None
        return StoredResponse(event, fields[b"response"], _texts(fields))

    async def forget_all(self) -> int:
        """Remove every event with its texts; return how many there were.

        For deletions that can be known no more.
        """
        events = await self.events()
        async with redis_faults():
            for one in events:
                gone = [*map(keys.response_where, one.texts), keys.response_texts(one.event)]
                await self._together(
                    keys.RESPONSE_EVENTS,
                    *(("DEL", key) for key in gone),
                    ("ZREM", keys.RESPONSE_EVENTS, one.event),
                )
        return len(events)

    async def heal(self) -> None:
        """Remove keys of another type than ours have; what they held is made anew.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        for key, expected in _TYPES.items():
            async with redis_faults():
                found: bytes = await self._redis.type(key)
                if found.decode() not in (expected, "none"):
                    _log.error("a key of another type is removed", key=key, found=found.decode(),
                               expected=expected)  # fmt: skip
                    await self._redis.delete(key)

    async def begin(self) -> None:
        """Take what Redis has now for whole; to be called before it is read.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        self._generation = 0
        await self._write(self._keep, keys.RESPONDER, ())

    async def known(self) -> dict[str, bytes]:
        """Return what the responder has kept of itself by `keep`."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(keys.RESPONDER)
        (stored,) = await answers(pipe)
        if is_wrong_value(stored):
            return {}
        found: Mapping[bytes, bytes] = stored
        return {name.decode(errors="replace"): value for name, value in found.items()}

    async def keep(self, fields: Mapping[str, bytes | int]) -> None:
        """Keep what the responder must know after a restart, all of it at once.

        Nothing is a call too: it asks whether Redis still has what it had.

        Raises:
            StoreUnavailable: Redis does not answer.
            StoreWentBack: Redis has lost what it had acknowledged; nothing is kept.
        """
        listed = [word for field in fields.items() for word in field]
        await self._write(self._keep, keys.RESPONDER, listed)

    async def _write(self, script: Script, key: str, words: Sequence[Word]) -> list[int]:
        """Run a script unless Redis went back; return its answer without the generation."""
        async with redis_faults():
            answer = [int(one) for one in await script(key, [self._generation, *words])]
        if not answer[0]:
            raise StoreWentBack("redis has lost responses, texts or deletions that it had")
        self._generation = answer[0]
        return answer[1:]


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.removeprefix(_TEXT).decode(errors="replace"): text.decode(errors="replace")
        for name, text in fields.items()
        if name.startswith(_TEXT)
    }
