"""Marked persons go through all that is there, and what a reader outside sees is searched for them.

Worker, closer, forecaster, responder and exporter run on a real broker and store. Where an author
stands beside what a model says of a post is the internal topic of scores alone; where a crowd is
spoken of, nobody is named; metrics, logs and what the commands print name nobody at all.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from core.codec import encode
from core.heads import HEADS
from services.kafka_client import read_topic
from services.local.ports import reserved_port
from stream.topics import (
    ALERTS,
    EVENTS,
    FORECASTS,
    POST_EVENTS,
    POSTS,
    RESPONSES,
    SCORED_POSTS,
    TOPICS,
    WINDOWS,
)
from testkit.builders import NOON, make_event, make_post
from testkit.checks.canary import traces
from testkit.scorers.fake import FakeScorer
from tests.integration.conftest import REPOSITORY
from tests.services.responder.said import take_off

pytestmark = pytest.mark.integration

PERSON = "markedperson4e1b"
"""The beginning of every author's name here."""
WRITER, ANSWERER = f"{PERSON}writer", f"{PERSON}answer3"
NAMED = frozenset({POSTS, POST_EVENTS, SCORED_POSTS, FORECASTS, EVENTS})
"""The topics whose records have an author; the key of the record may be one there."""
OF_A_MODEL = re.compile(
    r"scores|sentiment|stance|emotion|crowd|observed|posterior|politic|persona|party|"
    + "|".join(HEADS)
)
CALM, TURNED = 18, 16
ROLES = ("worker", "closer", "forecaster", "responder", "exporter")


def fields_of(value: Any) -> Iterator[str]:
    """Yield the names of all fields of a record that was decoded without its schema."""
    if isinstance(value, dict):
        for name, of in value.items():
            yield name
            yield from fields_of(of)
    elif isinstance(value, list):
        for one in value:
            yield from fields_of(one)


def names_in(content: bytes) -> list[str]:
    """Return the forms in which marked persons stand in bytes."""
    return [form for word in (PERSON, WRITER, ANSWERER) for form in traces(word, content)]


def beside_of(value: bytes) -> list[str]:
    """Return the fields of a record that say what a model says, if it names a marked person."""
    if not names_in(value):
        return []
    return [one for one in fields_of(msgspec.json.decode(value)) if OF_A_MODEL.search(one.lower())]


def texts_of(label: int, number: int) -> list[str]:
    """Return texts of which the stand-in of the scorer says a sentiment first."""
    words = [f"the word {label} {n} of the town" for n in range(40 * number)]
    batch = asyncio.run(FakeScorer().score_batch(words, ["en"] * len(words)))
    found = batch.heads["sentiment"].argmax(axis=1)
    return [word for word, of in zip(words, found, strict=True) if of == label][:number]


def say(stream: Any) -> None:
    """Produce a post, answers that turn, what happens to it, and that it takes off."""
    at = datetime.now(UTC) - timedelta(minutes=10)

    def post(name: str, author: str, text: str, seconds: float, root: str | None) -> None:
        when = at + timedelta(seconds=seconds)
        made = make_post(id=name, author=author, text=text, reply_to=root, lang="en",
                         claimed_at=when, ingested_at=when)  # fmt: skip
        stream.produce(POSTS, [(author.encode(), encode(made))])

    post("p", WRITER, "the bridge is closed", 0, None)
    when = at + timedelta(seconds=1)
    likes = make_event("counts", post_id="p", author=WRITER, likes=40, claimed_at=when,
                       ingested_at=when)  # fmt: skip
    stream.produce(POST_EVENTS, [(WRITER.encode(), encode(likes))])
    begins = take_off("p", (when - NOON).total_seconds())
    begins = msgspec.structs.replace(begins, author=WRITER, posted_at=at)
    stream.produce(EVENTS, [(b"all", encode(begins))])
    said = texts_of(1, CALM) + texts_of(0, TURNED)
    for number, text in enumerate(said):
        post(f"a{number}", f"{PERSON}answer{number}", text, 2 + number, "p")
    for number in range(20):  # in all partitions: they let the panes of those before close
        post(f"z{number}", f"{PERSON}late{number}", f"late words {number}", 500, None)


def printed(stream: Any, *words: str) -> bytes:
    """Return what a command prints and writes."""
    flat = {f"{s}__{f}": v for s, fields in stream.tree.items() for f, v in fields.items()}
    env = {f"GROUNDSWELL__{name.upper()}": str(value) for name, value in flat.items()}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words], capture_output=True, cwd=REPOSITORY,
        env={**os.environ, **env, "PYTHONPATH": str(REPOSITORY)}, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout + done.stderr


def records(stream: Any, topic: str) -> list[Any]:
    return list(read_topic(stream.settings.kafka, topic))


def kinds(stream: Any) -> set[str]:
    return {msgspec.json.decode(one.value)["kind"] for one in records(stream, EVENTS)}


def test_nothing_outside_says_what_a_person_takes_part_in_or_thinks(
    make_stream: Callable[..., Any],
) -> None:
    stream = make_stream(
        responder={"every_s": 0.1, "kind": "fake", "crowd_kind": "fake"},
        forecasts={"kind": "fake"},
        windows={"allowed_lateness_s": 0, "idle_after_s": 1}, log={"level": "debug"},
    )  # fmt: skip
    with ExitStack() as stack:
        ports = {role: stack.enter_context(reserved_port()) for role in ROLES}
        for role, port in ports.items():
            words = ("run",) if role == "responder" else ()
            stream.start_process(role, role, *words, metrics__port=port)
        say(stream)
        stream.wait_until(lambda: "crowd_turned" in kinds(stream), "a turn of the crowd")
        for topic in (WINDOWS, FORECASTS, RESPONSES):
            stream.wait_until(lambda topic=topic: bool(records(stream, topic)), topic)
        check_topics(stream)
        pages = {
            role: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
            for role, port in ports.items()
        }
    for role, page in pages.items():
        assert b"groundswell_" in page, role
        assert names_in(page) == [], role
    check_commands(stream)
    stream.stop_workers()
    for role in ROLES:
        log = (stream.directory / f"{role}.log").read_bytes()
        assert log or role == "exporter", role  # it has nothing to say while all is well
        assert names_in(log) == [], role


def check_topics(stream: Any) -> None:
    beside: dict[str, set[str]] = {}
    for topic in TOPICS:
        for record in records(stream, topic):
            if topic not in NAMED:
                assert names_in((record.key or b"") + (record.value or b"")) == [], topic
            assert names_in(repr(record.headers).encode()) == [], topic
            beside.setdefault(topic, set()).update(beside_of(record.value or b""))
    assert set(TOPICS) - set(beside) <= {ALERTS, "dead-posts"}, "what is empty proves nothing"
    assert {topic for topic, fields in beside.items() if fields} == {SCORED_POSTS}
    # It is internal for this reason: of every post it says who wrote it and what a model says.
    assert {"scores", "participation", "sentiment"} <= beside[SCORED_POSTS]
    for record in records(stream, EVENTS):
        event = msgspec.json.decode(record.value)
        assert (event["author"] == "") == (event["kind"] == "crowd_turned")


def check_commands(stream: Any) -> None:
    home = stream.directory
    shown = printed(stream, "responses", "show", "--json", str(home / "responses.json"))
    assert b"the crowd has turned" in shown
    commands = (
        ("forecasts", "top", "all", "--json", str(home / "top.json")),
        ("forecasts", "quality", "--json", str(home / "quality.json")),
        ("windows", "show", "all"),
        ("windows", "dump"),
        ("alerts", "list"),
    )
    for words in commands:
        told = printed(stream, *words)
        assert told, words
        assert names_in(told) == [], words
    assert names_in(shown) == []
    for name in ("responses.json", "top.json", "quality.json"):
        content = (home / name).read_bytes()
        assert content, name
        assert names_in(content) == [], name


def test_a_person_beside_what_a_model_says_would_be_found() -> None:
    plain = msgspec.json.encode({"author": WRITER, "scores": {"participation": [1, 2]}})
    assert beside_of(plain) == ["scores", "participation"]
    assert beside_of(msgspec.json.encode({"author": WRITER, "likes": [1]})) == []
    assert beside_of(msgspec.json.encode({"author": "", "crowd": {"observed": [1]}})) == []
    hidden = msgspec.json.encode({"who": WRITER.encode().hex(), "crowd": {"observed": [1]}})
    assert beside_of(hidden) == ["crowd", "observed"]
