"""Reddit in memory, for tests: a token, listings of a thousand things, and its bad days."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from base64 import b64decode
from typing import Any

from aiohttp import web

from testkit.platforms.site import ThreadedSite, abort, request_is_open

LISTED: int = 1_000
BOMB_BYTES: int = 60_000_000
RESET_S: int = 1
PLENTY: float = 500.0
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_KINDS = {"new": "t3", "comments": "t1"}


class FakeReddit:
    """One site with posts and comments.

    Attributes:
        things: full name -> thing, oldest first.
        bad: further children of listings, as they are.
        secret: of the application.
        remaining: what the rate-limit headers say is left; None leaves them out. Once nothing is,
            requests within `RESET_S` are counted as "too early"; then there is plenty again.
        faults: statuses of the next answers; "abort" cuts the line, "junk" is no JSON, "stall"
            never comes, "drip" comes byte by byte and never ends, "bomb" unfolds to `BOMB_BYTES`.
        used: how often each path was asked, and each fault used.
    """

    def __init__(self, secret: str = "secret-of-a-fake") -> None:  # noqa: S107 - of a fake
        self.things: dict[str, dict[str, Any]] = {}
        self.bad: list[Any] = []
        self.secret = secret
        self.remaining: float | None = PLENTY
        self._reset_at_s = 0.0
        self.faults: list[int | str] = []
        self.used: dict[str, int] = {}
        self._numbers = itertools.count(1_000_000)
        self.site = ThreadedSite(self._application)

    def __enter__(self) -> FakeReddit:
        """Serve."""
        self.site.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.site.stop()

    # -- what happens on the site (any thread) ------------------------------------------------

    def post(self, title: str, text: str = "", **fields: Any) -> str:
        """Publish a post; return its full name."""
        given = {"title": title, "selftext": text, "num_comments": 0} | fields
        return self.site.do(lambda: self._add("t3", given))

    def post_many(self, titles: list[str]) -> list[str]:
        """Publish posts."""
        return self.site.do(lambda: [self._add("t3", {"title": t, "selftext": ""}) for t in titles])

    def comment(self, parent: str, text: str) -> str:
        """Answer a thing; return the comment's full name."""
        return self.site.do(lambda: self._add("t1", {"body": text, "parent_id": parent}))

    def delete(self, name: str, marker: str = "[deleted]") -> None:
        """Delete a thing: it stays in listings, without author and text."""

        def change() -> None:
            fields = self.things[name]["data"]
            fields["author"] = marker if marker == "[deleted]" else fields["author"]
            fields["body" if name.startswith("t1") else "selftext"] = marker

        self.site.do(change)

    def edit(self, name: str, text: str) -> None:
        """Change the text of a thing."""
        field = "body" if name.startswith("t1") else "selftext"
        self.site.do(lambda: self.things[name]["data"].update({field: text, "edited": time.time()}))

    # -- inside -------------------------------------------------------------------------------

    def _add(self, kind: str, fields: dict[str, Any]) -> str:
        own_id = _base36(next(self._numbers))
        name = f"{kind}_{own_id}"
        self.things[name] = {
            "kind": kind,
            "data": {
                "id": own_id,
                "name": name,
                "author": "ana",
                "subreddit": "news",
                "created_utc": time.time(),
                "edited": False,
                "score": 1,
                "permalink": f"/r/news/comments/{own_id}/",
                **fields,
            },
        }
        return name

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/v1/access_token", self._token)
        app.router.add_get("/r/{names}/{listing}", self._listing)
        app.router.add_get("/api/info", self._info)
        return app

    def _count(self, what: str) -> None:
        self.used[what] = self.used.get(what, 0) + 1

    async def _token(self, request: web.Request) -> web.Response:
        self._count("token")
        given = request.headers.get("Authorization", "")
        if _password(given) != self.secret:
            return web.json_response({"error": 401}, status=401)
        token = {"access_token": "t", "token_type": "bearer", "expires_in": 3600, "scope": "*"}
        return web.json_response(token)

    async def _fault(self, request: web.Request) -> web.StreamResponse | None:
        if not self.faults:
            return None
        fault = self.faults.pop(0)
        self._count(f"fault {fault}")
        if fault == "abort":
            abort(request)
            return web.Response()
        if fault == "junk":
            return web.Response(text="<html>", headers=self._limits())
        if fault in ("stall", "drip"):
            return await _never_end(request, is_dripping=fault == "drip")
        if fault == "bomb":
            body = gzip.compress(b" " * BOMB_BYTES, 1)
            return web.Response(
                body=body, content_type="application/json", headers={"Content-Encoding": "gzip"}
            )
        headers = {"Retry-After": "0.1"} if fault == 429 else {}
        return web.json_response({"error": fault}, status=int(fault), headers=headers)

    def _limits(self) -> dict[str, str]:
        if self.remaining is None:
            return {}
        now_s = time.monotonic()
        if self.remaining == 0:
            if now_s < self._reset_at_s:
                self._count("too early")
            self.remaining = PLENTY
        self.remaining = max(0.0, self.remaining - 1)
        if self.remaining == 0:
            self._count("spent")
            self._reset_at_s = now_s + RESET_S
        return {
            "x-ratelimit-remaining": f"{self.remaining:.1f}",
            "x-ratelimit-used": "1",
            "x-ratelimit-reset": str(RESET_S),
        }

    async def _listing(self, request: web.Request) -> web.StreamResponse:
        self._count("listing")
        fault = await self._fault(request)
        if fault is not None:
            return fault
        kind = _KINDS[request.match_info["listing"]]
        newest_first = (name for name in reversed(self.things) if name.startswith(kind))
        names = list(itertools.islice(newest_first, LISTED))
        after = request.query.get("after")
        start = names.index(after) + 1 if after in names else 0
        limit = int(request.query.get("limit", "25"))
        page = names[start : start + limit]
        children = [self.things[name] for name in page]
        if kind == "t3" and not start:
            children = [*self.bad, *children]
        more = page[-1] if start + limit < len(names) else None
        tree = {"kind": "Listing", "data": {"children": children, "after": more}}
        return web.json_response(tree, headers=self._limits())

    async def _info(self, request: web.Request) -> web.StreamResponse:
        self._count("info")
        fault = await self._fault(request)
        if fault is not None:
            return fault
        wanted = request.query.get("id", "").split(",")
        children = [self.things[name] for name in wanted if name in self.things]
        tree = {"kind": "Listing", "data": {"children": children, "after": None}}
        return web.json_response(tree, headers=self._limits())


async def _never_end(request: web.Request, *, is_dripping: bool) -> web.StreamResponse:
    """Answer as a server does that hangs, until the other side has enough."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    if is_dripping:
        await answer.prepare(request)
    while request_is_open(request):
        await asyncio.sleep(0.05)
        if is_dripping:
            await answer.write(b" ")
    raise ConnectionResetError("the other side has gone")


def _password(header: str) -> str:
    """Return the password of a Basic authorization, "" if there is none."""
    try:
        return b64decode(header.removeprefix("Basic ")).decode().partition(":")[2]
    except ValueError:
        return ""


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
