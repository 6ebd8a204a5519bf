"""The console over a real broker and store: its numbers are those of the dump, and texts go."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import epoch_ms
from core.codec import encode
from core.schemas import ExamplePost
from services.console.keys import KeyRing, Role
from services.console.sessions import KEYS_FILE, LINK_FILE
from services.kafka_client import read_topic
from stream.topics import ALERTS, POST_EVENTS, POSTS, WINDOWS
from testkit.builders import make_event, make_post
from testkit.console import past_alert
from testkit.waiting import wait_until
from tests.integration.test_nothing_of_persons_leaves import printed

pytestmark = pytest.mark.integration

POSTS_SENT = 40
TEXT = "the train of nineteen past is late"
GONE_WITHIN_S = 5.0


def start_console(stream: Any, folder: Path) -> tuple[httpx.Client, str]:
    """Start a console with a link; return who asks it as an operator, and a key of a viewer."""
    ring = KeyRing(folder / KEYS_FILE)
    operator = ring.add("operator", Role.OPERATOR, datetime.now(UTC))
    viewer = ring.add("viewer", Role.VIEWER, datetime.now(UTC))
    catalog = folder / "queries.toml"
    catalog.write_text('[queries.trains]\nexpression = "train AND late"\n')
    stream.tree["queries"] = {"path": str(catalog)}
    stream.start_process(
        "console", "console", console__port=0, console__data_dir=str(folder),
        console__local_link="true", metrics__port=0,
    )  # fmt: skip
    link = folder / LINK_FILE
    stream.wait_until(link.exists, "the link of the console")
    base = link.read_text().partition("/enter")[0]
    headers = {"Authorization": f"Bearer {operator}"}
    return httpx.Client(base_url=base, headers=headers, timeout=30), viewer


def say(stream: Any, at: datetime) -> None:
    """Produce posts of two minutes, and one that shows a shift."""
    posts = [
        make_post(n, text=f"{TEXT}, train {n}", author=f"a{n}", claimed_at=when, ingested_at=when)
        for n in range(POSTS_SENT)
        for when in (at + timedelta(seconds=n * 3),)
    ]
    stream.produce(POSTS, [(one.author.encode(), encode(one)) for one in posts])
    late = at + timedelta(seconds=600)
    last = [
        make_post(100 + n, author=f"z{n}", claimed_at=late, ingested_at=late) for n in range(20)
    ]
    stream.produce(POSTS, [(one.author.encode(), encode(one)) for one in last])


def test_numbers_are_those_of_the_dump_and_a_deleted_text_is_gone(
    make_stream: Callable[..., Any], tmp_path: Path
) -> None:
    stream = make_stream(windows={"allowed_lateness_s": 0, "idle_after_s": 1})
    folder = tmp_path / "console"
    folder.mkdir()
    client, viewer = start_console(stream, folder)
    stream.start_process("worker", "worker")
    stream.start_process("closer", "closer")
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=20)
    say(stream, at)
    stream.wait_until(lambda: stream.accounted() == POSTS_SENT + 20, "every post counted")
    stream.wait_until(lambda: bool(list(read_topic(stream.settings.kafka, WINDOWS))), "windows")
    with client:
        numbers_equal(stream, client)
        posts_behind(stream, client, viewer, at)
        texts_go(stream, client, viewer, at)
        a_dead_letter_counts_once(stream, client, at)
        page_says_the_same(client, folder)


def numbers_equal(stream: Any, client: httpx.Client) -> None:
    """Compare every window of every query with `groundswell windows dump`, to the last integer."""
    dumped = [json.loads(line) for line in printed(stream, "windows", "dump").splitlines()]
    assert {row["query"] for row in dumped} >= {"all", "trains"}
    for query in ("all", "trains"):
        rows = client.get(f"/api/v1/queries/{query}/windows").raise_for_status().json()["windows"]
        found = {one["start"]: one["counters"] for one in rows}
        expected = {one["start"]: one for one in dumped if one["query"] == query}
        assert {_time(start) for start in found} == {_time(start) for start in expected}
        for start, row in expected.items():
            counters = found[next(s for s in found if _time(s) == _time(start))]
            assert counters, start
            assert {name: row[name] for name in counters} == counters


def _time(text: str | int) -> datetime:
    if isinstance(text, int):
        return datetime.fromtimestamp(text, UTC)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def posts_behind(stream: Any, client: httpx.Client, viewer: str, at: datetime) -> None:
    """The posts of a window are those that were counted in it; one that is deleted is gone."""
    asked = {"start": at.isoformat()}
    path = "/api/v1/queries/trains/posts"
    found = client.get(path, params=asked).raise_for_status().json()
    rows = client.get("/api/v1/queries/trains/windows").raise_for_status().json()["windows"]
    assert found["found"] == next(one["posts"] for one in rows if _time(one["start"]) == at)
    shown = {one["post_id"]: one["text"] for one in found["posts"]}
    assert shown
    assert shown == {name: f"{TEXT}, train {name[1:]}" for name in shown}
    as_viewer = {"Authorization": f"Bearer {viewer}"}
    assert TEXT not in client.get(path, params=asked, headers=as_viewer).raise_for_status().text
    number = next(int(name[1:]) for name in shown if name != "p3")
    deleted = make_event("delete", number, author=f"a{number}", claimed_at=at, ingested_at=at)
    stream.produce(POST_EVENTS, [(f"a{number}".encode(), encode(deleted))])
    text = f'{TEXT}, train {number}"'
    wait_until(lambda: text not in client.get(path, params=asked).text, "the post to be gone")


def texts_go(stream: Any, client: httpx.Client, viewer: str, at: datetime) -> None:
    """A post behind an alert is shown to who may see it, and no more once it is deleted."""
    shown = [ExamplePost(post_id="p3", source="synthetic", why="typical")]
    now = datetime.now(UTC)
    told = past_alert(1, examples=shown, started=at, fired=now, decided_at=now)
    stream.produce(ALERTS, [(b"trains", encode(told.alert))])
    wait_until(lambda: client.get("/api/v1/alerts/a1").status_code == 200, "the alert")
    assert f"{TEXT}, train 3" in client.get("/api/v1/alerts/a1").text
    as_viewer = {"Authorization": f"Bearer {viewer}"}
    assert TEXT not in client.get("/api/v1/alerts/a1", headers=as_viewer).text
    deleted = make_event("delete", 3, author="a3", claimed_at=at, ingested_at=at)
    began = datetime.now(UTC)
    stream.produce(POST_EVENTS, [(b"a3", encode(deleted))])
    wait_until(lambda: TEXT not in client.get("/api/v1/alerts/a1").text, "the text to be gone")
    assert (epoch_ms(datetime.now(UTC)) - epoch_ms(began)) / 1000 < GONE_WITHIN_S


def a_dead_letter_counts_once(stream: Any, client: httpx.Client, at: datetime) -> None:
    """What could not be used is listed with its reason, and counts once, sent twice."""
    good = make_post(500, author="b1", claimed_at=at, ingested_at=at)
    bad = encode(good).replace(b'"lang":"en"', b'"lang":7')
    before = stream.totals()
    stream.produce(POSTS, [(b"b1", bad)])
    stream.wait_until(lambda: stream.totals()["dead:posts"] == before["dead:posts"] + 1, "it dead")
    wait_until(lambda: client.get("/api/v1/dead-posts").json()["by_reason"] != {}, "the letter")
    (letter,) = client.get("/api/v1/dead-posts").json()["dead_letters"]
    assert (letter["reason"], letter["topic"], letter["replay"]) == (
        "wrong_type", POSTS, "as it is"
    )  # fmt: skip
    path = f"/api/v1/dead-posts/{letter['place']}/replay"
    refused = client.post(path, json={})
    assert refused.status_code == 422
    assert "still wrong_type" in refused.json()["detail"]
    for _ in range(2):
        sent = client.post(path, json={"record": json.loads(encode(good))}).raise_for_status()
        assert sent.json() == {
            "place": letter["place"], "topic": POSTS, "source": good.source, "post_id": good.id
        }  # fmt: skip
    stream.wait_until(lambda: stream.totals()["dead:posts"] == before["dead:posts"] + 2, "a copy")
    assert stream.totals()["counted"] == before["counted"] + 1
    found = client.get("/api/v1/pipeline").raise_for_status().json()
    assert found["notes"] == []
    assert {one["topic"] for one in found["stages"]} >= {POSTS, WINDOWS, ALERTS}
    assert all(one["gap"] == one["behind"] == 0 for one in found["partitions"])
    assert sum(one["records"] for one in found["stages"] if one["topic"] == POSTS) == (
        found["totals"]["counted"] + found["totals"]["dead:posts"]
    )


def page_says_the_same(client: httpx.Client, folder: Path) -> None:
    """From the link of an alert to its page: the windows there are those of the API."""
    del client.headers["Authorization"]
    assert client.get((folder / LINK_FILE).read_text().strip()).status_code == 303
    text = client.get("/alerts/a1").raise_for_status().text
    rows = client.get("/api/v1/queries/trains/windows").raise_for_status().json()["windows"]
    shown = re.findall(
        r'<th scope="row"><time[^>]*>([0-9: -]+)</time>.*?<td>(\d+)</td>', text, re.S
    )
    posts = {_time(one["start"]).strftime("%Y-%m-%d %H:%M:%S"): str(one["posts"]) for one in rows}
    assert shown
    assert dict(shown).items() <= posts.items()
    for path in ("/queries", "/queries/trains", "/quality", "/alerts", "/pipeline"):
        assert client.get(path).status_code == 200, path
    now = client.get("/now").raise_for_status().text
    closed = [one for one in rows if one["closed"]][-1]
    assert re.search(rf'href="/queries/trains">[^<]*</a></th>\s*<td>{closed["posts"]}</td>', now)
    rows = client.get("/api/v1/queries/all/windows").raise_for_status().json()["windows"]
    with client.stream("GET", "/api/v1/queries/all/live") as events:
        lines = events.iter_lines()
        event = next(line for line in lines if line.startswith("data: "))
    assert json.loads(event.removeprefix("data: ")) == [one for one in rows if one["closed"]][-1]
