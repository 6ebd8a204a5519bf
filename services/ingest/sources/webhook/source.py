"""The source `webhook`: listens, checks, hands on, and answers once Kafka has it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, ClassVar, Final

import msgspec
from aiohttp import web

from services.ingest.sources.base import SourceContext
from services.ingest.sources.listener import Listener
from services.ingest.sources.remembering import RememberingSource
from services.ingest.sources.webhook import MANIFEST
from services.ingest.sources.webhook.memory import Answered, Requests, Waiting
from services.ingest.sources.webhook.options import WebhookOptions
from services.ingest.sources.webhook.parse import (
    GivenMapper,
    json_schema,
    parse_body,
    unmappable,
)
from services.ingest.sources.webhook.wire import (
    ID_HEADER,
    OLD_ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Claim,
    RequestRefused,
    WrongField,
    is_signed,
    names_of,
    pass_over,
    read_body,
    read_claim,
)

POSTS_PATH: Final = "/v1/posts"
SCHEMA_PATH: Final = "/v1/schema"
_SIGNED: Final = "a signature of this body by a known key"
_WARN_EVERY_S: Final = 60.0
_MAX_CONNECTIONS: Final = 512


class WebhookSource(RememberingSource[WebhookOptions]):
    """Posts and events that others push: signed requests, answered when Kafka has them.

    A request is taken whole or not at all. It is put off (429) while the buffer is full, so nothing
    is lost that was accepted; one that comes again is answered as before.

    Cursor: `n`, the number of the last request that was taken; one of which Kafka has a part comes
    again as a whole.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = WebhookOptions
    watches_silence: ClassVar[bool] = False  # nobody need push anything

    def __init__(self, options: WebhookOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._keys = options.keys(context.secret)
        self._mapper = GivenMapper(self.hide, context.clock.now)
        self._in_work = 0
        self._next_warning_s = context.clock.monotonic()
        self._listener: Listener | None = None
        self.port = 0
        """Where it listens, once it does."""

    def open_memory(self, *, is_fresh: bool) -> Requests:
        """Open the memory of requests."""
        return Requests(
            self.memory_path,
            self.options.remember_requests,
            self.options.tolerance_s,
            self.context.clock.now().timestamp(),
            is_fresh=is_fresh,
        )

    @property
    def _requests(self) -> Requests | None:
        return self.memory if isinstance(self.memory, Requests) else None

    async def session(self) -> None:
        """Listen until cancelled."""
        if self._requests is not None:
            self._requests.serving = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_post(POSTS_PATH, self._post)
        app.router.add_get(SCHEMA_PATH, self._schema)
        app.router.add_get("/healthz", self._health)
        self._listener = listener = Listener(
            app, shutdown_timeout=0.2, auto_decompress=False,
            # What is left of a body when the answer is there is nobody's business: the connection
            # is closed. By itself the library would read on for ten seconds, whatever comes.
            lingering_time=0.0,
            # Also the time for the first line and the headers: a drip of them ends here.
            keepalive_timeout=self.options.body_timeout_s,
        )  # fmt: skip
        try:
            await listener.start(self.options.host, self.port or self.options.port)
            self.port = listener.port
            self.connected()
            self.log.info("webhook listens", host=self.options.host, port=self.port)
            if self._keys.old:
                self.log.warning(
                    "requests signed by X-Groundswell-Signature are taken until the next release: "
                    "give the sender a whsec_ key (Standard Webhooks), then set old_signatures = "
                    "false", source=self.name,
                )  # fmt: skip
            await asyncio.Event().wait()
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
            return self._put_off("none", "too many requests at once")
        self._in_work += 1
        try:
            return await self._answer(request)
        finally:
            self._in_work -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; nothing of it is looked into before its signature is known to be good.

        What its headers cannot make good is not read either, but for so much as keeps an honest
        sender from losing the answer.
        """
        options = self.options
        claim = read_claim(lambda name: request.headers.getall(name, ()))
        scheme = "none" if isinstance(claim, WrongField) else claim.scheme
        try:
            if isinstance(claim, WrongField):
                raise RequestRefused(401, "unauthorized", claim.expected, claim.field)
            self._check_time(claim)
            body = await read_body(request, options.max_body_bytes, options.body_timeout_s)
            self.received()
            if not is_signed(claim, body, self._keys):
                raise RequestRefused(401, "unauthorized", _SIGNED, SIGNATURE_HEADER)
        except RequestRefused as refused:
            self._count(scheme, refused.code)
            answer = _error(refused.status, refused.code, refused.expected, refused.field)
            answer.force_close()
            # Before the rest is read: its sender may be waiting to hear whether to go on.
            await answer.prepare(request)
            await answer.write_eof()
            await pass_over(request, options.max_body_bytes, options.body_timeout_s)
            return answer
        return await self._take(claim, body)

    def _check_time(self, claim: Claim) -> None:
        tolerance_s = self.options.tolerance_s
        if abs(self.context.clock.now().timestamp() - claim.at_s) > tolerance_s:
            expected = f"signed within {tolerance_s:g} s of now"
            raise RequestRefused(401, "unauthorized", expected, TIMESTAMP_HEADER)

    async def _take(self, claim: Claim, body: bytes) -> web.Response:
        """Deliver a request that is to be trusted, unless it was here before."""
        requests, scheme = self._requests, claim.scheme
        if requests is None:
            return self._put_off(scheme, "stopping")
        names, body_hash = names_of(claim, body), hashlib.sha256(body).digest()
        known = requests.find(names)
        if known is not None:
            return await self._answer_again(known, claim, names[0], body_hash, requests)
        if requests.was_forgotten(claim.at_s):
            self._count(scheme, "forgotten")
            return _error(401, "unauthorized", "too old to be told from a repeat", TIMESTAMP_HEADER)
        given = parse_body(body, self.options.max_items)
        if isinstance(given, WrongField):
            self._count(scheme, "invalid")
            if not self.inlet.is_full:
                await self.hand_on([unmappable(body, given)], len(body))
            return _error(400, "invalid", given.expected, given.field)
        records = self._mapper.records(given)
        if self.inlet.is_full or (
            len(self.inlet) and len(self.inlet) + len(records) > self.limits.max_buffered_items
        ):
            return self._put_off(scheme, "the buffer is full")
        if not requests.has_room(self.context.clock.now().timestamp()):
            self._count(scheme, "memory_full")
            self._say_full()
            return self._later("as many requests as can be remembered came in a short time")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = Waiting(list(names), body_hash, len(records), claim.at_s, self.number + 1, done)
        requests.add(waiting)
        # Nothing is awaited before they are in the buffer, which had room.
        await self.hand_on(records, len(body))
        return await self._await_kafka(waiting, scheme, "accepted")

    async def _answer_again(
        self,
        known: Answered | Waiting,
        claim: Claim,
        signed_name: bytes,
        body_hash: bytes,
        requests: Requests,
    ) -> web.Response:
        """Answer a request that was here before as before; none of it is delivered."""
        self.repeated()
        if known.body_hash != body_hash:
            self._count(claim.scheme, "id_reused")
            field = ID_HEADER if claim.scheme == "standard" else OLD_ID_HEADER
            return _error(422, "id_reused", "this id came with another body", field)
        # Signed anew it is an honest sender's; to the letter the same it may be anybody's.
        outcome = "repeated" if claim.at_s > known.at_s else "replayed"
        requests.came_again(known, signed_name, claim.at_s)
        if isinstance(known, Waiting):
            return await self._await_kafka(known, claim.scheme, outcome)
        self._count(claim.scheme, outcome)
        return _accepted(known.accepted)

    async def _await_kafka(self, waiting: Waiting, scheme: str, outcome: str) -> web.Response:
        try:
            async with asyncio.timeout(self.options.acknowledge_timeout_s):
                await asyncio.shield(waiting.done)
        except TimeoutError:
            self._count(scheme, "unacknowledged")
            return self._later("Kafka has not acknowledged yet: send it again", 503)
        self._count(scheme, outcome)
        return _accepted(waiting.accepted)

    def _put_off(self, scheme: str, why: str) -> web.Response:
        self._count(scheme, "put_off")
        return self._later(why)

    def _later(self, why: str, status: int = 429) -> web.Response:
        answer = _error(status, "later", why)
        answer.headers["Retry-After"] = str(self.options.retry_after_s)
        return answer

    def _count(self, scheme: str, outcome: str) -> None:
        self.context.metrics.webhook_requests.labels(scheme=scheme, outcome=outcome).inc()

    def _say_full(self) -> None:
        now_s = self.context.clock.monotonic()
        if now_s >= self._next_warning_s:
            self._next_warning_s = now_s + _WARN_EVERY_S
            self.log.warning(
                "requests are put off: all that are remembered may still be replayed",
                source=self.name, remember_requests=self.options.remember_requests,
            )  # fmt: skip


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
