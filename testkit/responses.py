"""The topic `responses` and the store of texts in memory; either can be away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.errors import BrokerUnavailable, StoreUnavailable
from core.forecast_schemas import ForecastEvent
from core.response_schemas import Response
from stream.store.response_texts import StoredResponse


class MemoryTopic:
    """Satisfies `services.responder.publishing.ResponseTopic`.

    Attributes:
        told: What was acknowledged.
        events: The same, of turns of crowds.
        is_away: Nothing is.
        is_deaf: What is sent is written, and no acknowledgement comes.
    """

    def __init__(self) -> None:
        self.is_deaf = False
        self.told: list[Response] = []
        self.events: list[ForecastEvent] = []
        self.is_away = False

    async def send(self, response: Response) -> None:
        """See `ResponseTopic.send`."""
        if self.is_away:
            raise BrokerUnavailable("the topic in memory was told to be away")
        self.told.append(response)

    async def send_event(self, event: ForecastEvent) -> None:
        """See `ResponseTopic.send_event`."""
        if self.is_away:
            raise BrokerUnavailable("the topic in memory was told to be away")
        self.events.append(event)
        if self.is_deaf:
            raise BrokerUnavailable("the topic in memory was told not to acknowledge")


class MemoryTexts:
    """What `stream.store.response_texts.ResponseTexts` does, without its limits.

    Attributes:
        is_away: Every call finds the store away.
    """

    def __init__(self) -> None:
        self._events: dict[str, StoredResponse] = {}
        self._gone: set[str] = set()
        self._fields: dict[str, bytes] = {}
        self.is_away = False

    def words(self) -> str:
        """Return all texts that are kept."""
        return " ".join(text for one in self._events.values() for text in one.texts.values())

    def kept_fields(self) -> dict[str, bytes]:
        """Return what was kept by `keep`."""
        return dict(self._fields)

    async def put(
        self, stored: StoredResponse, *, now_ms: int, keep_ms: int, most: int
    ) -> tuple[int, int]:
        """See `ResponseTexts.put`."""
        self._must_be_there()
        texts = {name: text for name, text in stored.texts.items() if name not in self._gone}
        self._events[stored.event] = StoredResponse(stored.event, stored.response, texts)
        return len(stored.texts) - len(texts), 0

    async def gone(self, posts: Sequence[str], *, now_ms: int, keep_ms: int) -> int:
        """See `ResponseTexts.gone`."""
        self._must_be_there()
        before = sum(len(one.texts) for one in self._events.values())
        self._gone.update(posts)
        for name, one in list(self._events.items()):
            texts = {post: text for post, text in one.texts.items() if post not in self._gone}
            self._events[name] = StoredResponse(name, one.response, texts)
        return before - sum(len(one.texts) for one in self._events.values())

    async def event(self, event: str) -> StoredResponse | None:
        """See `ResponseTexts.event`."""
        self._must_be_there()
        return self._events.get(event)

    async def keep(self, fields: Mapping[str, bytes | int]) -> None:
        """See `ResponseTexts.keep`."""
        self._must_be_there()
        for name, value in fields.items():
            self._fields[name] = value if isinstance(value, bytes) else str(value).encode()

    def _must_be_there(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the store in memory was told to be away")
