"""Answers of an Alertmanager, or of whoever stands in its place: bounded, said, never believed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.errors import AlertmanagerUnavailable
from core.metrics import Metrics
from core.settings import AlertSettings
from services.alerting.alertmanager import MAX_BODY_BYTES, Alertmanagers

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _body(text: str, status: int = 200, kind: str = "application/json") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type=kind)

    return answer


async def _huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(MAX_BODY_BYTES // 65_536 + 2):
        try:
            await answer.write(b" " * 65_536)
        except OSError:
            break
    return answer


async def _drip(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    never = asyncio.Event()
    await answer.write(b"[")
    await never.wait()
    return answer


async def _elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.url.with_path("/there"))


KNOWN_RUBBISH = {
    "html": _body("<html>sign in</html>", kind="text/html"),
    "no json": _body("["),
    "no list": _body('{"status": "success"}'),
    "no alerts": _body("[1, 2]"),
    "no labels": _body('[{"labels": null}]'),
    "labels that are numbers": _body('[{"labels": {"alert": 1}}]'),
    "deep": _body("[" * 100_000),
    "empty": _body(""),
    "refused": _body("[]", status=500),
    "huge": _huge,
    "slow": _drip,
    "elsewhere": _elsewhere,
}


async def _asked(answer: Answer, ask: Callable[[Alertmanagers], Awaitable[object]]) -> object:
    app = web.Application()
    app.router.add_route("*", "/api/v2/alerts", answer)
    app.router.add_route("*", "/there", _body("[]"))
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        settings = AlertSettings(alertmanager_url=url, timeout_s=0.5)
        receiver = Alertmanagers(settings, Metrics(role="closer"))
        try:
            return await ask(receiver)
        finally:
            await receiver.close()


@pytest.mark.parametrize("kind", sorted(KNOWN_RUBBISH))
async def test_rubbish_is_no_knowledge(kind: str) -> None:
    with pytest.raises(AlertmanagerUnavailable):
        await _asked(KNOWN_RUBBISH[kind], lambda receiver: receiver.known())


@pytest.mark.parametrize(
    "kind", ["html", "no list", "refused", "huge", "slow", "elsewhere"]
)  # fmt: skip
async def test_rubbish_is_no_receipt(kind: str) -> None:
    with pytest.raises(AlertmanagerUnavailable, match="answer"):
        await _asked(KNOWN_RUBBISH[kind], lambda receiver: receiver.post([{"labels": {}}]))


async def test_true_answers_are_believed() -> None:
    await _asked(_body(""), lambda receiver: receiver.post([{"labels": {}}]))
    held = _body('[{"labels": {"alert": "a", "alertname": "x"}, "status": {}}, {"labels": {}}]')
    assert await _asked(held, lambda receiver: receiver.known()) == frozenset({"a", ""})
