"""Past alerts from the command line: each once, with the posts that show it as long as they may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.codec import encode
from core.schemas import ExamplePost, PostEvent, Term
from services.alerting import showing
from services.cli.main import run
from services.kafka_client.messages import Record
from stream.topics import ALERTS, POST_EVENTS, POSTS
from testkit.builders import make_post
from tests.services.alerting.test_delivery import NOON, alert

TOLD_MS = 1_772_366_400_000
Topics = dict[str, list[Record]]


def record(value: bytes, offset: int = 0, partition: int = 0, at_ms: int = TOLD_MS) -> Record:
    return Record(partition, offset, b"k", value, timestamp_ms=at_ms)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    held: Topics = {ALERTS: [], POSTS: [], POST_EVENTS: []}

    def read(
        _settings: Any, topic: str, *, last: int | None = None, before_ms: int | None = None,
        only: Any = None,
    ) -> Iterator[Record]:  # fmt: skip
        del last
        for one in held[topic]:
            if (only is None or one.partition in only) and (
                before_ms is None or one.timestamp_ms < before_ms
            ):
                yield one

    monkeypatch.setattr(showing, "read_topic", read)
    return held


def tell(topics: Topics, at_ms: int = TOLD_MS, **changes: Any) -> None:
    value = encode(alert(**changes))
    topics[ALERTS].append(record(value, len(topics[ALERTS]), at_ms=at_ms))


def say(topics: Topics, name: str, text: str, at_ms: int = TOLD_MS, **changes: Any) -> None:
    post = make_post(id=name, source="mastodon", author="ana", text=text, **changes)
    one = record(encode(post), len(topics[POSTS]), partition=1, at_ms=at_ms)
    topics[POSTS].append(one)


def happen(topics: Topics, kind: Any, name: str, author: str = "ana", **changes: Any) -> None:
    event = PostEvent(
        kind=kind, post_id=name, source="mastodon", author=author,
        ingested_at=datetime(2026, 3, 1, tzinfo=UTC), **changes,
    )  # fmt: skip
    topics[POST_EVENTS].append(record(encode(event), partition=1))


def example(name: str, why: Any = "typical") -> ExamplePost:
    return ExamplePost(post_id=name, source="mastodon", why=why)


def test_each_alert_is_listed_once_with_its_highest_level_and_its_end(
    topics: Topics, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tell(topics, severity=4)
    tell(topics, severity=8, sentence="It fell \x1b[2J further.")
    topics[ALERTS].append(record(b"junk", 7))
    tell(topics, alert_id="b2", query="rail", fired=NOON, severity=2)
    tell(topics, severity=3, state="resolved", ended=NOON, ended_as="over")
    file = tmp_path / "alerts.json"
    assert run(["alerts", "list", "--json", str(file)]) == 0
    shown = capsys.readouterr()
    lines = [line for line in shown.out.splitlines() if not line.startswith("    ")]
    assert [line.split()[-1] for line in lines] == ["b2", "a1"]
    assert "level 8" in lines[1]
    assert "2026-03-01 12:00 over" in lines[1]
    assert "goes on" in lines[0]
    assert "\x1b" not in shown.out
    assert "offset 7 of alerts is no alert" in shown.err
    report = json.loads(file.read_text())
    assert report["figures"] == {"alerts": 2, "firing": 1}
    assert [row["severity"] for row in report["tables"]["alerts"]] == [2, 8]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["c3", "b2", "a1"]),
        (["--last", "1"], ["c3"]),
        (["--query", "trains"], ["a1"]),
        (["--kind", "volume"], ["c3"]),
        (["--firing"], ["b2", "a1"]),
        (["--firing", "--query", "rail"], ["b2"]),
    ],
)
def test_alerts_are_chosen(
    options: list[str], shown: list[str], topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(topics)
    tell(topics, alert_id="b2", query="rail", fired=NOON)
    tell(
        topics, alert_id="c3", query="rail", kind="volume", fired=NOON + timedelta(minutes=1),
        state="resolved", ended=NOON + timedelta(minutes=2), ended_as="over",
    )  # fmt: skip
    assert run(["alerts", "list", *options]) == 0
    lines = capsys.readouterr().out.splitlines()[::2]
    assert [line.split()[-1] for line in lines] == shown


def test_no_alert_is_said_with_what_there_is(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["alerts", "list"]) == 1
    assert "nothing has shifted" in capsys.readouterr().out
    tell(topics)
    assert run(["alerts", "list", "--query", "rial"]) == 1
    assert "no alert of 'rial' is kept; there are some of: trains" in capsys.readouterr().out
    assert run(["alerts", "list", "--kind", "volume"]) == 1
    assert "no volume alert is kept; there are" in capsys.readouterr().out
    assert run(["alerts", "show", "zz"]) == 1
    assert "groundswell alerts list" in capsys.readouterr().out
    tell(topics, alert_id="a22")
    assert run(["alerts", "show", "a"]) == 1
    assert "2 alerts have an id" in capsys.readouterr().out


def test_an_alert_is_shown_with_what_moved_and_the_posts_that_show_it(
    topics: Topics, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ("p1", "p2", "p3", "p4", "p5", "p6")
    tell(
        topics, terms=[Term("late", 5.0, 1, 40), Term("fine", -4.0, 30, 2)],
        examples=[example(name) for name in names],
    )  # fmt: skip
    say(topics, "p1", "the 8:15 is late\nagain \x1b[2J", url="https://a.example/p1")
    say(topics, "p2", "taken back")
    say(topics, "p3", "before the edit")
    say(topics, "p4", "of a stranger's deletion")
    say(topics, "p5", "")
    say(topics, "other", "not chosen")
    happen(topics, "delete", "p2")
    happen(topics, "edit", "p2", text="an edit that came late")
    happen(topics, "edit", "p3", text="after the edit")
    happen(topics, "delete", "p4", author="mallory")
    happen(topics, "counts", "p1", likes=5)
    file = tmp_path / "one.json"
    assert run(["alerts", "show", "a", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    for part in (
        "14.2 nats against 11.0 needed", "came: late", "went: fine", "var-query=trains",
        "[typical] the 8:15 is late again", "https://a.example/p1",
        "[typical] (deleted by its author)", "[typical] after the edit",
        "[typical] of a stranger's deletion", "[typical] (a post without words)",
        "[typical] (its text is kept no more)",
    ):  # fmt: skip
        assert part in shown
    for part in ("taken back", "came late", "before the edit", "not chosen", "\x1b"):
        assert part not in shown
    rows = json.loads(file.read_text())["tables"]["examples"]
    states = [(row["post_id"], row["state"]) for row in rows]
    assert states == [
        ("p1", "there"), ("p2", "deleted"), ("p3", "there"), ("p4", "there"), ("p5", "there"),
        ("p6", "gone"),
    ]  # fmt: skip


def test_a_copy_of_an_id_after_the_alert_is_not_taken_for_the_post(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(topics, examples=[example("p1")])
    say(topics, "p1", "what was counted")
    say(topics, "p1", "what came again")
    assert run(["alerts", "show", "a1"]) == 0
    shown = capsys.readouterr().out
    assert "what was counted" in shown
    assert "came again" not in shown


def test_posts_are_looked_for_before_they_were_chosen_however_late_the_alert_ends(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(topics)
    tell(topics, at_ms=TOLD_MS + 10, examples=[example("p1")])
    end = {"state": "resolved", "ended": NOON, "ended_as": "over"}
    tell(topics, at_ms=TOLD_MS + 86_400_000, examples=[example("p1")], **end)
    say(topics, "p1", "of another, later", at_ms=TOLD_MS + 11)
    assert run(["alerts", "show", "a1"]) == 0
    assert "(its text is kept no more)" in capsys.readouterr().out
    topics[POSTS].clear()
    say(topics, "p1", "what was counted", at_ms=TOLD_MS + 10)
    assert run(["alerts", "show", "a1"]) == 0
    assert "what was counted" in capsys.readouterr().out


def test_that_nothing_goes_on_is_said(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    tell(topics, state="resolved", ended=NOON, ended_as="over")
    assert run(["alerts", "list", "--firing"]) == 1
    assert "no alert goes on; there are some of: trains" in capsys.readouterr().out
