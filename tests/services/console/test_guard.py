"""What stands before every route: hosts, sizes, times, and how much one may ask."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.console.guard import MAX_BODY_BYTES
from services.console.keys import Role
from testkit.console import ConsoleRig, MemoryData, console_rig, served_console


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a b", "[::1"])
async def test_a_name_that_only_leads_here_is_refused(rig: ConsoleRig, host: str) -> None:
    answer = await rig.client.get("/healthz", headers={"Host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.1:8080", ""])
async def test_published_on_loopback_it_answers_no_name_that_only_leads_there(
    tmp_path: Path, host: str
) -> None:
    # As in a container: it listens on every address of its own.
    told = {"address": "0.0.0.0", "local_link": False, "public_url": "http://127.0.0.1:8080"}  # noqa: S104
    async with console_rig(tmp_path, **told) as rig:
        for name, status in ((host, 400), ("127.0.0.1:8080", 200), ("localhost:8080", 200)):
            answer = await rig.client.get("/healthz", headers={"Host": name})
            assert answer.status_code == status


async def test_more_than_its_rate_a_client_is_not_given(tmp_path: Path) -> None:
    async with console_rig(tmp_path, requests_per_minute=3) as rig:
        statuses = [(await rig.ask("/queries", Role.VIEWER)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await rig.ask("/queries", Role.VIEWER)
        assert refused.headers["retry-after"] == "20"
        assert (await rig.ask("/queries", Role.ANALYST)).status_code == 200
        rig.clock.advance(20)
        assert (await rig.ask("/queries", Role.VIEWER)).status_code == 200


async def test_keys_cannot_be_tried_without_end(rig: ConsoleRig) -> None:
    wrong = {"Authorization": "Bearer gw_000000000000_" + "A" * 43}
    statuses = [(await rig.ask("/queries", headers=wrong)).status_code for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    rig.clock.advance(60)
    assert (await rig.ask("/queries", headers=wrong)).status_code == 401


async def test_a_right_key_is_let_in_however_many_wrong_ones_its_address_tried(
    rig: ConsoleRig,
) -> None:
    wrong_of_an_id = rig.keys[Role.VIEWER][:17] + "A" * 43  # the id of a key that there is
    for key in ["gw_000000000000_" + "A" * 43, wrong_of_an_id] * 30:
        await rig.ask("/queries", headers={"Authorization": f"Bearer {key}"})
    tried = await rig.client.post("/sign-in", data={"key": wrong_of_an_id})
    assert tried.status_code == 429
    assert int(tried.headers["retry-after"]) >= 1
    for role in Role:
        assert (await rig.ask("/queries", role)).status_code == 200
        assert (await rig.sign_in(role)).status_code == 303


async def test_a_right_link_is_let_in_however_many_wrong_ones_its_address_tried(
    rig: ConsoleRig,
) -> None:
    for number in range(30):
        await rig.client.get(f"/enter?token={number}")
    assert (await rig.client.get("/enter?token=31")).status_code == 429
    assert (await rig.client.get(rig.link)).status_code == 303


def test_what_a_stranger_says_of_its_address_is_not_believed(tmp_path: Path) -> None:
    wrong = {"Authorization": "Bearer gw_000000000000_" + "A" * 43}
    with served_console(tmp_path) as served:
        statuses = [
            httpx.get(
                f"{served.base}/api/v1/queries", headers=wrong | {"X-Forwarded-For": f"192.0.2.{n}"}
            ).status_code
            for n in range(22)
        ]
    assert 429 in statuses


async def test_links_cannot_be_tried_without_end(rig: ConsoleRig) -> None:
    statuses = [(await rig.client.get(f"/enter?token={n}")).status_code for n in range(25)]
    assert statuses == [403] * 20 + [429] * 5


async def test_a_body_that_is_too_large_is_refused_said_or_not(rig: ConsoleRig) -> None:
    async def pieces() -> Any:
        for _ in range(3):
            yield b" " * (MAX_BODY_BYTES // 2)

    for content in (b" " * (MAX_BODY_BYTES + 1), pieces()):
        answer = await rig.ask(
            "/queries/check", Role.ANALYST, "POST", content=content,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert answer.status_code == 413


async def test_a_request_that_takes_too_long_is_answered_for_it(tmp_path: Path) -> None:
    data = MemoryData()
    data.catalog = asyncio.Event().wait  # type: ignore[method-assign,assignment]
    async with console_rig(tmp_path, data, deadline_s=0.05) as rig:
        answer = await rig.ask("/queries")
        assert answer.status_code == 503
        assert "within 0.05 s" in answer.json()["detail"]


async def test_requests_are_counted_by_route_and_never_by_path(rig: ConsoleRig) -> None:
    await rig.ask("/queries/trains/windows")
    await rig.client.get("/no/such/place")
    counted = rig.state.metrics.registry.get_sample_value
    name = "groundswell_console_requests_total"
    assert counted(name, {"route": "/api/v1/queries/{name}/windows", "status": "200"}) == 1
    assert counted(name, {"route": "none", "status": "404"}) == 1
