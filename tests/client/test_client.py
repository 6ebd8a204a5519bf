"""The client against a console that listens, and against what is none."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import httpx
import pytest
import stamina

from groundswell.client import Client, ClientError
from groundswell.client.frames import flat, frame_of
from services.alerting.showing import THERE, ExampleText
from services.console.keys import Role
from testkit.builders import NOON
from testkit.console import (
    PANE_S,
    START_S,
    TEXT,
    MemoryData,
    ServedConsole,
    hour_of_panes,
    pane,
    past_alert,
    served_console,
)

ATTEMPTS = 3
MANY = 5_100
"""Windows: more than a page has."""


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    shown = ExampleText("typical", "replay", "p1", THERE, TEXT, "https://example.org/p1")
    many = [pane(START_S + n * PANE_S, "weather", posts=n) for n in range(MANY)]
    data = MemoryData(
        kept=[*hour_of_panes(), *many], past=[past_alert(n) for n in (1, 2, 3)], shown=[shown]
    )
    with served_console(tmp_path_factory.mktemp("console"), data) as made:
        yield made


@pytest.fixture
def analyst(served: ServedConsole) -> Iterator[Client]:
    with Client(served.base, served.keys[Role.ANALYST]) as made:
        yield made


def test_what_is_watched_and_how_it_is(analyst: Client) -> None:
    assert analyst.health()["role"] == "analyst"
    assert [one["name"] for one in analyst.queries()] == ["trains", "weather"]
    assert analyst.check("late AND train", "the train is late")["matches"] is True
    assert analyst.check("late AND (")["error"]["column"] == 11
    assert analyst.quality()["forecasts"] == []


def test_every_window_comes_over_as_many_pages_as_it_takes(analyst: Client) -> None:
    found = list(analyst.windows("weather"))
    assert [one["counters"]["posts"] for one in found] == list(range(MANY))


def test_windows_have_their_interval_and_their_step(analyst: Client) -> None:
    hour = timedelta(hours=1)
    (one,) = analyst.windows("trains", since=NOON, until=NOON + hour, step="1h")
    assert one["posts"] == 120
    assert one["sentiment"]["low"] <= one["sentiment"]["mean"] <= one["sentiment"]["high"]


def test_alerts_and_what_is_behind_them(analyst: Client, served: ServedConsole) -> None:
    assert [one["alert_id"] for one in analyst.alerts(query="trains")] == ["a1", "a2", "a3"]
    assert len(list(analyst.alerts(firing=True))) == 3
    assert list(analyst.alerts(kind="volume")) == []
    assert analyst.alert("a2")["examples"][0]["text"] == TEXT
    assert analyst.posts("trains", NOON, "5m")["posts"][0]["text"] == TEXT
    with Client(served.base, served.keys[Role.VIEWER]) as viewer:
        found = viewer.posts("trains", NOON)
        assert (found["withheld"], found["posts"]) == (True, [])


def test_a_live_series_goes_on_after_what_is_known(analyst: Client) -> None:
    known = START_S + 50 * PANE_S
    found = list(islice(analyst.live("trains", after=known), 3))
    starts = [int(datetime.fromisoformat(one["start"]).timestamp()) for one in found]
    assert starts == [known + n * PANE_S for n in (1, 2, 3)]


WRONG: dict[str, tuple[Any, int, str]] = {
    "step": (lambda one: list(one.windows("trains", step="7s")), 422, "step"),
    "name": (lambda one: list(one.windows("trainz")), 404, "name"),
    "start": (lambda one: one.posts("trains", NOON + timedelta(seconds=1)), 422, "start"),
    "Last-Event-ID": (lambda one: next(one.live("trains", after=-1)), 422, "Last-Event-ID"),
}


@pytest.mark.parametrize("which", WRONG)
def test_an_error_names_the_field_and_what_to_do(analyst: Client, which: str) -> None:
    ask, status, field = WRONG[which]
    with pytest.raises(ClientError) as caught:
        ask(analyst)
    assert caught.value.status == status
    assert [name for name, _ in caught.value.errors] == [field]
    assert field in str(caught.value)
    assert caught.value.what_to_do in str(caught.value)


def test_a_wrong_key_is_said_and_not_shown(served: ServedConsole) -> None:
    with Client(served.base, "gw_nobody") as client, pytest.raises(ClientError) as caught:
        client.health()
    assert caught.value.status == 401
    assert "console keys add" in caught.value.what_to_do
    assert "gw_nobody" not in str(caught.value)


@pytest.mark.parametrize("base", ["", "pulse.example", "ftp://pulse.example", "https://"])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(ClientError, match="base_url"):
        Client(base, "gw_key")


@pytest.mark.parametrize("key", ["", "two words", "gw_\n", "gw_é"])
def test_a_key_that_can_be_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ClientError) as caught:
        Client("https://pulse.example", key)
    assert not key or key not in str(caught.value)


def test_a_time_without_a_zone_is_refused(analyst: Client) -> None:
    with pytest.raises(ClientError, match="since"):
        list(analyst.windows("trains", since=NOON.replace(tzinfo=None)))


class Answers:
    """Answers with what it is given, one after the other, and notes what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.left = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def client_of(answers: Answers) -> Client:
    return Client("https://pulse.example", "gw_key", transport=httpx.MockTransport(answers))


def away(status: int = 503, retry_after: str = "") -> httpx.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return httpx.Response(status, headers=headers, json={
        "title": "Service Unavailable", "status": status, "detail": "Redis does not answer",
        "away": ["store"],
    })  # fmt: skip


def test_what_is_away_is_asked_again() -> None:
    answers = Answers(away(retry_after="5"), httpx.ConnectError("no"),
                      httpx.Response(200, json={"status": "ok"}))  # fmt: skip
    assert client_of(answers).health() == {"status": "ok"}
    assert len(answers.asked) == ATTEMPTS


def test_after_some_attempts_what_is_away_is_said() -> None:
    answers = Answers(*(away() for _ in range(ATTEMPTS)))
    with pytest.raises(ClientError, match="Redis does not answer") as caught:
        client_of(answers).health()
    assert caught.value.away == ("store",)
    assert answers.left == []


@pytest.mark.parametrize("answer", [httpx.ReadTimeout("slow"), away(), away(429, "1")])
def test_what_is_sent_is_sent_once(answer: httpx.Response | Exception) -> None:
    answers = Answers(answer)
    with pytest.raises(ClientError):
        client_of(answers).check("late")
    assert len(answers.asked) == 1


def test_a_wait_of_an_hour_is_not_waited() -> None:
    answers = Answers(away(429, "3600"))
    with pytest.raises(ClientError) as caught:
        client_of(answers).health()
    assert caught.value.retry_after_s == 3600


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"title"', b"\xff"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_is_no_console_is_said(status: int, body: bytes) -> None:
    answers = Answers(httpx.Response(status, content=body))
    with pytest.raises(ClientError, match="console"):
        client_of(answers).health()
    assert len(answers.asked) == 1


@pytest.mark.parametrize("body", [{"title": 1, "errors": 7, "away": {}},
                                  {"title": "x", "errors": [1, {}, {"field": []}]}])  # fmt: skip
def test_a_strange_problem_is_an_error_all_the_same(body: Any) -> None:
    with pytest.raises(ClientError):
        client_of(Answers(httpx.Response(422, json=body))).health()


class Broken(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        raise httpx.ReadError("the connection is gone")


def event(number: int) -> bytes:
    return f"event: window\nid: {number}\ndata: {json.dumps({'n': number})}\n\n".encode()


def test_a_live_series_that_breaks_off_goes_on_without_a_gap_or_a_copy() -> None:
    answers = Answers(
        httpx.Response(200, stream=Broken(b": live\n\n", event(60), event(120)[:-1])),
        httpx.ConnectError("no"),
        httpx.Response(200, content=b": all is well\n\n" + event(120)),
        away(401),
    )
    heard: list[int] = []
    with pytest.raises(ClientError) as caught:
        heard.extend(one["n"] for one in client_of(answers).live("trains", pause_s=0.0))
    assert caught.value.status == 401
    assert [one.headers.get("Last-Event-ID") for one in answers.asked] == [None, "60", "60", "120"]


def test_an_event_without_an_end_is_not_kept_in_memory() -> None:
    answers = Answers(httpx.Response(200, content=b"data: " + b"x" * 1_000_100))
    with pytest.raises(ClientError, match="too long"):
        next(client_of(answers).live("trains"))


@pytest.mark.parametrize("data", ["{", "[]", "7"])
def test_an_event_that_is_no_window_is_said(data: str) -> None:
    answers = Answers(httpx.Response(200, text=f"event: window\nid: 60\ndata: {data}\n\n"))
    with pytest.raises(ClientError, match="no window"):
        next(client_of(answers).live("trains"))


def test_a_frame_whose_package_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ClientError, match="pip install polars"):
        frame_of([], "polars")
    with pytest.raises(ClientError, match="polars, pandas"):
        frame_of([], "excel")


def test_a_row_has_a_column_for_every_number_of_a_window(analyst: Client) -> None:
    window = next(analyst.windows("trains"))
    row = flat(window)
    assert row["start"] == NOON
    assert row["sentiment"] == window["sentiment"]["mean"]
    for name, count in window["counters"].items():
        assert row[f"counter_{name}"] == count
    assert not any(isinstance(one, dict) for one in row.values())
