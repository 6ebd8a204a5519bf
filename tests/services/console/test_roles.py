"""Who may ask for what, route by route; a route without its line here fails the first test."""

from pathlib import Path

import pytest
from starlette.routing import Route

from core.clock import SystemClock
from core.console_settings import ConsoleSettings
from core.errors import ConfigError
from core.metrics import Metrics
from core.settings import Secret, Settings
from services.console.app import make_application
from services.console.keys import KeyRing, Role
from services.console.pages import ROUTERS
from services.console.process import make_state
from testkit.console import NOON, ConsoleRig, MemoryData, console_rig

READERS = tuple(Role)
ANALYSTS, OPERATORS = (Role.ANALYST, Role.OPERATOR), (Role.OPERATOR,)
EVERYBODY = (None, *Role)
CHECK = {"expression": "late"}
API = {
    ("GET", "/health"): ("/health", READERS, {}),
    ("GET", "/queries"): ("/queries", READERS, {}),
    ("POST", "/queries/check"): ("/queries/check", ANALYSTS, {"json": CHECK}),
    ("GET", "/queries/{name}/windows"): ("/queries/trains/windows", READERS, {}),
    ("GET", "/queries/{name}/posts"): (
        "/queries/trains/posts?start=2026-03-01T12:00:00Z",
        READERS,
        {},
    ),
    ("GET", "/queries/{name}/live"): ("/queries/trains/live", READERS, {}),
    ("GET", "/alerts"): ("/alerts", READERS, {}),
    ("GET", "/alerts/{alert_id}"): ("/alerts/a1", READERS, {}),
    ("GET", "/quality"): ("/quality", READERS, {}),
    ("GET", "/pipeline"): ("/pipeline", OPERATORS, {}),
    ("GET", "/dead-posts"): ("/dead-posts", OPERATORS, {}),
    ("POST", "/dead-posts/{place}/replay"): ("/dead-posts/3/replay", OPERATORS, {"json": {}}),
    ("GET", "/keys"): ("/keys", OPERATORS, {}),
    ("GET", "/openapi.json"): ("/openapi.json", EVERYBODY, {}),
}
"""(method, route) -> (a path of it, who may, how it is asked)."""
PAGES = {
    "/": None,
    "/healthz": None,
    "/assets/{name}": None,
    "/enter": None,
    "/sign-in": None,
    "/sign-out": None,
    "/now": "/now",
    "/queries": "/queries",
    "/queries/{name}": "/queries/trains",
    "/queries/{name}/posts": "/queries/trains/posts?start=1772366400&length=60",
    "/quality": "/quality",
    "/pipeline": "/pipeline",
    "/pipeline/replay": None,
    "/alerts": "/alerts",
    "/alerts/{alert_id}": "/alerts/a1",
}
"""Page -> its path, where only who is signed in sees it."""
OF_OPERATORS = ("/pipeline",)


async def test_every_route_stands_in_these_tables(rig: ConsoleRig) -> None:
    app = make_application(rig.state)
    api = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    own = {one.path for one in app.routes if isinstance(one, Route)}
    assert own == {"/healthz", "/api/v1/openapi.json"}
    assert api | {("GET", "/openapi.json")} == set(API)
    pages = {one.path for router in ROUTERS for one in router.routes if isinstance(one, Route)}
    assert pages | {"/healthz"} == set(PAGES)


@pytest.mark.parametrize(("method", "route"), API)
@pytest.mark.parametrize("role", EVERYBODY)
async def test_a_role_gets_what_it_may_and_is_told_when_it_may_not(
    rig: ConsoleRig, method: str, route: str, role: Role | None
) -> None:
    path, allowed, how = API[method, route]
    rig.state.stopping.set()  # what would go on for ever ends at once
    answer = await rig.ask(path, role, method, **how)
    if role in allowed:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == (401 if role is None else 403)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize("path", [path for path in PAGES.values() if path])
async def test_a_page_is_seen_by_who_is_signed_in(rig: ConsoleRig, path: str) -> None:
    stranger = await rig.client.get(path)
    assert stranger.status_code == 401
    assert "Sign in" in stranger.text
    for role in Role:
        await rig.sign_in(role)
        may = path not in OF_OPERATORS or role is Role.OPERATOR
        assert (await rig.client.get(path)).status_code == (200 if may else 403)
        await rig.client.post("/sign-out")
        assert (await rig.client.get(path)).status_code == 401


async def test_a_key_taken_away_is_good_no_more_and_its_session_ends(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.ANALYST)
    assert (await rig.client.get("/alerts")).status_code == 200
    assert rig.ring.remove("analyst")
    assert (await rig.ask("/alerts", Role.ANALYST)).status_code == 401
    assert (await rig.client.get("/alerts")).status_code == 401
    assert (await rig.ask("/alerts", Role.VIEWER)).status_code == 200


async def test_keys_are_listed_without_what_is_secret_of_them(rig: ConsoleRig) -> None:
    answer = await rig.ask("/keys", Role.OPERATOR)
    assert [(one["name"], one["role"]) for one in answer.json()["keys"]] == [
        ("analyst", "analyst"), ("operator", "operator"), ("viewer", "viewer"),
    ]  # fmt: skip
    stored = (rig.folder / "keys.json").read_text()
    for key in rig.keys.values():
        _, key_id, secret = key.split("_", 2)
        assert key_id not in answer.text
        assert secret not in answer.text + stored
    assert (rig.folder / "keys.json").stat().st_mode & 0o077 == 0


def test_without_a_key_and_a_link_nobody_could_come_in(tmp_path: Path) -> None:
    settings = Settings(console=ConsoleSettings(data_dir=str(tmp_path)))
    with pytest.raises(ConfigError, match="nobody could come in"):
        make_state(
            settings, MemoryData(), Metrics(role="console"), SystemClock(), "http://x",
            KeyRing(tmp_path / "keys.json"),
        )  # fmt: skip


async def test_the_key_of_a_deployment_lets_an_operator_in_and_is_kept_nowhere(
    rig: ConsoleRig,
) -> None:
    key = f"gw_0123456789ab_{'s' * 43}"
    assert (await rig.client.post("/sign-in", data={"key": key})).status_code == 403
    rig.ring.accept(Secret(key), NOON)
    assert (await rig.client.post("/sign-in", data={"key": key})).status_code == 303
    assert "deployment, operator" in (await rig.client.get("/alerts")).text
    asked = await rig.ask("/keys", headers={"Authorization": f"Bearer {key}"})
    assert [one["name"] for one in asked.json()["keys"]][:2] == ["analyst", "deployment"]
    assert "0123456789ab" not in (rig.folder / "keys.json").read_text()
    rig.ring.add("later", Role.VIEWER, NOON)  # the file is read anew, and it is still good
    assert (await rig.ask("/keys", headers={"Authorization": f"Bearer {key}"})).status_code == 200
    other = f"{key[:-1]}t"
    assert (await rig.ask("/keys", headers={"Authorization": f"Bearer {other}"})).status_code == 401


def test_with_the_key_of_a_deployment_no_other_is_needed(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    ring.accept(Secret(f"gw_0123456789ab_{'s' * 43}"), NOON)
    settings = Settings(console=ConsoleSettings(data_dir=str(tmp_path)))
    metrics = Metrics(role="console")
    state = make_state(settings, MemoryData(), metrics, SystemClock(), "http://x", ring)
    assert state.link is None


@pytest.mark.parametrize("key", ["hunter2", "gw_0123456789ab_short", f"gw_x_{'s' * 43}"])
def test_a_key_of_a_deployment_that_is_none_is_refused_and_not_shown(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(ConfigError, match=r"console\.operator_key: expected gw_") as refused:
        KeyRing(tmp_path / "keys.json").accept(Secret(key), NOON)
    assert key not in str(refused.value)


async def test_a_link_lets_one_browser_in_as_operator(tmp_path: Path) -> None:
    async with console_rig(tmp_path) as rig:
        link = rig.link
        assert (await rig.client.get(link)).status_code == 303
        assert (await rig.client.get("/alerts")).status_code == 200
        assert "local, operator" in (await rig.client.get("/alerts")).text
        rig.client.cookies.clear()
        assert (await rig.client.get(link)).status_code == 403
        assert (await rig.client.get("/alerts")).status_code == 401
        assert rig.link != link
        assert (await rig.client.get(rig.link)).status_code == 303
