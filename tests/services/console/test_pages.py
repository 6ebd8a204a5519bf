"""The pages: how one comes in, what they may not hold, and who may not ask them."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from core.colours import CLASSES
from services.alerting.showing import THERE, ExampleText
from services.console.app import make_console
from services.console.keys import Role
from stream.queries import QueryCatalog
from testkit.console import (
    BASE,
    ConsoleRig,
    MemoryData,
    console_rig,
    hour_of_panes,
    past_alert,
)

BOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "dashboards" / "conversation.json"
CONVERSATION = json.loads(BOARD.read_text(encoding="utf-8"))


async def test_a_link_to_an_alert_leads_there_after_signing_in(rig: ConsoleRig) -> None:
    asked = await rig.client.get("/alerts/a1?step=1h")
    assert 'name="again" value="/alerts/a1?step=1h"' in asked.text
    fields = {"key": rig.keys[Role.ANALYST], "again": "/alerts/a1"}
    answer = await rig.client.post("/sign-in", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts/a1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize(
    "again", ["//evil.example", "https://evil.example", "/\\evil.example", "/%0d%0a\r\nX: 1", ""]
)
async def test_signing_in_never_leads_to_another_site(rig: ConsoleRig, again: str) -> None:
    fields = {"key": rig.keys[Role.ANALYST], "again": again}
    answer = await rig.client.post("/sign-in", data=fields)
    assert answer.headers["location"] == "/"


async def test_a_cookie_over_tls_is_for_tls_alone(tmp_path: Path) -> None:
    async with console_rig(tmp_path, public_url="https://pulse.example") as rig:
        # As the process does: the base is the address that people open.
        object.__setattr__(rig.state, "base", "https://pulse.example")
        assert "Secure" in (await rig.sign_in(Role.VIEWER)).headers["set-cookie"]


async def test_a_query_leads_to_its_dashboard_where_there_is_a_grafana(tmp_path: Path) -> None:
    data = MemoryData(kept=hour_of_panes())
    async with console_rig(tmp_path, data, grafana_url="http://127.0.0.1:3000/") as rig:
        await rig.sign_in(Role.VIEWER)
        text = (await rig.client.get("/queries/trains?span=1d")).text
    link = (
        f"http://127.0.0.1:3000/d/{CONVERSATION['uid']}?var-query=trains&amp;from=now-1d&amp;to=now"
    )
    assert f'href="{link}"' in text


async def test_no_page_leads_to_a_grafana_that_nobody_named(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.VIEWER)
    assert "Grafana" not in (await rig.client.get("/queries/trains")).text


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/api/v1/queries/check"])
async def test_another_sites_page_changes_and_asks_nothing(rig: ConsoleRig, path: str) -> None:
    await rig.sign_in(Role.OPERATOR)
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example:8080"):
        headers = {"Origin": origin}
        answer = await rig.client.post(path, headers=headers, json={"expression": "a"})
        assert answer.status_code == 403, origin
    own = await rig.client.post("/api/v1/queries/check", headers={"Origin": BASE},
                                json={"expression": "a"})  # fmt: skip
    assert own.status_code == 200
    assert (await rig.client.get("/alerts")).status_code == 200  # nobody was signed out


async def test_what_a_post_says_is_text_and_no_part_of_the_page(rig: ConsoleRig) -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    rig.data.shown = [ExampleText("typical", "mastodon", "p1", THERE, evil, "javascript:alert(1)")]
    rig.data.past = [past_alert(1, sentence=evil)]
    await rig.sign_in(Role.OPERATOR)
    for path in ("/alerts", "/alerts/a1"):
        text = (await rig.client.get(path)).text
        assert "&lt;script&gt;alert(1)" in text
        for raw in ("<script>alert", "javascript:", "\x1b", "\u202e"):
            assert raw not in text


async def test_no_page_holds_script_or_style_of_its_own_or_asks_another_site(
    rig: ConsoleRig,
) -> None:
    await rig.sign_in(Role.OPERATOR)
    for path in ("/now", "/queries", "/queries/trains", "/alerts", "/alerts/a1", "/enter"):
        answer = await rig.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for raw in ("style=", "onclick", "<style", "http://", "https://"):
            assert raw not in answer.text, (path, raw)


async def test_assets_are_kept_by_browsers_while_they_are_the_same(rig: ConsoleRig) -> None:
    first = await rig.client.get("/assets/style.css")
    assert first.headers["content-type"].startswith("text/css")
    tag = {"If-None-Match": first.headers["etag"]}
    assert (await rig.client.get("/assets/style.css", headers=tag)).status_code == 304
    for name in ("../app.py", "..%2fapp.py", "nothing.css"):
        assert (await rig.client.get(f"/assets/{name}")).status_code == 404


async def test_the_style_has_the_colours_of_classes(rig: ConsoleRig) -> None:
    style = (await rig.client.get("/assets/style.css")).text
    for head in ("sentiment", "emotion"):
        for name, colour in CLASSES[head].items():
            assert f"--{head}-{name}: {colour};" in style
            assert f".part.{head}-{name} {{ fill: var(--{head}-{name}); }}" in style


async def test_the_windows_around_a_shift_are_those_of_the_api(rig: ConsoleRig) -> None:
    rig.data.past = [past_alert(-20)]
    await rig.sign_in(Role.VIEWER)
    text = (await rig.client.get("/alerts/a-20")).text
    assert text.count('class="inside"') >= 4
    assert "+0.250" in text


async def test_what_is_away_is_said_on_the_page(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.VIEWER)
    for part, said in (("broker", "Kafka does not answer"), ("store", "Redis does not answer")):
        rig.data.away_now = (part,)
        answer = await rig.client.get("/alerts/a1")
        assert answer.status_code == 503
        assert said in answer.text
        assert "secret" not in answer.text


WRONG = {
    "no such page": ("GET", "/no/such/page", {}, 404),
    "no such method": ("DELETE", "/now", {}, 405),
    "a wrong field": ("GET", "/queries/trains?span=2y", {}, 422),
    "another site": ("POST", "/sign-in", {"headers": {"Origin": "https://evil.example"}}, 403),
    "another host": ("GET", "/now", {"headers": {"Host": "evil.example"}}, 400),
    "too large": ("POST", "/sign-in", {"content": b"x" * 70_000}, 413),
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("signed_in", [False, True])
async def test_what_goes_wrong_with_a_page_is_said_on_a_page(
    rig: ConsoleRig, how: str, signed_in: bool
) -> None:
    if signed_in:
        await rig.sign_in(Role.VIEWER)
    method, path, given, status = WRONG[how]
    answer = await rig.client.request(method, path, **given)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert '<a href="/now">' in answer.text
    assert "<script" not in answer.text
    known = how not in ("another host", "too large")  # refused before anybody is looked up
    if signed_in and known:
        assert "viewer, viewer" in answer.text


@pytest.mark.parametrize("path", ["/api/v1/no/such", "/api/nothing", "/api/v1/queries?limit=0"])
async def test_what_goes_wrong_with_the_api_is_data(rig: ConsoleRig, path: str) -> None:
    answer = await rig.client.get(path, headers={"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_page_that_takes_too_long_says_so_on_a_page(tmp_path: Path) -> None:
    data = MemoryData()
    data.catalog = asyncio.Event().wait  # type: ignore[method-assign,assignment]
    async with console_rig(tmp_path, data, deadline_s=0.05) as rig:
        await rig.sign_in(Role.VIEWER)
        answer = await rig.client.get("/queries")
        assert answer.status_code == 503
        assert "within 0.05 s" in answer.text
        assert '<a href="/now">' in answer.text
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_defect_is_said_on_a_page_without_its_own_words(tmp_path: Path) -> None:
    data = MemoryData()

    async def breaks() -> QueryCatalog:
        raise ZeroDivisionError("a secret of ours")

    data.catalog = breaks  # type: ignore[method-assign]
    async with console_rig(tmp_path, data) as rig:
        await rig.sign_in(Role.VIEWER)
        transport = httpx.ASGITransport(make_console(rig.state), raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url=BASE, cookies=rig.client.cookies
        ) as client:
            answer = await client.get("/queries")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "a defect of the console" in answer.text
    assert "secret" not in answer.text
