"""The source `webhook`: listens, checks, hands on, and answers once Kafka has it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, ClassVar, Final

import msgspec
from aiohttp import web

from core.authors import author_hasher
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.base import Cursor, SourceContext, SourceItem, Unmappable
from services.ingest.sources.listener import Listener
from services.ingest.sources.live import LiveSource
from services.ingest.sources.memory_file import has_reached
from services.ingest.sources.webhook.options import WebhookOptions
from services.ingest.sources.webhook.parse import (
    SOURCE,
    Mapper,
    Refusal,
    json_schema,
    parse_body,
    unmappable,
)
from services.ingest.sources.webhook.requests import Requests, Waiting
from services.ingest.sources.webhook.signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    fault_of,
)

POSTS_PATH: Final = "/v1/posts"
SCHEMA_PATH: Final = "/v1/schema"
KEY_HEADER: Final = "Idempotency-Key"
MAX_KEY_CHARS: Final = 200
_TICK_S: Final = 0.25
_MAX_CONNECTIONS: Final = 512


class WebhookSource(LiveSource[WebhookOptions]):
    """Posts and events that others push: signed requests, answered when Kafka has them.

    A request is taken whole or not at all. It is put off (429) while the buffer is full, so nothing
    is lost that was accepted; one that comes again is answered as before.

    Cursor: `n`, the number of the last item; it moves with the last one of a request, since a
    request of which Kafka has a part comes again as a whole.
    """

    name: ClassVar[str] = SOURCE
    Options = WebhookOptions

    def __init__(self, options: WebhookOptions, context: SourceContext) -> None:
        options.check()
        super().__init__(options, context, options.limits)
        self._memory = context.state_dir / "webhook.requests.sqlite"
        self._keys = options.keys(context.secret)
        key = context.author_key if options.authors == "hashed" else Secret()
        self._mapper = Mapper(author_hasher(key), context.clock.now)
        self._requests: Requests | None = None
        self._n = 0
        self._cursor: Cursor | None = None
        self._in_work = 0
        self._listener: Listener | None = None
        self._serving: asyncio.AbstractEventLoop | None = None
        self.port = 0
        """Where it listens, once it does."""

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        self._cursor = cursor
        self._n = (cursor or {}).get("n", 0)
        self._requests = Requests(
            self._memory,
            self.options.remember_requests,
            is_fresh=cursor is None,
        )

    def acknowledged(self, cursor: Cursor) -> None:
        """Answer the requests that Kafka has."""
        if self._requests is not None:
            self._requests.acknowledged(cursor["n"], self._serving)

    def recalls(self, cursor: Cursor) -> bool:
        """Tell whether the memory went as far as this cursor."""
        return has_reached(self._memory, cursor["n"])

    def close(self) -> None:
        """Stop listening; requests that wait are cut off and come again."""
        super().close()
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    async def session(self) -> None:
        """Listen until cancelled."""
        self._serving = asyncio.get_running_loop()
        app = web.Application(client_max_size=self.options.max_body_bytes)
        app.router.add_post(POSTS_PATH, self._post)
        app.router.add_get(SCHEMA_PATH, self._schema)
        app.router.add_get("/healthz", self._health)
        self._listener = listener = Listener(
            app, shutdown_timeout=0.2, auto_decompress=False,
            # Also the time for the first line and the headers: a drip of them ends here.
            keepalive_timeout=self.options.body_timeout_s,
        )  # fmt: skip
        try:
            await listener.start(self.options.host, self.port or self.options.port)
            self.port = listener.port
            self.connected()
            self.log.info("webhook listens", host=self.options.host, port=self.port)
            while True:
                # Nobody need push anything: silence says nothing.
                self.idle.restart()
                await asyncio.sleep(_TICK_S)
        finally:
            await listener.end()

    # -- requests -----------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"buffered": len(self.inlet)})

    async def _schema(self, request: web.Request) -> web.Response:
        return web.json_response(json_schema())

    async def _post(self, request: web.Request) -> web.StreamResponse:
        connections = 0 if self._listener is None else self._listener.connections
        if self._in_work >= self.options.max_requests or connections > _MAX_CONNECTIONS:
            return self._put_off("too many requests at once")
        self._in_work += 1
        try:
            return await self._answer(request)
        finally:
            self._in_work -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if isinstance(body, web.StreamResponse):
            return body
        self.received()
        fault = fault_of(
            self._keys,
            request.headers.get(TIMESTAMP_HEADER, ""),
            request.headers.get(SIGNATURE_HEADER, ""),
            body,
            self.context.clock.now().timestamp(),
            self.options.tolerance_s,
        )
        if fault:
            return _error(401, "unauthorized", fault)
        body_hash = hashlib.sha256(body).digest()
        key = request.headers.get(KEY_HEADER, "") or f"body:{body_hash.hex()}"
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            return _error(
                400, "invalid", f"expected at most {MAX_KEY_CHARS} characters", KEY_HEADER
            )
        return await self._take(key, body, body_hash)

    async def _body(self, request: web.Request) -> bytes | web.Response:
        """Return the body as it was sent, or why it is not read."""
        limit = self.options.max_body_bytes
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _error(415, "unsupported", "expected a body that is not compressed")
        if request.content_length is not None and request.content_length > limit:
            return _error(413, "too_large", f"expected at most {limit} bytes")
        try:
            async with asyncio.timeout(self.options.body_timeout_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "too_large", f"expected at most {limit} bytes")
        except TimeoutError:
            return _error(408, "timeout", "the body did not come in time")

    async def _take(self, key: str, body: bytes, body_hash: bytes) -> web.Response:
        """Deliver a request that is to be trusted, unless it was here before."""
        if self._requests is None:
            return self._put_off("stopping")
        known = self._requests.find(key) or self._requests.waiting(key)
        if known is not None:
            self.repeated()
            if known.body_hash != body_hash:
                return _error(422, "key_reused", "this key came with another body", KEY_HEADER)
            if isinstance(known, Waiting):
                return await self._await_kafka(known)
            return _accepted(known.accepted)
        given = parse_body(body, self.options.max_items)
        if isinstance(given, Refusal):
            if not self.inlet.is_full:
                await self._hand_on([unmappable(body, given)], len(body))
            return _error(400, "invalid", given.expected, given.field)
        records = self._mapper.records(given)
        if self.inlet.is_full or (
            len(self.inlet) and len(self.inlet) + len(records) > self.limits.max_buffered_items
        ):
            return self._put_off("the buffer is full")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = Waiting(key, body_hash, len(records), self._n + len(records), done)
        self._requests.add(waiting)
        await self._hand_on(records, len(body))
        return await self._await_kafka(waiting)

    async def _hand_on(
        self, records: list[Post | PostEvent] | list[Unmappable], size_bytes: int
    ) -> None:
        """Deliver records; nothing is awaited before they are in the buffer, which had room."""
        items = [SourceItem(record, self._cursor) for record in records[:-1]]
        self._n += len(records)
        self._cursor = {"n": self._n}
        items.append(SourceItem(records[-1], self._cursor))
        await self.deliver(items, size_bytes)

    async def _await_kafka(self, waiting: Waiting) -> web.Response:
        try:
            async with asyncio.timeout(self.options.acknowledge_timeout_s):
                await asyncio.shield(waiting.done)
        except TimeoutError:
            return self._put_off("Kafka has not acknowledged yet: send it again", 503)
        return _accepted(waiting.accepted)

    def _put_off(self, why: str, status: int = 429) -> web.Response:
        answer = _error(status, "later", why)
        answer.headers["Retry-After"] = str(self.options.retry_after_s)
        return answer


def _accepted(count: int) -> web.Response:
    return web.json_response({"accepted": count}, status=202)


def _error(status: int, code: str, expected: str, field: str = "") -> web.Response:
    """Return an error that says what is wrong where, and never what was sent."""
    tree: dict[str, Any] = {"error": code, "expected": expected}
    if field:
        tree["field"] = field
    return web.Response(
        body=msgspec.json.encode(tree), status=status, content_type="application/json"
    )
