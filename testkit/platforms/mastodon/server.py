"""A Mastodon server in memory, for tests: it streams, answers REST, and misbehaves on request."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from aiohttp import WSMsgType, web

from testkit.platforms.mastodon.faults import Faults
from testkit.platforms.mastodon.statuses import (
    Status,
    is_in,
    make_status,
    stamp,
    streams_of,
)
from testkit.platforms.mastodon.streams import Client, serve_sse, serve_websocket
from testkit.platforms.site import ThreadedSite, abort


@dataclass
class FakeMastodon:
    """One server with its accounts' statuses.

    Attributes:
        token: expected in the Authorization header; "" asks for none.
        heartbeat_s: between `:thump` lines.
        faults: what goes wrong.
        deaf_posts: so many statuses of a stream just opened are lost: it is not subscribed yet.
        on_page: called before a page of a timeline is read.
        used: how often each fault, page and stream was used.
        statuses: by id, in order; deleted ones are gone.
    """

    token: str = "token"  # noqa: S105 - of a fake
    heartbeat_s: float = 0.5
    deaf_posts: int = 0
    faults: Faults = field(default_factory=Faults)
    used: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Number the statuses from now on."""
        self._clients: set[Client] = set()
        self._ids: list[int] = []
        self.on_page: Callable[[], object] | None = None
        self._sequence = itertools.count()
        self.site = ThreadedSite(self._application)

    def __enter__(self) -> FakeMastodon:
        """Serve."""
        self.site.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.site.do(self._end_streams)
        self.site.stop()

    # -- what happens on the server (any thread) ----------------------------------------------

    def post(self, text: str, *, at: datetime | None = None, **fields: Any) -> str:
        """Publish a status and stream it; return its id."""
        return self.site.do(lambda: self._post(text, at, fields))

    def post_many(self, texts: list[str], **fields: Any) -> list[str]:
        """Publish statuses one after the other."""
        return self.site.do(lambda: [self._post(text, None, fields) for text in texts])

    def edit(self, status_id: str, text: str) -> None:
        """Change the text of a status and stream it."""
        self.site.do(lambda: self._edit(status_id, text))

    def post_while_away(self, text: str, *, edited: str = "") -> str:
        """Cut every stream and publish a status before anybody can be back; return its id."""

        def cut_and_post() -> str:
            self._end_streams(abruptly=True)
            status_id = self._post(text, None, {})
            if edited:
                self._edit(status_id, edited)
            return status_id

        return self.site.do(cut_and_post)

    def delete(self, status_id: str) -> None:
        """Delete a status and stream it."""
        self.site.do(lambda: self.stream_raw("delete", status_id, self.statuses.pop(status_id)))

    def stream_again(self, status_id: str) -> None:
        """Stream a status that was streamed before."""
        status = self.statuses[status_id]
        self.site.do(lambda: self.stream_raw("update", json.dumps(status), status))

    def disconnect(self, *, abruptly: bool = True) -> int:
        """End every stream; return how many there were."""
        return self.site.do(lambda: self._end_streams(abruptly))

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._clients)

    @property
    def subscriptions(self) -> int:
        """Streams that somebody listens to."""
        return sum(len(client.streams) for client in list(self._clients))

    # -- inside -------------------------------------------------------------------------------

    def count(self, what: str) -> None:
        """Note that a fault, page or stream was used."""
        self.used[what] = self.used.get(what, 0) + 1

    def _post(self, text: str, at: datetime | None, fields: dict[str, Any]) -> str:
        now = datetime.now(UTC)
        moment = at or now
        status_id = str((int(moment.timestamp() * 1000) << 16) | (next(self._sequence) & 0xFFFF))
        status = make_status(status_id, text, moment, **fields)
        self.statuses[status_id] = status
        insort(self._ids, int(status_id))
        self.stream_raw("update", json.dumps(status), status)
        return status_id

    def _edit(self, status_id: str, text: str) -> None:
        status = self.statuses[status_id]
        status["content"] = f"<p>{text}</p>"
        status["edited_at"] = stamp(datetime.now(UTC))
        self.stream_raw("status.update", json.dumps(status), status)

    def stream_raw(self, name: str, payload: str, status: Status) -> None:
        """Stream an event to whoever would be sent `status`; on the server's loop."""
        if self._clients and self.deaf_posts:
            self.deaf_posts -= 1
            return
        for stream in streams_of(status):
            for client in self._clients:
                if stream in client.streams:
                    client.queue.put_nowait((stream, name, payload))

    def stream_bytes(self, recorded: bytes) -> None:
        """Send the bytes of a recorded event stream to everybody, as they are."""
        self.site.do(lambda: [client.queue.put_nowait(recorded) for client in self._clients])

    def _end_streams(self, abruptly: bool = False) -> int:
        clients = list(self._clients)
        for client in clients:
            if abruptly:
                abort(client.request)
            client.queue.put_nowait(None)
        return len(clients)

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v2/instance", self._instance)
        app.router.add_get("/api/v1/timelines/public", self._timeline)
        app.router.add_get("/api/v1/timelines/tag/{tag}", self._timeline)
        app.router.add_get("/api/v1/statuses", self._lookup)
        app.router.add_get("/api/v1/statuses/{id}", self._status)
        app.router.add_get("/api/v1/streaming", self._websocket)
        app.router.add_get("/api/v1/streaming/{path:.+}", self._sse)
        return app

    def _refusal(
        self, what: str, refusal: tuple[int, dict[str, str]] | None
    ) -> web.Response | None:
        if refusal is None or self.faults.refusals == 0:
            return None
        self.faults.refusals -= 1
        self.count(f"refused {what}")
        return web.json_response({"error": "no"}, status=refusal[0], headers=refusal[1])

    def _is_known(self, request: web.Request) -> bool:
        return not self.token or request.headers.get("Authorization") == f"Bearer {self.token}"

    async def _instance(self, request: web.Request) -> web.Response:
        return web.json_response({"configuration": {"urls": {"streaming": self.site.url}}})

    async def _timeline(self, request: web.Request) -> web.Response:
        refusal = self._refusal("rest", self.faults.refuse_rest)
        if refusal is not None:
            return refusal
        if not self._is_known(request):
            return web.json_response({"error": "token"}, status=401)
        self.count("pages")
        if self.faults.bomb:
            self.faults.bomb = False
            self.count("bomb")
            body = gzip.compress(b" " * 60_000_000, 1)
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        if self.on_page is not None:
            self.on_page()
        tag = request.match_info.get("tag")
        limit = min(int(request.query.get("limit", "20")), 40)
        after = int(request.query.get("min_id", "0"))
        is_rising = "min_id" in request.query
        ids = self._ids[bisect_right(self._ids, after) :] if is_rising else reversed(self._ids)
        there = (self.statuses[str(one)] for one in ids if str(one) in self.statuses)
        page = list(islice((one for one in there if is_in(one, tag, request.query)), limit))
        return web.json_response(page[::-1] if is_rising else page)

    async def _lookup(self, request: web.Request) -> web.Response:
        self.count("lookups")
        wanted = request.query.getall("id[]", [])
        return web.json_response([self.statuses[one] for one in wanted if one in self.statuses])

    async def _status(self, request: web.Request) -> web.Response:
        status = self.statuses.get(request.match_info["id"])
        if status is None:
            return web.json_response({"error": "Record not found"}, status=404)
        return web.json_response(status)

    def _join(self, request: web.Request, streams: set[str]) -> Client:
        client = Client(streams, asyncio.Queue(), request)
        self._clients.add(client)
        self.count("streams")
        return client

    async def _sse(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal("streaming", self.faults.refuse_streaming)
        if refusal is not None:
            return refusal
        if not self._is_known(request):
            return web.json_response({"error": "Missing access token"}, status=401)
        kind, _, local = request.match_info["path"].partition("/")
        tag = request.query.get("tag", "")
        name = ":".join(part for part in (kind, local, tag) if part)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        # Before it is answered: whoever sees an open stream may post.
        client = self._join(request, {name})
        try:
            await answer.prepare(request)
            await answer.write(b":)\n")
            await serve_sse(self, client, answer)
        except ConnectionError:
            pass
        finally:
            self._clients.discard(client)
        return answer

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal("streaming", self.faults.refuse_streaming)
        if refusal is not None:
            return refusal
        if not self._is_known(request):
            return web.json_response({"error": "Missing access token"}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = self._join(request, set())
        sender = asyncio.ensure_future(serve_websocket(self, client, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    asked = json.loads(message.data)
                    words = [asked["stream"], asked.get("tag", "")]
                    client.streams.add(":".join(word for word in words if word))
        finally:
            self._clients.discard(client)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return socket
