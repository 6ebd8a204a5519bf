"""The pages: how one comes in, what they may not hold, and who may not ask them."""

from pathlib import Path

import pytest

from services.alerting.showing import THERE, ExampleText
from services.console.keys import Role
from testkit.console import BASE, ConsoleRig, console_rig, past_alert


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
